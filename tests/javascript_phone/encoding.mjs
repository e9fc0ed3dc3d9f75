// From a delta to the words that are masked: docs/protocol.md, "From a delta to a vector".
import { Refusal, must, sha256, stream } from "./primitives.mjs";

export const BLOCK = 4096;
const SHARE_OF_COUNTS = 0.1;
export const COUNTS = 5;
const MAX_TOKENS = 4096;
const MAX_TOKEN_LOSS = 16;
const LOSS_UNITS = 65536;
const MAX_COUNT = 2 ** 40;
const FLOAT_SLACK = 1e-4;
const RADIX = { 2: 2 ** 32, 3: 2642245, 4: 65536, 5: 7131, 6: 1625, 7: 565, 8: 256 };

export const padded = (length) => Math.ceil(length / BLOCK) * BLOCK;

/** The permutation that uniform 64-bit words give: sort them with their positions in their low bits. */
function order(bytes, start, size) {
  const bits = size > 1 ? BigInt((size - 1).toString(2).length) : 0n;
  const low = (1n << bits) - 1n;
  const words = new BigUint64Array(size);
  for (let i = 0; i < size; i++) words[i] = (bytes.readBigUInt64LE(8 * (start + i)) & ~low) | BigInt(i);
  words.sort();
  return Uint32Array.from(words, (word) => Number(word & low));
}

/** Indices and scales of the coordinates that are sent, or null for all of them. */
export function subset(seed, dimension, strata) {
  if (strata.every(({ size, kept }) => size === kept)) return null;
  const bytes = stream(sha256("fedkey subset v1\0", seed), 8 * dimension);
  const chosen = [];
  let start = 0;
  for (const { size, kept } of strata) {
    const drawn = order(bytes, start, size).slice(0, kept).sort();
    for (const index of drawn) chosen.push({ index: start + index, scale: Math.fround(size / kept) });
    start += size;
  }
  return chosen;
}

export function rotation(seed, dimension) {
  const size = padded(dimension);
  const bytes = stream(seed, 8 * size + 8 * Math.ceil(size / 64));
  const signs = Int8Array.from({ length: size }, (_, i) => ((bytes[8 * size + (i >> 3)] >> (i & 7)) & 1 ? -1 : 1));
  return { order: order(bytes, 0, size), signs };
}

/** Rotates float64[dimension] into float64[padded]: gather, signs, orthonormal Walsh-Hadamard of each block. */
export function rotate(vector, { order: places, signs }) {
  const out = Float64Array.from(places, (place, i) => signs[i] * (place < vector.length ? vector[place] : 0));
  for (let block = 0; block < out.length; block += BLOCK) {
    for (let half = 1; half < BLOCK; half *= 2) {
      for (let i = block; i < block + BLOCK; i += 2 * half) {
        for (let j = i; j < i + half; j++) {
          const [a, b] = [out[j], out[j + half]];
          out[j] = a + b;
          out[j + half] = a - b;
        }
      }
    }
  }
  return out.map((value) => Math.fround(value / 64));
}

const norm = (vector) => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));

export function clip(vector, bound) {
  const length = norm(vector);
  must(Number.isFinite(length), "training", "the delta is not finite");
  return length <= bound ? vector : vector.map((value) => Math.fround(value * (bound / length)));
}

export function levelsOf(encoding) {
  return encoding.kind === 1 ? Math.floor((RADIX[encoding.size] - 1) / encoding.phones) + 1 : 2 ** (encoding.size - 1) - 1;
}

/** Rounds stochastically with a secret seed of 32 bytes that is used once. */
export function quantise(encoding, rotated, seed) {
  const words = stream(seed, 4 * rotated.length);
  const most = levelsOf(encoding);
  const isLanes = encoding.kind === 1;
  const step = isLanes ? (2 * encoding.scale) / (most - 1) : encoding.scale;
  const bound = isLanes ? encoding.scale : most * step;
  const [low, high] = isLanes ? [0, most - 1] : [-most, most];
  return Array.from(rotated, (value, i) => {
    const clipped = Math.min(Math.max(value, -bound), bound);
    const level = Math.floor(clipped / step + (isLanes ? bound / step : 0) + words.readUInt32LE(4 * i) / 2 ** 32);
    return Math.min(Math.max(level, low), high);
  });
}

