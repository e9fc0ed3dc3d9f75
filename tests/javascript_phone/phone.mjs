// A phone that takes part in rounds, written from docs/protocol.md. Node 20 or later, no packages.
//
//     node phone.mjs --url URL --trust trust.json --desk URL --dimension N [--rounds N] [--delta test|zeros|NUMBER]
//
// It trains nothing: its delta is computed (`test` is the test update of docs/protocol.md, a number the seed of random
// ones), since what is tried here is the protocol. What a phone must keep over restarts, this one keeps in memory.
// It prints a line of JSON for each thing that happens.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { Connection, Refused, enrol, readRevocations, sleep } from "./connection.mjs";
import { encode } from "./encoding.mjs";
import { Edge, applyDifference, distance, entriesOf, goneOn, isSignedModel } from "./history.mjs";
import { phoneNoise } from "./noise.mjs";
import { checkPlan, readPlan } from "./plan.mjs";
import { Refusal, join, must, random, sha256, verifies } from "./primitives.mjs";
import { Authority, Session } from "./session.mjs";

const PROTOCOLS = [1];
const READY = { idle: true, charging: true, unmetered: true };
const WEEK = 7 * 86400;
const EPOCH = 604800;
const MAX_NEW_ENTRIES = 100000;
const MAX_REVOCATIONS = 64 + 8 + 16 * 65536;
const OWN_POLICY = { max_clip: 100, max_bits: 64 };

export const hexOf = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Keys and profile that the app brings, if its publisher signed them. */
export function readTrust(path) {
  const { trust, publisher, signature } = JSON.parse(readFileSync(path, "utf8"));
  const isSigned = verifies(Buffer.from(publisher, "hex"), join("fedkey trust v1\0", trust), Buffer.from(signature, "hex"));
  must(isSigned, "signature", "trust.json was changed after its publisher signed it");
  const told = JSON.parse(trust);
  const limits = Object.fromEntries(
    ["epsilon_limit", "max_step", "max_drift"].map((name) => [name, told.profile[name] ?? Infinity]),
  );
  return {
    serverKey: Buffer.from(told.server_key, "hex"),
    authorityKey: Buffer.from(told.authority_key, "hex"),
    profile: { ...told.profile, ...limits },
  };
}

/** Update for a model of so many weights. */
export function computed(kind, dimension) {
  const delta = new Float32Array(dimension);
  if (kind === "test") delta.forEach((_, i) => (delta[i] = ((i % 17) - 8) / 4096));
  else if (kind !== "zeros") {
    const bytes = sha256("delta", kind);
    for (let i = 0; i < dimension; i++) delta[i] = ((bytes[i % 32] ^ (i * 37) % 256) - 128) / 20000;
  }
  return { delta, examples: 8, tokens: 100, loss: 250, hits: 12 };
}

export class Phone {
  #weights = Buffer.alloc(0);
  #version = 0;
  #last = new Map(); // latest round of each instance of the server
  #uploads = []; // {model, at}
  #edge = new Map(); // by instance: {edge, models}
  #revoked = { devices: [], issued: 0n, sha256: "" };
  #met = false;

  constructor({ url, desk, trust, dimension, policy = {}, update, shipped = null, rest = 30, say = () => {} }) {
    Object.assign(this, { url, desk, trust, dimension, update, shipped, rest, say });
    this.policy = { ...OWN_POLICY, ...trust.profile, ...policy, dimension };
    this.identity = { id: random(16), privateKey: random(32) };
  }

  /** Asks for a round and plays it; returns the seconds to wait. */
  async step() {
    try {
      return await this.#asked();
    } catch (error) {
      if (!(error instanceof Refused) && !(error instanceof Refusal)) throw error;
      this.say({ event: "resting", reason: error.message });
      return this.rest;
    }
  }

  async #asked() {
    this.connection ??= new Connection(this.url, this.trust.serverKey, null);
    if (!this.device || this.device.epoch < Math.floor(this.connection.time / EPOCH)) await this.#renew();
    if (!this.#met) await this.#meet();
    const content = { conditions: READY, protocols: PROTOCOLS };
    const told = await this.#checkedIn(content);
    const isRound = Number.isSafeInteger(told.round_id) && told.round_id >= 1;
    must(isRound || told.round_id === null, "unreachable", "no answer to a check-in");
    if (!isRound) return Math.min(Math.max(Number(told.retry_after_seconds) || 1, 1), 86400);
    return this.#played(told.round_id);
  }

