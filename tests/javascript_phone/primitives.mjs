// Bytes, hashes, keys, streams and shares, as docs/protocol.md has them under "Bytes" and "Keys".
import crypto from "node:crypto";

/** Why a phone does not go on; `code` is one of the reason codes that it may report. */
export class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export function must(holds, code, message) {
  if (!holds) throw new Refusal(code, message);
}

export const ascii = (text) => Buffer.from(text, "utf8");
export const join = (...parts) => Buffer.concat(parts.map((part) => (typeof part === "string" ? ascii(part) : part)));
export const same = (one, other) => Buffer.compare(one, other) === 0;
export const random = (size) => crypto.randomBytes(size);

export function little(number, size) {
  const out = Buffer.alloc(size);
  let rest = BigInt(number);
  for (let at = 0; at < size; at++, rest >>= 8n) out[at] = Number(rest & 255n);
  return out;
}

export const u16 = (number) => little(number, 2);

export function sha256(...parts) {
  const hash = crypto.createHash("sha256");
  for (const part of parts) hash.update(typeof part === "string" ? ascii(part) : part);
  return hash.digest();
}

// Raw keys of 32 bytes in the wrappings that Node reads: RFC 8410.
const OID = { ed25519: "70", x25519: "6e" };
const privateKey = (kind, raw) =>
  crypto.createPrivateKey({
    key: join(Buffer.from(`302e020100300506032b65${OID[kind]}04220420`, "hex"), raw),
    format: "der",
    type: "pkcs8",
  });
const publicKey = (kind, raw) =>
  crypto.createPublicKey({
    key: join(Buffer.from(`302a300506032b65${OID[kind]}032100`, "hex"), raw),
    format: "der",
    type: "spki",
  });

export const publicOf = (kind, raw) =>
  crypto.createPublicKey(privateKey(kind, raw)).export({ format: "der", type: "spki" }).subarray(-32);
export const sign = (raw, message) => crypto.sign(null, message, privateKey("ed25519", raw));

export function verifies(raw, message, signature) {
  try {
    return signature.length === 64 && crypto.verify(null, message, publicKey("ed25519", raw), signature);
  } catch {
    return false;
  }
}

/** X25519; a public key of low order is refused. */
export function agree(raw, peer) {
  try {
    return crypto.diffieHellman({ privateKey: privateKey("x25519", raw), publicKey: publicKey("x25519", peer) });
  } catch {
    throw new Refusal("unsafe", "a public key of low order");
  }
}

const DOMAIN = "fedkey secure aggregation v1: ";
export const hashed = (label, ...parts) => sha256(DOMAIN, label, "\0", ...parts);
export const derive = (secret, sid, role, i, j) =>
  Buffer.from(crypto.hkdfSync("sha256", secret, sid, join(DOMAIN, role, "\0", u16(i), u16(j)), 32));

/** The first bytes of the AES-256-CTR stream of a key, from counter zero. */
export const stream = (key, size) =>
  crypto.createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(size));

const NONCE = Buffer.alloc(12);

export function encryptShares(key, sid, dealer, holder, shares) {
  const cipher = crypto.createCipheriv("aes-256-gcm", key, NONCE);
  cipher.setAAD(join(sid, u16(dealer), u16(holder)));
  return join(cipher.update(shares), cipher.final(), cipher.getAuthTag());
}

/** What was dealt, or null if it is not authentic. */
export function decryptShares(key, sid, dealer, holder, dealt) {
  const cipher = crypto.createDecipheriv("aes-256-gcm", key, NONCE);
  cipher.setAAD(join(sid, u16(dealer), u16(holder)));
  cipher.setAuthTag(dealt.subarray(-16));
  try {
    return join(cipher.update(dealt.subarray(0, -16)), cipher.final());
  } catch {
    return null;
  }
}

// Shamir's shares modulo 2^256 - 189.
export const PRIME = (1n << 256n) - 189n;
export const toInteger = (bytes) => BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
const inField = (bytes) => bytes.length === 32 && toInteger(bytes) < PRIME;
export { inField };

export function fieldElement() {
  for (;;) {
    const drawn = random(32);
    if (inField(drawn)) return drawn;
  }
}

export function share(secret, threshold, holders, coefficients) {
  const polynomial = [secret, ...coefficients.slice(0, threshold - 1)].map(toInteger);
  return Array.from({ length: holders }, (_, holder) => {
    const x = BigInt(holder + 1);
    let value = 0n;
    for (const coefficient of [...polynomial].reverse()) value = (value * x + coefficient) % PRIME;
    return little(value, 32);
  });
}

function power(base, exponent) {
  let [result, square] = [1n, base % PRIME];
  for (let rest = exponent; rest; rest >>= 1n, square = (square * square) % PRIME) if (rest & 1n) result = (result * square) % PRIME;
  return result;
}

/** The secret that holders' shares give, which a server needs and a phone does not: Lagrange at zero. */
export function combine(shares, holders) {
  const points = holders.map((holder) => BigInt(holder + 1));
  const secret = points.reduce((sum, point, at) => {
    let [above, below] = [1n, 1n];
    for (const other of points) {
      if (other !== point) [above, below] = [(above * other) % PRIME, (below * (other - point + PRIME)) % PRIME];
    }
    return (sum + toInteger(shares[at]) * above * power(below, PRIME - 2n)) % PRIME;
  }, 0n);
  return little(secret, 32);
}
