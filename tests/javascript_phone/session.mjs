// A phone's side of one secure aggregation, with everything that it must check before each step: docs/protocol.md,
// "A round, step by step". A refusal or a second call of a step ends the session and overwrites its secrets.
import {
  HEADER, KIND, NOBODY, bitmap, entryOf, header, isSealed, members, opened, pieces, seal, setBytes,
} from "./messages.mjs";
import {
  Refusal, agree, decryptShares, derive, encryptShares, fieldElement, hashed, inField, join, little, must, publicOf, random,
  same, sha256, share, stream, u16, verifies,
} from "./primitives.mjs";

const ENTRY = 272;
const DEALT = 80;
const STEPS = ["advertise", "share", "open", "mask", "confirm", "unmask"];

export const leastThreshold = (n) => Math.floor((2 * n) / 3) + 1;

export class Authority {
  constructor(publicKey, epoch, revoked = []) {
    Object.assign(this, { publicKey, epoch, revoked: new Set(revoked.map((id) => id.toString("hex"))) });
  }

  check(id, identity, certificate) {
    const certified = join("fedkey certificate v2\0", little(this.epoch, 4), id, identity);
    must(verifies(this.publicKey, certified, certificate), "signature", "a certificate does not verify in this epoch");
    must(!this.revoked.has(id.toString("hex")), "signature", "a device of the roster was revoked");
  }
}

export class Session {
  #next = 0;

  /**
   * @param plan what `readPlan` returned, accepted.
   * @param device {id, privateKey, certificate}, raw bytes.
   * @param secrets for known answers only: {maskKey, shareKey, selfMask, coefficients(threshold) -> [of b, of mask key]}.
   */
  constructor(plan, device, authority, secrets = {}) {
    Object.assign(this, { plan, device, authority });
    this.maskKey = Buffer.from(secrets.maskKey ?? fieldElement());
    this.shareKey = Buffer.from(secrets.shareKey ?? random(32));
    this.selfMask = Buffer.from(secrets.selfMask ?? fieldElement());
    const drawn = (threshold) => [0, 1].map(() => Array.from({ length: threshold - 1 }, fieldElement));
    this.coefficients = secrets.coefficients ?? drawn;
    this.held = new Map();
  }

  abandon() {
    this.#next = STEPS.length;
    for (const secret of [this.maskKey, this.shareKey, this.selfMask]) secret.fill(0);
    for (const shares of this.held.values()) for (const each of shares) each?.fill(0);
    this.held.clear();
    for (const key of this.masks?.values() ?? []) key.fill(0);
  }

  #step(name, taken) {
    must(STEPS[this.#next] === name, "unsafe", `${name} was taken already, or is not next`);
    this.#next += 1;
    try {
      return taken();
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  advertise() {
    return this.#step("advertise", () => {
      const { id, privateKey, certificate } = this.device;
      this.payload = join(
        id, publicOf("ed25519", privateKey), publicOf("x25519", this.maskKey), publicOf("x25519", this.shareKey),
        hashed("commitment", this.selfMask), certificate,
      );
      this.advertisement = seal(header(KIND.advertisement, NOBODY, this.plan.hash), this.payload, privateKey);
      return this.advertisement;
    });
  }

  #check(phone) {
    this.authority.check(phone.id, phone.identity, phone.certificate);
    const start = header(KIND.advertisement, NOBODY, this.plan.hash);
    must(isSealed(start, phone.payload, phone.identity, phone.signature), "signature", "a phone did not advertise this");
  }