  /** Has the authority vouch for a new pseudonym, in the present epoch. */
  async #renew() {
    this.device = await enrol(this.desk, this.identity);
    this.connection.device = this.device;
  }

  /** A check-in that is refused may be one of an epoch that is over: the authority's clock says which it is. */
  async #checkedIn(content) {
    try {
      return await this.connection.json("POST", "/v1/check-in", content);
    } catch (error) {
      if (error.status !== 401) throw error;
      const before = this.device.epoch;
      await this.#renew();
      if (this.device.epoch === before) throw error;
      return this.connection.json("POST", "/v1/check-in", content);
    }
  }

  /** The server has to be the app's; nothing that it says of itself is taken from it. */
  async #meet() {
    const told = await this.connection.json("GET", "/v1/server", null, { signed: false });
    const isKnown = told.server_key === this.trust.serverKey.toString("hex") &&
      told.authority_key === this.trust.authorityKey.toString("hex");
    must(isKnown, "signature", "the server has other keys than this app brings");
    must((told.protocols ?? [1]).some((each) => PROTOCOLS.includes(each)), "incompatible", "no common version");
    must(told.dimension === this.dimension, "incompatible", "the server trains another network");
    this.#met = true;
  }

  async #played(roundId) {
    let session = null;
    let joined = false;
    try {
      session = await this.#join(roundId);
      joined = true;
      await this.#rest(session, roundId);
      this.say({ event: "done", round: roundId, phones: session.survivors.length, roster: session.n });
      return 1;
    } catch (error) {
      if (!(error instanceof Refused) && !(error instanceof Refusal)) throw error;
      session?.abandon();
      const code = error.code ?? (error.status === 410 ? "late" : "refused");
      this.say({ event: "left", round: roundId, code, reason: error.message });
      if (error.complaint) await this.#quietly(`/v1/rounds/${roundId}/complaint`, error.complaint);
      if (code !== "late") await this.#report(roundId, joined ? "failed" : "refused", code);
      return this.rest * (0.75 + 0.5 * Math.random());
    }
  }

  /** Looks at the plan and all that it names; everything that must be right before keys are advertised. */
  async #join(roundId) {
    const path = `/v1/rounds/${roundId}`;
    const { data } = await this.connection.ask("GET", `${path}/plan`);
    const plan = readPlan(data, this.trust.serverKey);
    const { commitments } = plan.task;
    must(plan.roundId === BigInt(roundId), "signature", "the plan is another round's");
    checkPlan(plan, this.policy, this.#last.get(commitments.instance) ?? 0n);
    this.#checkHistory(plan);
    if (plan.noise.mechanism) phoneNoise(plan, random(32)); // refused here if there is no room for it
    await this.#goOn(plan);
    const authority = await this.#authority(commitments);
    await this.#fetchModel(plan);
    this.#last.set(commitments.instance, plan.roundId);
    return new Session(plan, this.device, authority);
  }

  async #rest(session, roundId) {
    const { plan } = session;
    const path = `/v1/rounds/${roundId}`;
    const options = { ends: Date.now() / 1000 + plan.deadlines[4] };
    const post = async (step, body) => {
      await this.connection.ask("POST", `${path}/${step}`, body, options);
      this.say({ event: "sent", round: roundId, step });
    };
    const get = async (name) => (await this.connection.ask("GET", `${path}/${name}`, Buffer.alloc(0), options)).data;
    await post("advertise", session.advertise());
    await this.#report(roundId, "plan", "");
    const roster = await get("roster");
    await post("share", session.share(roster, await get("cohort")));
    session.open(await get("inbox"));
    const noise = plan.noise.mechanism ? phoneNoise(plan, random(32)) : null;
    const vector = encode(plan, this.update(plan, this.#weights), random(32), noise);
    const masked = session.mask(vector);
    this.#uploads.push({ model: plan.model.toString("hex"), at: Date.now() / 1000 });
    await post("upload", masked);
    await this.#report(roundId, "trained", "");
    await post("confirm", session.confirm(await get("survivors")));
    await post("unmask", session.unmask(await get("signatures")));
  }

  #checkHistory(plan) {
    const model = plan.model.toString("hex");
    const since = Date.now() / 1000 - WEEK;
    const ofModel = this.#uploads.filter((each) => each.model === model).length;
    const inWeek = this.#uploads.filter((each) => each.at > since).length;
    must(ofModel < this.policy.rounds_per_model, "policy", "this version of the model was trained already");
    must(inWeek < this.policy.rounds_per_week, "policy", "enough rounds this week");
  }

  /** Goes on to the head of the log that the plan commits to; the model has to be one that the log accepted. */
  async #goOn(plan) {
    const told = plan.task.commitments;
    const known = this.#edge.get(told.instance) ?? { edge: new Edge(), models: [] };
    if (!told.log_size && !known.edge.size) {
      must(this.policy.max_step === Infinity, "signature", "the server keeps no log");
      return;
    }
    const missing = told.log_size - known.edge.size;
    must(missing <= MAX_NEW_ENTRIES, "signature", "the log grew too much at once");
    const added = [];
    while (added.length < missing) {
      const target = `/v1/log/${known.edge.size + added.length}`;
      const more = entriesOf((await this.connection.ask("GET", target)).data);
      if (more.length === 0) break;
      added.push(...more);
    }
    const { edge, accepted } = goneOn(known.edge, told, added.slice(0, Math.max(missing, 0)));
    const models = [...known.models, ...accepted].slice(-512);
    must(models.includes(plan.model.toString("hex")), "signature", "the model is not in the log");
    this.#edge.set(told.instance, { edge, models });
  }

  /** Whom certificates of the round are checked with: this phone's own epoch, and the list that the plan names. */
  async #authority(told) {
    must(told.epoch === this.device.epoch, "signature", "the round is of another epoch than this phone's certificate");
    if (!told.revoked) {
      must(!this.#revoked.sha256 && this.policy.max_step === Infinity, "signature", "there is no list of revoked devices");
    } else if (told.revoked !== this.#revoked.sha256) {
      const data = await this.connection.download(`/v1/revoked/${told.revoked}`, MAX_REVOCATIONS, told.revoked);
      const { devices, issued } = readRevocations(data, this.trust.authorityKey);
      must(issued >= this.#revoked.issued, "signature", "the list is older than one that was seen");
      this.#revoked = { devices, issued, sha256: told.revoked };
    }
    return new Authority(this.trust.authorityKey, told.epoch, this.#revoked.devices);
  }

  /** The plan's model: what is here, what is here with the difference, or all of it. */
  async #fetchModel(plan) {
    const wanted = plan.model.toString("hex");
    const size = 4 * plan.dimension;
    const old = hexOf(this.#weights);
    if (old === wanted) return;
    let weights = null;
    if (this.#weights.length === size) {
      try {
        const target = `/v1/models/${wanted}/from/${old}`;
        weights = applyDifference(this.#weights, await this.connection.download(target, size + 65536, null));
      } catch (error) {
        this.say({ event: "difference", reason: error.message });
      }
    }
    if (weights === null || hexOf(weights) !== wanted) {
      weights = await this.connection.download(`/v1/models/${wanted}`, size, wanted);
    }
    must(weights.length === size, "incompatible", "the model has another size than the plan says");
    const version = plan.task.model_version;
    if (this.shipped) this.#admit(weights, this.shipped.weights, Math.abs(version - this.shipped.version), this.policy.max_drift);
    if (this.#version) this.#admit(weights, this.#weights, Math.abs(version - this.#version), Infinity);
    [this.#weights, this.#version] = [weights, version];
  }

  #admit(weights, older, versions, drift) {
    const bound = Math.min(this.policy.max_step * Math.max(versions, 1), drift);
    must(distance(weights, older) <= bound, "policy", "the model is farther away than rounds can have moved it");
  }

  /** What a phone that only follows the model does between rounds: checks the server's signature of a version. */
  async follow() {
    const told = await this.connection.json("GET", "/v1/models/current", null);
    const isSigned = isSignedModel(this.trust.serverKey, told.version, told.sha256, Buffer.from(told.signature, "hex"));
    must(isSigned, "signature", "the model's signature is not the server's");
    return told.version;
  }

  #report(roundId, event, reason) {
    return this.#quietly(`/v1/rounds/${roundId}/events`, Buffer.from(JSON.stringify({ event, reason })));
  }

  /** What may fail without harm, and is not tried again. */
  async #quietly(target, body) {
    try {
      await this.connection.ask("POST", target, body, { ends: 0 });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  }
}

async function main() {
  const { values } = parseArgs({
    options: {
      url: { type: "string" }, desk: { type: "string" }, trust: { type: "string" }, dimension: { type: "string" },
      rounds: { type: "string", default: "1" }, delta: { type: "string", default: "test" },
      policy: { type: "string", default: "{}" }, rest: { type: "string", default: "30" },
    },
  });
  const say = (what) => console.log(JSON.stringify(what));
  let rounds = Number(values.rounds);
  const counting = (what) => {
    say(what);
    if (what.event === "done" || what.event === "left") rounds -= 1;
  };
  const phone = new Phone({
    url: values.url, desk: values.desk, trust: readTrust(values.trust), dimension: Number(values.dimension),
    policy: JSON.parse(values.policy), update: (plan) => computed(values.delta, plan.dimension), rest: Number(values.rest),
    say: counting,
  });
  for (;;) {
    const wait = await phone.step();
    if (rounds <= 0) break;
    await sleep(wait);
  }
  say({ event: "end", version: await phone.follow() });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main();
