// Headers, signatures and sets of the messages of a round: docs/protocol.md, "Messages".
import { join, must, sha256, sign, u16, verifies } from "./primitives.mjs";

export const KIND = {
  advertisement: 1, roster: 2, shares: 3, inbox: 4, maskedInput: 5, survivors: 6, consistency: 7, signatures: 8,
  unmasking: 9, complaint: 10,
};
export const NOBODY = 65535;
export const HEADER = 36;
const LABEL = "fedkey secure aggregation v1\0";

export const header = (kind, party, context) => join(Buffer.from([1, kind]), u16(party), context);
const signed = (start, payload) => join(LABEL, start, sha256(payload));
export const seal = (start, payload, privateKey) => join(start, sign(privateKey, signed(start, payload)), payload);
export const isSealed = (start, payload, publicKey, signature) => verifies(publicKey, signed(start, payload), signature);

/** Checks the header of a server's message; returns its party and its body. */
export function opened(message, kind, context) {
  must(message.length >= HEADER, "signature", "the message is too short");
  must(message[0] === 1 && message[1] === kind, "signature", "the message is of another version or kind");
  must(message.subarray(4, HEADER).equals(context), "signature", "the message is of another plan, model or roster");
  return { party: message.readUInt16LE(2), body: message.subarray(HEADER) };
}

export const setBytes = (n) => Math.ceil(n / 8);

export function bitmap(members, n) {
  const out = Buffer.alloc(setBytes(n));
  for (const member of members) out[member >> 3] |= 1 << (member & 7);
  return out;
}

export function members(bits, n) {
  const found = [];
  for (let at = 0; at < bits.length * 8; at++) {
    if ((bits[at >> 3] >> (at & 7)) & 1) {
      must(at < n, "signature", "a set names phones beyond the roster");
      found.push(at);
    }
  }
  return found;
}

export function pieces(bytes, size) {
  const out = [];
  for (let at = 0; at < bytes.length; at += size) out.push(bytes.subarray(at, at + size));
  return out;
}

/** The fields of an entry of a roster or a cohort: a signature and the payload of an advertisement. */
export function entryOf(bytes) {
  const payload = bytes.subarray(64);
  return {
    signature: bytes.subarray(0, 64),
    payload,
    id: payload.subarray(0, 16),
    identity: payload.subarray(16, 48),
    mask: payload.subarray(48, 80),
    share: payload.subarray(80, 112),
    commitment: payload.subarray(112, 144),
    certificate: payload.subarray(144, 208),
  };
}