  share(roster, cohort) {
    return this.#step("share", () => {
      const { plan } = this;
      const { body } = opened(roster, KIND.roster, plan.hash);
      const n = body.length >= 4 ? body.readUInt16LE(0) : 0;
      must(body.length === 4 + n * ENTRY, "signature", "a roster of another size");
      const threshold = body.readUInt16LE(2);
      const least = Math.max(threshold, plan.minimum);
      must(least <= n && n <= plan.encoding.phones, "unsafe", `a roster of ${n} phones is not what the plan allows`);
      must(threshold >= leastThreshold(n), "unsafe", "the threshold lets a server split the cohort");
      const phones = pieces(body.subarray(4), ENTRY).map(entryOf);
      for (let at = 1; at < n; at++) {
        must(Buffer.compare(phones[at - 1].id, phones[at].id) < 0, "unsafe", "devices are out of order or listed twice");
      }
      for (const key of ["identity", "mask", "share"]) {
        const different = new Set(phones.map((phone) => phone[key].toString("hex")));
        must(different.size === n, "unsafe", "two devices have the same key");
      }
      const own = this.advertisement.subarray(HEADER);
      const index = phones.findIndex((phone) => join(phone.signature, phone.payload).equals(own));
      must(index >= 0, "unsafe", "this phone's keys are missing or altered");
      for (const phone of phones) this.#check(phone);
      if (cohort !== undefined) this.#checkCohort(cohort, phones);
      const size = Buffer.concat([u16(n), u16(threshold)]);
      const sid = hashed("session", plan.hash, hashed("roster", roster), size);
      Object.assign(this, { n, threshold, least, phones, index, sid });
      const [ofSelfMask, ofMaskKey] = this.coefficients(threshold);
      const shares = share(this.selfMask, threshold, n, ofSelfMask).map((each, at) => [each, at]);
      const keyShares = share(this.maskKey, threshold, n, ofMaskKey);
      this.held.set(index, [shares[index][0], keyShares[index]]);
      this.inboxKeys = new Map();
      this.masks = new Map();
      const dealt = [];
      for (const [each, peer] of shares) {
        if (peer === index) continue;
        const agreed = agree(this.shareKey, phones[peer].share);
        const key = derive(agreed, sid, "shares", index, peer);
        this.inboxKeys.set(peer, derive(agreed, sid, "shares", peer, index));
        const mask = agree(this.maskKey, phones[peer].mask);
        this.masks.set(peer, derive(mask, sid, "pairwise mask", Math.min(index, peer), Math.max(index, peer)));
        dealt.push(encryptShares(key, sid, index, peer, join(each, keyShares[peer])));
      }
      this.maskKey.fill(0);
      this.shareKey.fill(0);
      return this.#sealed(KIND.shares, join(...dealt));
    });
  }

  /** The roster has to be the group that follows from the opened nonce and everybody's advertisement. */
  #checkCohort(cohort, roster) {
    const told = this.plan.task.commitments;
    must(cohort.length > 32 && (cohort.length - 32) % ENTRY === 0, "signature", "a cohort of another size");
    const nonce = cohort.subarray(0, 32);
    must(sha256("fedkey groups nonce v1\0", nonce).toString("hex") === told.groups, "unsafe", "another nonce");
    const start = header(KIND.advertisement, NOBODY, this.plan.hash);
    const phones = pieces(cohort.subarray(32), ENTRY);
    const digests = phones.map((entry) => sha256(start, entry));
    for (let at = 1; at < digests.length; at++) {
      must(Buffer.compare(digests[at - 1], digests[at]) < 0, "unsafe", "the cohort is out of order, or names one twice");
    }
    const ids = new Set(phones.map((entry) => entryOf(entry).id.toString("hex")));
    must(ids.size === phones.length, "unsafe", "a device is in the cohort twice");
    const group = groupOf(nonce, digests, told.group_phones, sha256(this.advertisement));
    must(group !== null, "unsafe", "this phone is not in the cohort");
    const listed = new Set(roster.map((phone) => sha256(start, phone.signature, phone.payload).toString("hex")));
    must(listed.size === group.size && [...group].every((each) => listed.has(each)), "unsafe", "another group than follows");
    phones.forEach((entry, at) => group.has(digests[at].toString("hex")) || this.#check(entryOf(entry)));
  }

  #sealed(kind, payload) {
    return seal(header(kind, this.index, this.sid), payload, this.device.privateKey);
  }

  open(inbox) {
    return this.#step("open", () => {
      const { n, sid, index } = this;
      const { party, body } = opened(inbox, KIND.inbox, sid);
      const sharers = members(body.subarray(0, setBytes(n)), n);
      const dealers = sharers.filter((sharer) => sharer !== index);
      must(body.length === setBytes(n) + dealers.length * DEALT, "signature", "an inbox of another size");
      must(party === index && sharers.includes(index), "unsafe", "another phone's inbox");
      must(sharers.length >= this.least, "unsafe", `only ${sharers.length} phones shared keys`);
      const dealt = pieces(body.subarray(setBytes(n)), DEALT);
      const isFalse = [];
      dealers.forEach((dealer, at) => {
        const shares = decryptShares(this.inboxKeys.get(dealer), sid, dealer, index, dealt[at]);
        if (shares === null || !pieces(shares, 32).every(inField)) isFalse.push(dealer);
        else this.held.set(dealer, pieces(shares, 32));
      });
      if (isFalse.length > 0) {
        const refusal = new Refusal("unsafe", "a share is not authentic");
        refusal.complaint = this.#sealed(KIND.complaint, bitmap(isFalse, n));
        throw refusal;
      }
      for (const peer of [...this.masks.keys()]) if (!sharers.includes(peer)) this.masks.delete(peer);
      this.sharers = sharers;
    });
  }

  /** @param vector {counters: BigUint64Array, words: BigUint64Array | Uint16Array | Uint8Array} */
  mask(vector) {
    return this.#step("mask", () => {
      const { sid, index } = this;
      const masked = { counters: vector.counters.slice(), words: vector.words.slice() };
      addMask(masked, derive(this.selfMask, sid, "self mask", index, index), 1);
      for (const [peer, key] of this.masks) addMask(masked, key, index < peer ? 1 : -1);
      this.selfMask.fill(0);
      for (const key of this.masks.values()) key.fill(0);
      return this.#sealed(KIND.maskedInput, vectorBytes(masked));
    });
  }

  confirm(message) {
    return this.#step("confirm", () => {
      const { n, index } = this;
      const { body } = opened(message, KIND.survivors, this.sid);
      must(body.length === 2 * setBytes(n), "signature", "sets of another size");
      const sharers = members(body.subarray(0, setBytes(n)), n);
      const survivors = members(body.subarray(setBytes(n)), n);
      must(sharers.join() === this.sharers.join(), "unsafe", "others shared keys than this phone's inbox says");
      must(survivors.every((each) => sharers.includes(each)), "unsafe", "a phone that shared no keys cannot have survived");
      must(survivors.includes(index), "unsafe", "this phone uploaded, and is called a drop-out");
      must(survivors.length >= this.least, "unsafe", `only ${survivors.length} phones survived`);
      // Of the two shares of each phone one is forgotten before anything is signed.
      for (const sharer of sharers) {
        const kept = survivors.includes(sharer) ? 0 : 1;
        this.held.get(sharer)[1 - kept].fill(0);
        this.held.get(sharer)[1 - kept] = null;
      }
      this.survivors = survivors;
      this.sets = Buffer.from(body);
      return this.#sealed(KIND.consistency, this.sets);
    });
  }

  unmask(message) {
    return this.#step("unmask", () => {
      const { n, sid } = this;
      const { body } = opened(message, KIND.signatures, sid);
      const signers = members(body.subarray(0, setBytes(n)), n);
      must(body.length === setBytes(n) + 64 * signers.length, "signature", "signatures of another size");
      must(signers.every((each) => this.survivors.includes(each)), "unsafe", "who did not survive cannot have signed");
      must(signers.length >= this.threshold, "unsafe", `only ${signers.length} phones signed the survivors`);
      pieces(body.subarray(setBytes(n)), 64).forEach((signature, at) => {
        const start = header(KIND.consistency, signers[at], sid);
        const { identity } = this.phones[signers[at]];
        must(isSealed(start, this.sets, identity, signature), "signature", "a phone signed other survivors");
      });
      const answer = join(...this.sharers.map((sharer) => this.held.get(sharer).find((each) => each !== null)));
      const sealed = this.#sealed(KIND.unmasking, answer);
      this.abandon();
      return sealed;
    });
  }
}

