// Models and their log: docs/protocol.md, "The model" and "The log".
import zlib from "node:zlib";
import { join, little, must, sha256, verifies } from "./primitives.mjs";

export const isSignedModel = (serverKey, version, sha256Hex, signature) =>
  verifies(serverKey, join("fedkey model v1\0", little(version, 4), Buffer.from(sha256Hex, "hex")), signature);

/** The new weights: the XOR comes compressed, in four planes, the first bytes of all numbers before the second ones. */
export function applyDifference(old, difference) {
  const planes = zlib.inflateSync(difference, { maxOutputLength: old.length + 1 });
  must(planes.length === old.length && old.length % 4 === 0, "signature", "a difference of another size");
  const numbers = old.length / 4;
  return Buffer.from(old.map((byte, at) => byte ^ planes[(at % 4) * numbers + (at >> 2)]));
}

export function distance(one, other) {
  let sum = 0;
  for (let at = 0; at < one.length; at += 4) sum += (one.readFloatLE(at) - other.readFloatLE(at)) ** 2;
  return Math.sqrt(sum);
}

export function entriesOf(packed) {
  const entries = [];
  for (let at = 0; at < packed.length; ) {
    must(at + 2 <= packed.length, "signature", "the log is cut off");
    const size = packed.readUInt16LE(at);
    must(at + 2 + size <= packed.length, "signature", "the log is cut off");
    entries.push(packed.subarray(at + 2, at + 2 + size));
    at += 2 + size;
  }
  return entries;
}

/** The roots of the full subtrees of a log, largest first: what it takes to go on. */
export class Edge {
  constructor(size = 0, roots = []) {
    Object.assign(this, { size, roots });
  }

  after(entries) {
    let { size } = this;
    const roots = [...this.roots];
    for (const entry of entries) {
      let root = sha256("\0", entry);
      size += 1;
      for (let bit = size; bit % 2 === 0; bit /= 2) root = sha256("\x01", roots.pop(), root);
      roots.push(root);
    }
    return new Edge(size, roots);
  }

  get root() {
    if (this.roots.length === 0) return sha256("");
    return this.roots.reduceRight((right, left) => (right === null ? left : sha256("\x01", left, right)), null);
  }
}

/** Goes on to the head that a plan commits to, and returns the edge and the models that the log accepted since. */
export function goneOn(edge, told, added) {
  must(told.log_size >= edge.size && added.length === told.log_size - edge.size, "signature", "the log was cut");
  const after = edge.after(added);
  must(after.root.toString("hex") === told.log_root, "signature", "the log was rewritten");
  const read = added.map((entry) => JSON.parse(entry.toString("utf8")));
  return { edge: after, accepted: read.filter((entry) => entry.accepted === true).map((entry) => entry.sha256) };
}
