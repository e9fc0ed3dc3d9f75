// Holds this phone against every vector:   node check_vectors.mjs docs/vectors
// Prints a line for each that is not met, and how many were; exits with 1 if one is not.
import { readFileSync } from "node:fs";
import { enrolmentRequest, readCredential, readRevocations, signature } from "./connection.mjs";
import { encode, pack, quantise, rotate, rotation, subset } from "./encoding.mjs";
import { Edge, applyDifference, entriesOf, goneOn, isSignedModel } from "./history.mjs";
import { bitmap, entryOf, members, pieces, setBytes } from "./messages.mjs";
import { draw } from "./noise.mjs";
import { checkPlan, readPlan } from "./plan.mjs";
import {
  agree, combine, decryptShares, derive, encryptShares, hashed, share, stream,
} from "./primitives.mjs";
import { computed, hexOf } from "./phone.mjs";
import { Authority, Session, addMask, vectorBytes } from "./session.mjs";

const folder = process.argv[2] ?? "docs/vectors";
const read = (name) => JSON.parse(readFileSync(`${folder}/${name}.json`, "utf8"));
const un = (hex) => Buffer.from(hex, "hex");
let [met, missed] = [0, 0];

function check(name, holds) {
  if (holds) met += 1;
  else {
    missed += 1;
    console.log(`not met: ${name}`);
  }
}

const equal = (name, found, wanted) => check(`${name}: ${String(found).slice(0, 80)} is not ${String(wanted).slice(0, 80)}`, String(found) === String(wanted));

/** Every must-refuse vector has to end in a refusal, whatever its code. */
function refuses(name, attempt) {
  try {
    attempt();
  } catch {
    check(name, true);
    return;
  }
  check(`${name} was not refused`, false);
}

function primitives() {
  const told = read("primitives");
  for (const { secret, sid, role, i, j, key } of told.derive) equal(role, derive(un(secret), un(sid), role, i, j).toString("hex"), key);
  equal("commitment", hashed("commitment", un(told.commitment.b)).toString("hex"), told.commitment.commitment);
  equal("stream", stream(un(told.stream.key), 64).toString("hex"), told.stream.bytes);
  equal("agree", agree(un(told.agree.private), un(told.agree.peer)).toString("hex"), told.agree.secret);
  for (const peer of told.agree.low_order_peers) refuses(`low order ${peer}`, () => agree(un(told.agree.private), un(peer)));
  const { key, sid, dealer, holder, shares, dealt } = told.dealt;
  equal("dealt", encryptShares(un(key), un(sid), dealer, holder, un(shares)).toString("hex"), dealt);
  equal("opened", decryptShares(un(key), un(sid), dealer, holder, un(dealt)).toString("hex"), shares);
  check("a share for another holder does not open", decryptShares(un(key), un(sid), dealer, holder - 1, un(dealt)) === null);
  const { secret, threshold, coefficients, shares: held } = told.shamir;
  equal("shamir", share(un(secret), threshold, held.length, coefficients.map(un)).map((each) => each.toString("hex")), held);
  for (const { n, members: listed, bytes } of told.sets) {
    equal("bitmap", bitmap(listed, n).toString("hex"), bytes);
    equal("members", members(un(bytes), n), listed);
  }
  for (const { n, bytes } of told.sets_beyond_the_roster) refuses(`set ${bytes}`, () => members(un(bytes), n));
}

function enrolment() {
  const told = read("enrolment");
  const keyOf = ({ id, private_key }) => ({ id: un(id), privateKey: un(private_key) });
  equal("request", enrolmentRequest(keyOf(told.identity), keyOf(told.pseudonym)).toString("hex"), told.request);
  const admitted = (hex) => {
    const { id, identity, epoch, certificate } = readCredential(un(hex));
    if (epoch !== told.epoch) throw new Error("another epoch");
    new Authority(un(told.authority_key), told.epoch).check(id, identity, certificate);
  };
  admitted(told.credential);
  equal("epoch", Math.floor(told.now / 604800), told.epoch);
  for (const [name, hex] of Object.entries(told.refused.credentials)) refuses(`credential of ${name}`, () => admitted(hex));
  const list = readRevocations(un(told.revoked.list), un(told.authority_key));
  equal("revoked", list.devices.map((each) => each.toString("hex")), told.revoked.ids);
  equal("list", hexOf(un(told.revoked.list)), told.revoked.sha256);
  for (const [name, hex] of Object.entries(told.refused.lists)) refuses(`list ${name}`, () => readRevocations(un(hex), un(told.authority_key)));
}