/** The group of a phone, as a set of digests in hex; null if it is in none. */
export function groupOf(nonce, digests, groupPhones, mine) {
  const seed = sha256("fedkey groups v1\0", nonce, ...digests);
  const order = digests
    .map((digest) => [sha256(seed, digest), digest.toString("hex")])
    .sort((one, other) => Buffer.compare(one[0], other[0]))
    .map(([, hex]) => hex);
  const groups = Math.max(1, Math.floor(order.length / groupPhones));
  const place = order.indexOf(mine.toString("hex"));
  return place < 0 ? null : new Set(order.filter((_, at) => at % groups === place % groups));
}

/** Adds the stream of a key to counters and words, or takes it away; typed arrays wrap around by themselves. */
export function addMask(vector, key, sign) {
  const size = vector.counters.byteLength + vector.words.byteLength;
  const bytes = stream(key, size);
  const copy = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + size);
  let at = 0;
  for (const part of [vector.counters, vector.words]) {
    const mask = new part.constructor(copy.slice(at, at + part.byteLength));
    for (let i = 0; i < part.length; i++) part[i] = sign > 0 ? part[i] + mask[i] : part[i] - mask[i];
    at += part.byteLength;
  }
}

export const vectorBytes = (vector) =>
  join(
    Buffer.from(vector.counters.buffer, vector.counters.byteOffset, vector.counters.byteLength),
    Buffer.from(vector.words.buffer, vector.words.byteOffset, vector.words.byteLength),
  );
