// The signed plan of a round and its task, read strictly, and what this phone agrees to: docs/protocol.md, "The plan".
import { leastThreshold } from "./session.mjs";
import { Refusal, join, must, sha256, verifies } from "./primitives.mjs";

export const PLAN = 198;
const PLAN_LABEL = "fedkey plan v2\0";
const MAX_ROUND_SECONDS = 24 * 3600;
const STEPS = ["advertise", "share", "upload", "confirm", "unmask"];

/** Reads plan, signature and task, one behind the other. */
export function readPlan(answer, serverKey) {
  must(answer.length > PLAN + 64, "signature", "a plan, its signature and its task are longer");
  const [bytes, signature, task] = [answer.subarray(0, PLAN), answer.subarray(PLAN, PLAN + 64), answer.subarray(PLAN + 64)];
  must(verifies(serverKey, join(PLAN_LABEL, bytes), signature), "signature", "the plan is not the server's");
  const plan = fields(bytes);
  must(sha256("fedkey task v1\0", task).equals(plan.seed), "signature", "the task is not the plan's");
  plan.task = readTask(task);
  return plan;
}

function fields(bytes) {
  must(bytes[0] === 2, "signature", `plans have version 2, not ${bytes[0]}`);
  const strata = [];
  for (let at = 134; at < PLAN; at += 8) strata.push({ size: bytes.readUInt32LE(at), kept: bytes.readUInt32LE(at + 4) });
  while (strata.length && !strata.at(-1).size && !strata.at(-1).kept) strata.pop();
  const plan = {
    hash: sha256(PLAN_LABEL, bytes),
    roundId: bytes.readBigUInt64LE(1),
    model: bytes.subarray(9, 41),
    dimension: bytes.readUInt32LE(41),
    encoding: { kind: bytes[45], size: bytes[46], phones: bytes.readUInt16LE(47), scale: bytes.readDoubleLE(49) },
    clip: bytes.readDoubleLE(57),
    cap: bytes.readUInt32LE(65),
    seed: bytes.subarray(69, 101),
    noise: { mechanism: bytes[101], multiplier: bytes.readDoubleLE(102), corrupt: bytes.readUInt16LE(110) },
    minimum: bytes.readUInt16LE(112),
    deadlines: STEPS.map((_, step) => bytes.readUInt32LE(114 + 4 * step)),
    strata,
  };
  const { encoding, noise, deadlines } = plan;
  const possible = (holds, what) => must(holds, "signature", `impossible plan: ${what}`);
  const positive = (value) => Number.isFinite(value) && value > 0;
  possible(plan.dimension >= 1 && plan.cap >= 1 && positive(plan.clip), "dimension, cap or clip");
  possible(positive(encoding.scale) && encoding.phones <= 256, "bound, step or phones");
  if (encoding.kind === 1) {
    const radix = Math.floor(2 ** (64 / encoding.size));
    possible(encoding.size >= 2 && encoding.size <= 8 && encoding.phones >= 1 && encoding.phones < radix, "lanes");
    possible(noise.mechanism === 0, "noise beside lanes");
  } else possible(encoding.kind === 2 && (encoding.size === 8 || encoding.size === 16), "encoding");
  possible(noise.mechanism <= 2 && Number.isFinite(noise.multiplier) && noise.multiplier >= 0, "noise");
  possible((noise.mechanism === 0) === (noise.multiplier === 0), "noise without a multiplier");
  possible(plan.minimum >= 3 && plan.minimum <= encoding.phones, "minimum of phones");
  possible(deadlines.every((each, at) => each > (deadlines[at - 1] ?? 0)) && deadlines[4] < 2 ** 31, "deadlines");
  const sizes = strata.reduce((sum, { size }) => sum + size, 0);
  possible(strata.every(({ size, kept }) => kept >= 1 && kept <= size), "strata");
  possible(strata.length === 0 || sizes === plan.dimension, "a subset of another dimension");
  plan.kept = strata.length ? strata.reduce((sum, { kept }) => sum + kept, 0) : plan.dimension;
  return plan;
}

