// Signed requests, and what a phone does about each answer: docs/protocol.md, "Requests" and "Answers".
import { createHash } from "node:crypto";
import { Refusal, join, little, must, publicOf, random, sha256, sign, verifies } from "./primitives.mjs";

export const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

const BUSY = new Set([429, 500, 502, 503, 504]);
const MAX_SKEW = 300;
const LONGEST_WAIT = 30 * 86400;

/** The five headers of a request. */
export function signature({ device, credential, serverKey, method, target, body, now, nonce }) {
  const digest = sha256(body);
  const signed = join(
    "fedkey request v2\0", serverKey, little(Math.floor(now), 8), nonce, digest, `${method} ${target}\n`,
  );
  return {
    "Fedkey-Credential": credential.toString("base64"),
    "Fedkey-Time": String(Math.floor(now)),
    "Fedkey-Nonce": nonce.toString("hex"),
    "Fedkey-Content-SHA256": digest.toString("hex"),
    "Fedkey-Signature": sign(device.privateKey, signed).toString("base64"),
  };
}

/** A request for a certificate of a pseudonym, signed with both keys. */
export function enrolmentRequest(identity, pseudonym) {
  const bare = join(Buffer.from([1]), pseudonym.id, publicOf("ed25519", pseudonym.privateKey));
  const inner = join(bare, sign(pseudonym.privateKey, join("fedkey enrolment v1\0", bare)));
  const outer = join(Buffer.from([2]), identity.id, publicOf("ed25519", identity.privateKey), inner);
  return join(outer, sign(identity.privateKey, join("fedkey enrolment request v2\0", outer)));
}

export function readCredential(bytes) {
  must(bytes.length === 117 && bytes[0] === 2, "signature", "this is no credential");
  return {
    bytes,
    id: bytes.subarray(1, 17),
    identity: bytes.subarray(17, 49),
    epoch: bytes.readUInt32LE(49),
    certificate: bytes.subarray(53, 117),
  };
}

/** The authority's list of revoked devices. */
export function readRevocations(data, authorityKey) {
  const [signature, body] = [data.subarray(0, 64), data.subarray(64)];
  const isSigned = verifies(authorityKey, join("fedkey revoked v2\0", body), signature);
  must(isSigned && body.length >= 8 && body.length % 16 === 8, "signature", "the list of revoked devices is not the authority's");
  const devices = [];
  for (let at = 8; at < body.length; at += 16) devices.push(body.subarray(at, at + 16));
  return { devices, issued: body.readBigUInt64LE(0) };
}

export async function enrol(url, identity) {
  const pseudonym = { id: random(16), privateKey: random(32) };
  const body = enrolmentRequest(identity, pseudonym);
  const response = await fetch(`${url}/v1/enrol`, { method: "POST", body });
  const answer = Buffer.from(await response.arrayBuffer());
  must(response.status === 200, "refused", `the enrolment service says ${response.status} ${answer.subarray(0, 200)}`);
  const credential = readCredential(answer);
  const isOwn = credential.id.equals(pseudonym.id) && credential.identity.equals(publicOf("ed25519", pseudonym.privateKey));
  must(isOwn, "signature", "the credential of another device");
  return { ...pseudonym, certificate: credential.certificate, epoch: credential.epoch, credential: credential.bytes };
}

/** The server said no. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Connection {
  #skew = 0;

  constructor(url, serverKey, device, { now = () => Date.now() / 1000, backoff = 2 } = {}) {
    Object.assign(this, { url, serverKey, device, now, backoff });
  }

  /** Seconds since 1970, as the server counts them. */
  get time() {
    return this.now() + this.#skew;
  }

  async #once(method, target, body, headers, isSigned) {
    const told = isSigned
      ? signature({
          device: this.device, credential: this.device.credential, serverKey: this.serverKey, method, target, body,
          now: this.time, nonce: random(16),
        })
      : {};
    const response = await fetch(this.url + target, {
      method, headers: { ...told, ...headers }, body: method === "GET" ? undefined : body, redirect: "error",
    });
    return { status: response.status, headers: response.headers, data: Buffer.from(await response.arrayBuffer()) };
  }

  /** Takes over the server's time; returns whether that may help. */
  #corrected(response) {
    const told = Number(response.headers.get("Fedkey-Time") ?? NaN);
    if (!Number.isInteger(told) || told < 0 || told > 2 ** 40) return false;
    const skew = told - this.now();
    if (Math.abs(skew - this.#skew) <= MAX_SKEW / 2) return false;
    this.#skew = skew;
    return true;
  }

  /** Asks until there is an answer that is none of "not yet" and "busy", or `ends` (seconds since 1970) has come. */
  async ask(method, target, body = Buffer.alloc(0), { headers = {}, ends = Infinity, signed = true } = {}) {
    for (let failures = 0, corrected = false; ; ) {
      let response = null;
      try {
        response = await this.#once(method, target, body, headers, signed);
      } catch (error) {
        if (error instanceof Refusal) throw error;
      }
      if (response?.status === 401 && !corrected && this.#corrected(response)) {
        corrected = true;
        continue;
      }
      if (response !== null && response.status !== 425 && !BUSY.has(response.status)) {
        if (response.status < 300 || response.status === 416) return response;
        throw new Refused(response.status, `${target} answered ${response.status} ${response.data.subarray(0, 200)}`);
      }
      const wait = this.#wait(response, failures);
      failures = response?.status === 425 ? 0 : failures + 1;
      if (this.now() + wait > ends || failures > 60) throw new Refused(0, `${target} is not answered in time`);
      await sleep(wait);
    }
  }

  #wait(response, failures) {
    const told = Number(response?.headers.get("Retry-After") ?? NaN);
    const named = Number.isFinite(told) && told >= 0 ? Math.min(told, LONGEST_WAIT) : null;
    const unnamed = response?.status === 425 ? 1 : Math.min(this.backoff * 2 ** failures, 60);
    return (named ?? unnamed) * (0.75 + 0.5 * Math.random());
  }

  async json(method, target, content, options = {}) {
    const body = content === null ? Buffer.alloc(0) : Buffer.from(JSON.stringify(content));
    const { data } = await this.ask(method, target, body, options);
    must(data.length <= 65536, "unreachable", "an answer that is longer than any JSON of this protocol");
    try {
      return JSON.parse(data.toString("utf8"));
    } catch {
      throw new Refused(0, `${target} did not answer with JSON`);
    }
  }

  /** Bytes that never change under their path, of a size that is known at most; goes on where it was cut off. */
  async download(target, largest, wantedSha256, options = {}) {
    let have = Buffer.alloc(0);
    for (let attempt = 0; attempt < 5; attempt++) {
      const headers = have.length ? { Range: `bytes=${have.length}-` } : {};
      const { status, data } = await this.ask("GET", target, Buffer.alloc(0), { ...options, headers });
      if (status !== 416) have = status === 206 ? join(have, data) : data;
      must(have.length <= largest, "signature", "a download that is larger than it can be");
      const found = createHash("sha256").update(have).digest("hex");
      if (wantedSha256 === null || found === wantedSha256) return have;
      if (status === 416 || have.length === largest) break;
    }
    throw new Refusal("signature", "what came is not what was asked for");
  }
}
