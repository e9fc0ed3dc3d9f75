// Integer noise that a phone adds before masking: docs/protocol.md, "Noise". Cumulative distributions in integers, so
// that no floating-point gap tells anything of what is hidden.
import { coordinatesOf, levelsOf, sensitivityOf } from "./encoding.mjs";
import { must, stream } from "./primitives.mjs";

const WORKING = 192n;
const SKELLAM = 1;

/** The exact value of a double, as numerator and power of two below it. */
function exactly(value) {
  let [bits, exponent] = [value, 0n];
  while (!Number.isInteger(bits)) [bits, exponent] = [bits * 2, exponent + 1n];
  return [BigInt(bits), 1n << exponent];
}

/** Variance of this phone's noise, in squared levels; refused if the encoding has no room for everybody's. */
export function phoneVariance(plan) {
  const makers = plan.minimum - plan.noise.corrupt;
  must(makers >= 1, "budget", "the noise counts on nobody");
  const variance = (plan.noise.multiplier * sensitivityOf(plan)) ** 2 / makers;
  const most = levelsOf(plan.encoding);
  must(5 * Math.sqrt(variance * plan.encoding.phones) <= most, "budget", "the noise would wrap around");
  return variance;
}

export const phoneNoise = (plan, seed) =>
  draw(plan.noise.mechanism, phoneVariance(plan), coordinatesOf(plan), seed);

export function draw(mechanism, variance, count, seed) {
  must(variance > 0 && variance <= 1e8, "budget", "no integer noise has this variance");
  const table = mechanism === SKELLAM ? poisson(variance / 2) : discreteGaussian(variance);
  const times = mechanism === SKELLAM ? 2 : 1;
  const words = stream(seed, 16 * count * times);
  const at = (i) => invert(table, (words.readBigUInt64LE(16 * i) << 64n) | words.readBigUInt64LE(16 * i + 8));
  return Array.from({ length: count }, (_, i) => (times === 2 ? at(i) - at(count + i) : at(i)));
}

function invert({ first, below }, uniform) {
  let [low, high] = [0, below.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (below[middle] <= uniform) low = middle + 1;
    else high = middle;
  }
  return first + low;
}

function cumulative(first, weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0n);
  let running = 0n;
  const below = weights.slice(0, -1).map((weight) => ((running += weight) << 128n) / total);
  return { first, below };
}

export function poisson(mean) {
  const [numerator, denominator] = exactly(mean);
  const mode = numerator / denominator;
  const [up, down] = [[], []];
  for (let weight = 1n << WORKING, value = mode; weight; ) {
    up.push(weight);
    value += 1n;
    weight = (weight * numerator) / (denominator * value);
  }
  for (let weight = 1n << WORKING, value = mode; weight && value; ) {
    weight = (weight * denominator * value) / numerator;
    value -= 1n;
    down.push(weight);
  }
  return cumulative(Number(mode) - down.length, [...down.reverse(), ...up]);
}

const EXP_BITS = 640n;

/** exp(-numerator / denominator) in units of 2^-640. */
function expOfMinus(numerator, denominator) {
  const halvings = 16n;
  const x = (numerator << EXP_BITS) / (denominator << halvings);
  let [sum, term] = [1n << EXP_BITS, 1n << EXP_BITS];
  for (let k = 1n; term; k++) {
    term = (-term * x) / (k << EXP_BITS);
    sum += term;
  }
  for (let k = 0n; k < halvings; k++) sum = (sum * sum) >> EXP_BITS;
  return sum;
}

export function discreteGaussian(variance) {
  const [numerator, denominator] = exactly(variance);
  let ratio = expOfMinus(denominator, 2n * numerator) >> (EXP_BITS - 2n * WORKING);
  const shrink = (ratio * ratio) >> (2n * WORKING);
  const half = [];
  for (let weight = 1n << WORKING; weight; ) {
    half.push(weight);
    weight = (weight * ratio) >> (2n * WORKING);
    ratio = (ratio * shrink) >> (2n * WORKING);
  }
  return cumulative(1 - half.length, [...half.slice(1).reverse(), ...half]);
}