const whole = (least, most = 2 ** 53) => (value) => Number.isInteger(value) && value >= least && value <= most;
const real = (least, most = Infinity) => (value) =>
  typeof value === "number" && Number.isFinite(value) && value >= least && value <= most;
const flag = (value) => typeof value === "boolean";
const hex = (...sizes) => (value) => typeof value === "string" && /^[0-9a-f]*$/.test(value) && sizes.includes(value.length / 2);
const exactly = (members) => (value) =>
  value !== null && typeof value === "object" && !Array.isArray(value) &&
  Object.keys(value).sort().join() === Object.keys(members).sort().join() &&
  Object.entries(members).every(([name, holds]) => holds(value[name]));

const budget = exactly({ steps: whole(1), seconds: whole(1) });
const TASK = exactly({
  nonce: hex(32),
  model_version: whole(0, 2 ** 32 - 1),
  training: exactly({ learning_rate: (v) => real(0)(v) && v > 0, epochs: whole(1), gradient_norm: real(0), dropout: (v) => real(0)(v) && v < 1 }),
  budgets: exactly({ low: budget, middle: budget, high: budget }),
  needed: exactly({ idle: flag, charging: flag, unmetered: flag }),
  separation_seconds: whole(0, 2 ** 32 - 1),
  min_frequency: (value) => real(0)(value) && value < 1,
  central: exactly({
    mechanism: (value) => ["none", "gaussian", "blt"].includes(value),
    noise_multiplier: real(0), rounds: whole(1), max_participations: whole(1), min_separation: whole(1),
  }),
  counting: (value) => value === null || exactly({ list_sha256: hex(32), max_count: whole(1, 1 << 15) })(value),
  commitments: exactly({
    instance: hex(16), log_size: whole(0, 2 ** 31 - 1), log_root: hex(32),
    epoch: whole(0, 2 ** 32 - 1), groups: hex(32), group_phones: whole(1, 65535), revoked: hex(0, 32),
  }),
});

export function readTask(bytes) {
  let task;
  try {
    task = JSON.parse(bytes.toString("utf8"));
  } catch {
    throw new Refusal("signature", "the task is not JSON");
  }
  must(TASK(task), "signature", "the task has other members or values than a task has");
  return task;
}

/** Refuses a plan below what the app agrees to; `policy` has the names that trust.json has, and the app's own. */
export function checkPlan(plan, policy, lastRoundId) {
  const { noise, task } = plan;
  const refuse = (refused, why) => must(!refused, "policy", why);
  const counted = plan.minimum - noise.corrupt;
  refuse(plan.roundId <= lastRoundId, `round ${plan.roundId} is not after round ${lastRoundId}`);
  refuse(plan.minimum < policy.min_phones, `a sum of ${plan.minimum} phones is too small`);
  refuse(noise.multiplier < policy.min_noise_multiplier, "the noise is too small");
  refuse(policy.min_noise_multiplier > 0 && counted > policy.counted_share * plan.minimum, "too many are counted on for noise");
  refuse(plan.clip > policy.max_clip, "the clip is too large");
  const bits = plan.encoding.kind === 1 ? 64 / plan.encoding.size : plan.encoding.size;
  refuse(bits > policy.max_bits, "too many bits");
  refuse(plan.deadlines[4] > MAX_ROUND_SECONDS, "the round lasts too long");
  refuse(task.training.epochs > 100 || task.training.learning_rate > 100, "too much training");
  const budgets = Object.values(task.budgets);
  refuse(budgets.some((each) => each.steps > 2 ** 20 || each.seconds > 6 * 3600), "the training lasts too long");
  refuse(task.counting !== null, "this app has no list to count");
  must(plan.dimension === policy.dimension, "incompatible", "the plan's model has another size than this app's");
}

export { leastThreshold };