export function pack(encoding, levels) {
  if (encoding.kind === 2) {
    const words = encoding.size === 8 ? new Uint8Array(levels.length) : new Uint16Array(levels.length);
    levels.forEach((level, i) => (words[i] = level)); // typed arrays take numbers modulo their size
    return words;
  }
  const count = Math.ceil(levels.length / encoding.size);
  const words = new BigUint64Array(count);
  const radix = BigInt(RADIX[encoding.size]);
  for (let k = 0, place = 1n; k < levels.length; k++) {
    if (k > 0 && k % count === 0) place *= radix;
    words[k % count] += BigInt(levels[k]) * place;
  }
  return words;
}

export function roundedNorm(length, coordinates) {
  const root = Math.sqrt(coordinates);
  return Math.min(length + root, Math.sqrt(length ** 2 + coordinates / 4 + 4 * (length + root / 2)));
}

export const coordinatesOf = (plan) => padded(plan.kept + (plan.noise.mechanism ? COUNTS : 0));
export const sensitivityOf = (plan) =>
  roundedNorm((plan.clip * (1 + FLOAT_SLACK)) / plan.encoding.scale, coordinatesOf(plan));

/**
 * What is masked.
 * @param update {delta: Float32Array, examples, tokens, loss, hits}
 * @param seed 32 secret bytes for rounding.
 * @param noise integers, as many as coordinates, where the plan asks for noise.
 */
export function encode(plan, update, seed, noise = null) {
  must((noise !== null) === Boolean(plan.noise.mechanism), "policy", "noise where the plan has none, or none where it asks");
  must(update.delta.length === plan.dimension, "incompatible", "the delta has another size than the plan says");
  const chosen = subset(plan.seed, plan.dimension, plan.strata);
  const kept = chosen ? Float32Array.from(chosen, ({ index, scale }) => update.delta[index] * scale) : update.delta;
  const bound = noise ? plan.clip * Math.sqrt(1 - SHARE_OF_COUNTS ** 2) : plan.clip;
  const examples = Math.min(update.examples, plan.cap);
  const clipped = clip(kept, bound);
  const unclipped = clipped === kept ? 1 : 0;
  const weighted = clipped.map((value) => Math.fround(value * Math.fround(examples / plan.cap)));
  if (noise) {
    const counts = countsOf(plan, { ...update, examples, unclipped });
    const beside = Float64Array.from([...weighted, ...counts]);
    const rotated = rotate(beside, rotation(plan.seed, beside.length));
    const levels = bounded(plan, rotated, seed).map((level, i) => level + noise[i]);
    return { counters: new BigUint64Array(0), words: pack(plan.encoding, levels) };
  }
  const levels = quantise(plan.encoding, rotate(weighted, rotation(plan.seed, weighted.length)), seed);
  const tokens = Math.min(update.tokens, MAX_COUNT);
  const loss = Math.round(Math.min(update.loss, tokens * MAX_TOKEN_LOSS) * LOSS_UNITS);
  const counters = [examples, tokens, Math.min(loss, MAX_COUNT), Math.min(update.hits, tokens), unclipped].map(BigInt);
  return { counters: BigUint64Array.from(counters), words: pack(plan.encoding, levels) };
}

/** The counts as coordinates beside the delta. */
function countsOf(plan, { examples, tokens, loss, hits, unclipped }) {
  const less = tokens ? Math.min(1, MAX_TOKENS / tokens) : 0;
  const counted = tokens * less;
  const unit = (plan.clip * SHARE_OF_COUNTS) / Math.sqrt(COUNTS);
  return [
    examples / plan.cap,
    counted / MAX_TOKENS,
    Math.min(loss * less, counted * MAX_TOKEN_LOSS) / (MAX_TOKENS * MAX_TOKEN_LOSS),
    Math.min(hits * less, counted) / MAX_TOKENS,
    unclipped,
  ].map((share) => Math.fround(share * unit));
}

/** Rounds again until the vector is no longer than what the noise hides. */
function bounded(plan, rotated, seed) {
  for (let attempt = 0; attempt < 64; attempt++) {
    const levels = quantise(plan.encoding, rotated, attempt ? sha256(seed, Buffer.from([attempt])) : seed);
    if (norm(levels) <= sensitivityOf(plan)) return levels;
  }
  throw new Refusal("training", "the delta is longer than the clip");
}