function requests() {
  const told = read("requests");
  for (const { method, target, body, headers } of told.requests) {
    const made = signature({
      device: { privateKey: un(told.private_key) }, credential: un(told.credential), serverKey: un(told.server_key), method, target,
      body: un(body), now: told.time, nonce: un(told.nonce),
    });
    for (const [name, value] of Object.entries(headers)) equal(`${target} ${name}`, made[name], value);
  }
}

function digest(name, array, { begins, sha256: wanted }) {
  const bytes = Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  equal(name, bytes.subarray(0, begins.length / 2).toString("hex"), begins);
  equal(`${name} all`, hexOf(bytes), wanted);
}

function encodings() {
  const told = read("encoding");
  const { seed, strata, indices, test_update: kept } = told.subset;
  const chosen = subset(un(seed), 5001, strata);
  const { delta } = computed("test", 5001);
  digest("subset", Uint32Array.from(chosen, ({ index }) => index), indices);
  digest("subset of the test update", Float32Array.from(chosen, ({ index, scale }) => delta[index] * scale), kept);
  const rotated = rotate(delta, rotation(un(told.rotation.seed), told.rotation.dimension));
  digest("rotation", Float32Array.from(rotated), told.rotation.test_update);
  for (const { encoding, seed: rounding, levels, words } of told.rounding) {
    const found = quantise(encoding, rotated, un(rounding));
    equal(`levels of ${JSON.stringify(encoding)}`, found.slice(0, levels.length), levels);
    digest(`words of ${JSON.stringify(encoding)}`, pack(encoding, found), words);
  }
}

function noises() {
  for (const { mechanism, variance, seed, draws } of read("noise")) {
    equal(`noise ${mechanism} ${variance}`, draw(mechanism, variance, draws.length, un(seed)), draws);
  }
}

function history() {
  const told = read("history");
  const { version, sha256: digested, signature: signed } = told.model;
  check("model", isSignedModel(un(told.server_key), version, digested, un(signed)));
  check("model of another version", !isSignedModel(un(told.server_key), version + 1, digested, un(signed)));
  const { old, new: after, difference } = told.difference;
  equal("difference", applyDifference(un(old), un(difference)).toString("hex"), after);
  refuses("difference cut off", () => applyDifference(un(old), un(difference).subarray(0, -8)));
  refuses("difference of a larger model", () => applyDifference(un(old).subarray(4), un(difference)));
  const entries = entriesOf(un(told.log.entries));
  for (const { size, root } of told.log.heads) {
    equal(`head ${size}`, new Edge().after(entries.slice(0, size)).root.toString("hex"), root);
    const half = new Edge().after(entries.slice(0, size >> 1));
    const gone = goneOn(half, { log_size: size, log_root: root }, entries.slice(size >> 1, size));
    equal(`gone on to ${size}`, gone.edge.root.toString("hex"), root);
  }
  for (const { seen, size, root, why } of told.refused) {
    const edge = new Edge().after(entries.slice(0, seen));
    refuses(why, () => goneOn(edge, { log_size: size, log_root: root }, entries.slice(seen, size)));
  }
  refuses("log cut off", () => entriesOf(un(told.log.entries).subarray(0, -1)));
}

/** A session of secure aggregation, all its phones played here, and what the server recovers of it. */
function session(name, told) {
  const plan = { hash: un(told.plan_hash), minimum: 3, encoding: { phones: 64 } };
  const entries = told.messages.advertise.phones.map((message) => entryOf(un(message).subarray(36)));
  const phones = told.secrets.map((secrets, at) => {
    const device = { id: entries[at].id, privateKey: un(told.identity_private_keys[at]), certificate: entries[at].certificate };
    const drawn = {
      maskKey: un(secrets.mask_key), shareKey: un(secrets.share_key), selfMask: un(secrets.self_mask),
      coefficients: () => secrets.coefficients.map((each) => each.map(un)),
    };
    return new Session(plan, device, new Authority(un(told.authority), 0), drawn);
  });
  const { messages } = told;
  phones.forEach((phone, at) => {
    const takes = (step, taken) => {
      if (at < messages[step].phones.length) equal(`${name} ${at} ${step}`, taken().toString("hex"), messages[step].phones[at]);
    };
    takes("advertise", () => phone.advertise());
    takes("share", () => phone.share(un(messages.advertise.server)));
    if (at < messages.share.server.length) phone.open(un(messages.share.server[at]));
    takes("mask", () => phone.mask(vectorOf(un(told.vectors[at]))));
    takes("confirm", () => phone.confirm(un(messages.mask.server)));
    takes("unmask", () => phone.unmask(un(messages.confirm.server)));
  });
  equal(`${name} sum`, vectorBytes(recovered(name, told, phones[0])).toString("hex"), messages.unmask.server);
}

const vectorOf = (bytes) => ({
  counters: new BigUint64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + 16)),
  words: new Uint8Array(bytes.subarray(16)),
});

/** The sum, as a server takes the masks off it: secrets from shares, own masks of survivors, pairwise ones of the dead. */
function recovered(name, told, { sid, n, phones: roster }) {
  const sets = un(told.messages.mask.server).subarray(36);
  const [sharers, survivors] = [members(sets.subarray(0, setBytes(n)), n), members(sets.subarray(setBytes(n)), n)];
  const total = vectorOf(Buffer.alloc(21));
  for (const message of told.messages.mask.phones) addVector(total, vectorOf(un(message).subarray(100)));
  const answers = told.messages.unmask.phones.map((message) => pieces(un(message).subarray(100), 32));
  sharers.forEach((dealer, at) => {
    const secret = combine(answers.map((shares) => shares[at]), survivors);
    const isDead = !survivors.includes(dealer);
    equal(`${name} secret of ${dealer}`, secret.toString("hex"), told.secrets[dealer][isDead ? "mask_key" : "self_mask"]);
    if (!isDead) addMask(total, derive(secret, sid, "self mask", dealer, dealer), -1);
    else {
      for (const peer of survivors) {
        const key = derive(agree(secret, roster[peer].mask), sid, "pairwise mask", Math.min(dealer, peer), Math.max(dealer, peer));
        addMask(total, key, peer < dealer ? -1 : 1);
      }
    }
  });
  return total;
}

function addVector(total, other) {
  for (const part of ["counters", "words"]) other[part].forEach((value, i) => (total[part][i] += value));
}

function sessions() {
  const told = read("secure_aggregation");
  for (const name of ["session", "dropouts"]) session(name, told[name]);
}

const POLICY = {
  min_phones: 4, min_noise_multiplier: 0, counted_share: 1, max_clip: 100, max_bits: 64, dimension: 5000,
  max_step: Infinity, rounds_per_model: Infinity, rounds_per_week: Infinity,
};
const ROUND_ID = 7n;

function accepted(answer, serverKey) {
  const plan = readPlan(answer, serverKey);
  if (plan.roundId !== ROUND_ID) throw new Error("another round");
  checkPlan(plan, POLICY, 0n);
  return plan;
}

function begun(told) {
  const plan = accepted(un(told.plan), un(told.server_key));
  const { phone } = told;
  const device = { id: un(phone.id), privateKey: un(phone.private_key), certificate: un(phone.certificate) };
  const secrets = {
    maskKey: un(phone.mask_key), shareKey: un(phone.share_key), selfMask: un(phone.self_mask),
    coefficients: () => phone.coefficients.map((each) => each.map(un)),
  };
  return new Session(plan, device, new Authority(un(told.authority_key), told.epoch), secrets);
}

/** Plays a known round; at one answer another one may be given instead, which has to be refused. */
function play(told, { at = "", message = null, name = "" } = {}) {
  const session = begun(told);
  const given = (what) => (what === at ? message : un(told.server[what]));
  const sent = (step, made) => at || equal(`${told.name} ${step}`, made.toString("hex"), told.phone_sends[step]);
  const steps = {
    roster: () => sent("share", session.share(given("roster"), given("cohort"))),
    inbox: () => session.open(given("inbox")),
    upload: () => {
      const made = session.mask(encode(session.plan, computed("test", session.plan.dimension), un(told.phone.rounding_seed)));
      if (at) return;
      equal(`${told.name} upload begins`, made.subarray(0, 200).toString("hex"), told.phone_sends.upload_begins);
      equal(`${told.name} upload`, hexOf(made), told.phone_sends.upload_sha256);
    },
    survivors: () => sent("confirm", session.confirm(given("survivors"))),
    signatures: () => sent("unmask", session.unmask(given("signatures"))),
  };
  sent("advertise", session.advertise());
  for (const [step, taken] of Object.entries(steps)) {
    if (step === (at === "cohort" ? "roster" : at)) {
      refuses(name, taken);
      refuses(`${name}: the session has ended, and`, () => session.unmask(un(told.server.signatures)));
      return;
    }
    taken();
  }
  refuses(`${told.name}: a step that was taken`, () => session.advertise());
}

function rounds() {
  const known = new Map(read("rounds").map((told) => [told.name, told]));
  for (const told of known.values()) {
    equal(`${told.name} hash`, readPlan(un(told.plan), un(told.server_key)).hash.toString("hex"), told.hash);
    play(told);
  }
  for (const { name, at, base, message } of read("refusals")) {
    const told = known.get(base);
    if (at === "plan") refuses(name, () => accepted(un(message), un(told.server_key)));
    else play(told, { at, message: un(message), name });
  }
}

for (const section of [primitives, enrolment, requests, encodings, noises, history, sessions, rounds]) section();
console.log(`${met} met, ${missed} not`);
process.exitCode = missed ? 1 : 0;
