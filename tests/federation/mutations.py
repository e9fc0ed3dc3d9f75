"""Every check of the protocol, taken away one at a time: a test must fail for each.

    python -m tests.federation.mutations [WORDS OF A NAME]

copies the packages and their tests into a temporary folder, changes one place, runs the tests until the first failure,
and names the changes that no test notices. Which test noticed a change last is kept in `mutations.json`, and runs
first the next time: about two minutes with it, twenty without.
"""

import json
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Without a mutation the tests take a tenth of it: one that hangs is noticed.
_LONGEST_SECONDS = 120

_FAILED = {1, 2}  # of a test, or of the import of its file; any other exit code is no verdict
_NOTICED_BY = Path(__file__).with_name("mutations.json")
_EVERYTHING = [
    f"tests/federation/{name}"
    for name in ("secure_aggregation", "updates", "protocol/test_plan.py", "device/test_downloads.py")
]
"""Tests of what is changed below. Others would be imported each time, and some of them need more than these."""


@dataclass(frozen=True)
class Mutation:
    """A place in the code, and what a careless author would have written there.

    Attributes:
        module: file below `federation/`.
        before: text that the file has once.
        after: text in its place.
    """

    module: str
    before: str
    after: str

    @property
    def name(self) -> str:
        """What is changed into what."""
        return f"{self.module}: {' '.join(self.before.split())} -> {' '.join(self.after.split()) or 'nothing'}"

    def apply(self, root: Path) -> None:
        """Change the file below `root`."""
        path = root / "federation" / self.module
        path.write_text(self.mutated(path.read_text()))

    def mutated(self, text: str) -> str:
        """Return the changed text of the file.

        Raises:
            ValueError: the text to change is not there exactly once: the code was changed, so change this list.
        """
        if text.count(self.before) != 1:
            raise ValueError(f"{self.module} has {self.before!r} {text.count(self.before)} times, not once")
        return text.replace(self.before, self.after)


# Mutations are processes forked from one that has the libraries, whose import takes longer than most mutations live.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["cryptography.hazmat.primitives.asymmetric.ed25519", "hypothesis.extra.numpy", "pytest"])


def _without(module: str, *conditions: str) -> list[Mutation]:
    """Return mutations in which an `if` with each condition is never taken."""
    return [Mutation(module, f"if {condition}:", "if False:") for condition in conditions]


def _replaced(module: str, *pairs: tuple[str, str]) -> list[Mutation]:
    return [Mutation(module, before, after) for before, after in pairs]


SESSION = "secure_aggregation/session.py"
MESSAGES = "secure_aggregation/messages.py"
IDENTITY = "secure_aggregation/identity.py"
KEYS = "secure_aggregation/keys.py"
MASKS = "secure_aggregation/masks.py"
PHONE = "secure_aggregation/phone.py"
SERVER = "secure_aggregation/server.py"
SHAMIR = "secure_aggregation/shamir.py"
VECTOR = "secure_aggregation/vector.py"

MUTATIONS = [
    # The roster
    *_without(
        SESSION,
        "len(self.plan_hash) != DIGEST_BYTES",
        "not MIN_COHORT <= self.minimum <= self.maximum <= MAX_COHORT",
        "len(body) != _SIZES.size + n * ENTRY_BYTES",
        "not self.quorum(parameters) <= self.n <= parameters.maximum",
        "self.threshold < min_threshold(self.n)",
        "any(first >= second for first, second in itertools.pairwise(ids))",
        "len({getattr(phone, keys) for phone in self.phones}) < self.n",
        "own not in self.phones",
    ),
    *_replaced(
        SESSION,
        ("return 2 * n // 3 + 1", "return n // 2 + 1"),
        ("return max(self.threshold, parameters.minimum)", "return self.threshold"),
        ("return max(self.threshold, parameters.minimum)", "return parameters.minimum"),
        ("<= self.n <= parameters.maximum:", "<= self.n:"),
        ("if not self.quorum(parameters) <= self.n", "if not self.n"),
        ("any(first >= second for", "any(first > second for"),
        ('("identity_key", "mask_key", "share_key")', '("mask_key", "share_key")'),
        ('("identity_key", "mask_key", "share_key")', '("identity_key", "share_key")'),
        ('("identity_key", "mask_key", "share_key")', '("identity_key", "mask_key")'),
        ("authority.check(phone.device_id, phone.identity_key, phone.certificate)", "pass"),
        ("phone.check_signature(self.plan_hash)", "pass"),
        ('hashed("session", self.plan_hash, roster, _SIZES', 'hashed("session", self.plan_hash, _SIZES'),
    ),
    # Messages
    *_without(
        MESSAGES,
        "len(message) < HEADER_BYTES",
        "version != VERSION",
        "found != kind",
        "found_context != context",
        "len(message) != end + payload_bytes",
        "not verifies(identity_key, self.signature, signed)",
        "bits >> n",
        "len(body) != size + len(dealers) * DEALT_BYTES",
        "len(body) != 2 * size",
        "len(body) != size + len(signers) * SIGNATURE_BYTES",
        "not all(is_field_element(share) for share in shares)",
    ),
    *_replaced(
        MESSAGES,
        ("return _LABEL + start + payload_digest", "return _LABEL + start"),
        ("return _LABEL + start + payload_digest", "return _LABEL + payload_digest"),
        (
            "return hashlib.sha256(signed + self.signature).digest()",
            "return hashlib.sha256(self.start).digest()",
        ),
    ),
    # Identities and keys
    *_without(
        IDENTITY,
        "not verifies(self.public_key, certificate, _certified(device_id, identity_key, self.epoch))",
        "device_id in self.revoked",
        "len(request) != _REQUEST.size",
        "version != _REQUEST_VERSION",
        "not verifies(identity_key, signature, _ENROLMENT + request[:-SIGNATURE_BYTES])",
        "len(self.device_id) != DEVICE_ID_BYTES",
    ),
    *_replaced(
        IDENTITY,
        (
            "return _CERTIFICATE + _EPOCH.pack(epoch) + device_id + identity_key",
            "return _CERTIFICATE + device_id + identity_key",
        ),
        (
            "return _CERTIFICATE + _EPOCH.pack(epoch) + device_id + identity_key",
            "return _CERTIFICATE + _EPOCH.pack(epoch)",
        ),
        ("private_key: Ed25519PrivateKey = field(repr=False)", "private_key: Ed25519PrivateKey"),
    ),
    *_replaced(
        KEYS,
        ("except ValueError as error:\n        raise Malformed", "except KeyError as error:\n        raise Malformed"),
        ("salt=sid, info=info", "salt=None, info=info"),
        ("role.value + b", "b"),
        ("self._buffer[:] = bytes(len(self._buffer))\n", "\n"),
        ("self._buffer.clear()", "pass"),
        ('return "<Secret>"', "return repr(bytes(self._buffer))"),
        ('raise TypeError("secrets stay in memory: they', 'return str, ("secrets",)  # ("'),
        ("min(i, j), max(i, j)", "i, j"),
        (".encrypt(_NONCE, shares, sid + _PAIR.pack(dealer, holder))", ".encrypt(_NONCE, shares, sid)"),
    ),
    *_replaced(
        MASKS,
        ("np.subtract(chunk, mask, out=chunk)", "np.add(chunk, mask, out=chunk)"),
        ("for array in (vector.counters, vector.words):", "for array in (vector.words,):"),
        ("for array in (vector.counters, vector.words):", "for array in (vector.counters,):"),
    ),
    *_without(
        VECTOR,
        "len(data) != self.nbytes",
        "(counters.shape, counters.dtype) != ((self.counters,), _COUNTER)",
        "(words.shape, words.dtype) != ((self.words,), self.dtype)",
    ),
    # The phone
    *_without(
        PHONE,
        "self._left",
        "inbox.recipient != session.index or session.index not in inbox.sharers",
        "len(inbox.sharers) < session.quorum",
        "set(sets.sharers) != self._held.keys()",
        "not survivors <= self._held.keys()",
        "session.index not in survivors",
        "len(survivors) < session.quorum",
        "not set(signed.signers) <= set(self._sets.survivors)",
        "len(signed.signers) < session.roster.threshold",
    ),
    *_replaced(
        PHONE,
        ("inbox.recipient != session.index or session", "session"),
        ("inbox.recipient != session.index or session.index not in inbox.sharers", "inbox.recipient != session.index"),
        ("if shares is None or not all", "shares = shares or bytes(2 * SHARE_BYTES)\n                if not all"),
        ("if shares is None or not all(map(is_field_element, split(shares, SHARE_BYTES))):", "if shares is None:"),
        (
            "index = roster.check(self._parameters, self._authority, self._own)",
            "index = roster.phones.index(self._own)",
        ),
        ("except BaseException:\n            self.abandon()\n", "except BaseException:\n"),
        ("self._left = True\n        try:", "try:"),
        ("            secret.wipe()\n\n\n@dataclass", "            pass\n\n\n@dataclass"),
        ("            self._round.mask_key.wipe()\n", ""),
        ("            self._round.share_key.wipe()\n", ""),
        ("(*self._inbox_keys.values(), *self._pairwise.values()):", "self._pairwise.values():"),
        ("(*self._inbox_keys.values(), *self._pairwise.values()):", "self._inbox_keys.values():"),
        ("for secret in (self._self_mask, *self._pairwise.values()):", "for secret in (self._self_mask,):"),
        ("for secret in (self._self_mask, *self._pairwise.values()):", "for secret in self._pairwise.values():"),
        ("                keep.wipe()\n", ""),
        ("[:: 1 if member in survivors else -1]", "[:: 1]"),
        ("[:: 1 if member in survivors else -1]", "[:: -1 if member in survivors else 1]"),
        ("sealed.check(phone.identity_key, phone.device_id)", "pass"),
        ("            self.abandon()\n            return message", "            return message"),
        ("session.parameters.vector.check(vector)", "pass"),
        ("plus = [keys.self_mask_key(bytes(self._self_mask), session.sid, session.index)]", "plus = []"),
        (
            "Secret(field_element(self._entropy)),\n                Secret(self",
            "Secret(bytes(32)),\n                Secret(self",
        ),
        ('raise TypeError("a phase holds secrets', 'return str, ("a phase",)  # ("'),
    ),
    # The server
    *_without(
        SERVER,
        "known == phone",
        "self._closed or len(self._phones) == self._room",
        "len(new_keys) < 3 or new_keys & self._keys",
        "len(self._phones) < self._parameters.minimum",
        "sealed.sender >= self._roster.n",
        "known == digest",
        "sealed.sender not in self._allowed",
        "len(self._digests) < needed",
        "device_id not in ids",
        "sealed.payload != self._sets.payload(self._roster.n)",
        "recovery.missing",
        "len(shares) - len(misfits) - self._may_deviate >= self._threshold",
    ),
    *_replaced(
        SERVER,
        ("phone.check_signature(self._parameters.plan_hash)", "pass"),
        ("self._authority.check(phone.device_id, phone.identity_key, phone.certificate)", "pass"),
        (
            'if known is not None:\n            raise ConflictingMessageError("advertised',
            'if False:\n            raise ConflictingMessageError("advertised',
        ),
        ("if self._closed or len(self._phones)", "if len(self._phones)"),
        ("if self._closed or len(self._phones) == self._room:", "if self._closed:"),
        ("if len(new_keys) < 3 or new_keys", "if new_keys"),
        ("if len(new_keys) < 3 or new_keys & self._keys:", "if len(new_keys) < 3:"),
        ("for key in (phone.mask_key, phone.share_key):", "for key in (phone.mask_key,):"),
        ("for key in (phone.mask_key, phone.share_key):", "for key in (phone.share_key,):"),
        ("sealed, sealed.check(phone.identity_key, phone.device_id)", "sealed, sealed.payload"),
        (
            'if known is not None:\n            raise ConflictingMessageError(f"sent',
            'if False:\n            raise ConflictingMessageError(f"sent',
        ),
        (
            'if self._closed:\n            raise WindowClosedError(f"{self._kind.name} came too late',
            'if False:\n            raise WindowClosedError(f"{self._kind.name} came too late',
        ),
        ("        parse_shares(sealed.payload)", "        pass"),
        ("sharers = self._taken(self._quorum)", "sharers = self._taken(0)"),
        ("self._taken(self._quorum))", "self._taken(0))"),
        ("signers = self._taken(self._roster.threshold)", "signers = self._taken(0)"),
        ("holders = self._taken(self._roster.threshold)", "holders = self._taken(0)"),
        ("super().__init__(parameters, roster, sharers)", "super().__init__(parameters, roster, range(roster.n))"),
        ("return keys.commitment(seed) == commitment", "return True"),
        ("return keys.public_key(private) == public", "return True"),
        ("if len(others) > self._may_deviate}", "}"),
        ("suspects |= {phone for phone, count in counts.items() if count == most}", "suspects |= set(counts)"),
        ("(minus if survivor < dealer else plus)", "(plus if survivor < dealer else minus)"),
    ),
    *_replaced(
        SERVER,
        *(
            (f"{closing}\n        self._closed = True\n", f"{closing}\n")
            for closing in (
                "sharers = self._taken(self._quorum)",
                "sets = Survivors(self._sharers, self._taken(self._quorum))",
                "signers = self._taken(self._roster.threshold)[: self._roster.threshold]",
                "masks.apply(self._sum, plus, minus)",
            )
        ),
    ),
    # Sharing
    *_without(SHAMIR, "not is_field_element(secret)", "not 1 <= threshold <= holders"),
    *_replaced(
        SHAMIR,
        ("field_elements(threshold - 1, entropy)", "field_elements(threshold - 2, entropy)"),
        ("each if is_field_element(each) else field_element(entropy) for each", "each for each"),
        ('int.from_bytes(value, "little") < PRIME', "True"),
        ("while 2 * (len(after) - 1) >= len(points) + threshold:", "while 0 > len(points):"),
        ("if remainder == [0] and len(polynomial) <= threshold else None", "if remainder == [0] else None"),
        ("yield from itertools.combinations(holders, size)\n        return", "return"),
        ("yield order.sample(holders, size)", "return"),
    ),
    # Updates, encodings, plans
    *_without("updates/update.py", "not bound > 0"),
    *_replaced(
        "updates/update.py",
        (
            'if not np.isfinite(norm):\n        raise ValueError("the delta',
            'if False:\n        raise ValueError("the delta',
        ),
        ("return delta if norm <= bound else", "return delta if True else"),
    ),
    *_without(
        "updates/encoding.py",
        "self.phones < 1 or self.levels < 2",
        "levels.size and not (levels.min() >= 0 and levels.max() < self.levels)",
        "rest.any() or (flat[:coordinates] > largest).any() or flat[coordinates:].any()",
        "kind not in {1, 2}",
        "not (math.isfinite(value) and value > 0)",
    ),
    *_replaced(
        "updates/encoding.py",
        ("if rest.any() or (flat", "if (flat"),
        ("(flat[:coordinates] > largest).any() or flat[coordinates:].any()", "flat[coordinates:].any()"),
        ("(flat[:coordinates] > largest).any() or flat[coordinates:].any()", "(flat[:coordinates] > largest).any()"),
        ("np.floor(values + uniform * 2.0**-32)", "np.rint(values)"),
        ("return (self.radix - 1) // self.phones + 1", "return (self.radix - 1) // self.phones + 2"),
        ("np.clip(rotated[part].astype(np.float64), -bound, bound)", "rotated[part].astype(np.float64)"),
    ),
    *_without(
        "protocol/plan.py",
        "len(self.model_sha256) != 32 or len(self.rotation_seed) != 32",
        "len(data) != PLAN_BYTES",
        "version != _VERSION",
        "not verifies(server_key, signature, _LABEL + plan)",
        "self.privacy.mechanism != Mechanism.NONE and isinstance(self.encoding, PackedEncoding)",
        "self.subset is not None and self.subset.dimension != self.dimension",
    ),
    *_without("device/downloads.py", "codec.sha256(content) != sha256"),
    *_without("protocol/policy.py", "refused"),
    *_replaced(
        "protocol/policy.py",
        ("plan.round_id <= last_round_id", "plan.round_id < last_round_id"),
        ("plan.minimum < self.min_phones", "False"),
        ("plan.privacy.noise_multiplier < self.min_noise_multiplier", "False"),
        ("plan.clip > self.max_clip", "False"),
        ("plan.encoding.bits > self.max_bits", "False"),
    ),
    *_without(
        "updates/codec.py",
        "(noise is not None) != self.noised",
        "not phones <= examples <= phones * self.weight_cap or max(tokens, loss, hits) > phones * MAX_COUNT",
        "hits > tokens or loss > tokens * MAX_TOKEN_LOSS * LOSS_UNITS + phones or unclipped > phones",
        "not np.linalg.norm(rotated.astype(np.float64)) <= self._max_norm(clips, phones)",
    ),
    *_replaced(
        "updates/codec.py",
        ("Sparsify(self._sampler), Clip(norm), Weigh", "Sparsify(self._sampler), Weigh"),
        ("not phones <= examples <= phones * self.weight_cap or max", "max"),
        ("phones <= examples <= phones * self.weight_cap", "examples <= phones * self.weight_cap"),
        ("hits > tokens or loss", "loss"),
        ("kept * np.float32(self.weight_cap)), tally", "kept), tally"),
        ("weight = total.phones * self.weight_cap", "weight = None"),
        ("self._counts.delta_clip if self.noised else self.clip", "self.clip"),
    ),
    *_replaced(
        "updates/counts.py",
        ("min(1.0, MAX_TOKENS / tally.tokens) if tally.tokens", "1.0 if tally.tokens"),
        ("min(tally.loss * less, tokens * MAX_TOKEN_LOSS)", "tally.loss * less"),
        ("self._shares(tally) * self._unit", "self._shares(tally) * self.clip"),
    ),
    *_replaced(
        "updates/transforms.py",
        ("examples = min(update.tally.examples, self.cap)", "examples = update.tally.examples"),
        ("update.delta * np.float32(examples / self.cap)", "update.delta"),
    ),
    *_without("updates/sparsification.py", "not 1 <= len(self.strata) <= MAX_STRATA", "not 0 < share <= 1"),
    *_replaced(
        "updates/sparsification.py",
        ("1 <= stratum.kept <= stratum.size for", "0 <= stratum.kept <= stratum.size for"),
        ("vector[self._indices] * self._scales", "vector[self._indices]"),
        ("restored[self._indices] / np.sqrt(self._scales)", "restored[self._indices]"),
        ("hashlib.sha256(_LABEL + seed).digest()", "hashlib.sha256(_LABEL).digest()"),
    ),
]


def noticed(mutation: Mutation) -> str:
    """Return what notices this mutation; nothing if no test does."""
    last = noticed_by().get(mutation.name)
    if last:
        with suppress(LookupError):
            if failed := first_failure(mutation.apply, [last]):
                return failed
    return first_failure(mutation.apply, _EVERYTHING)


def first_failure(change: Callable[[Path], None], tests: Sequence[str]) -> str:
    """Return the name of the first of `tests` that fails in a copy of the packages; nothing if none does.

    Args:
        change: the copy, given its folder.
        tests: files, folders or names.

    Raises:
        LookupError: there is no such test.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("docs/vectors", "federation", "model", "tests"):
            shutil.copytree(ROOT / name, root / name)
        shutil.copy(ROOT / "pyproject.toml", root)
        change(root)
        output = root / "output"
        process = _FORKS.Process(target=_run, args=(root, output, tests))
        process.start()
        process.join(_LONGEST_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
            return "the time limit"
        said = output.read_text()
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", said, re.MULTILINE)
        if failed and process.exitcode in _FAILED:
            return failed.group(1)
        if process.exitcode != 0:
            raise LookupError(f"pytest did not run: {said}")
    return ""


def _run(root: Path, output: Path, chosen: Sequence[str]) -> None:
    """Run the tests of a copy, in a process of their own, and end it with pytest's exit code."""
    with output.open("w") as said:
        for descriptor in (1, 2):
            os.dup2(said.fileno(), descriptor)
    for module in [name for name in sys.modules if name.split(".")[0] in {"federation", "model", "tests"}]:
        del sys.modules[module]  # those of this folder
    os.chdir(root)
    sys.path.insert(0, str(root))
    # Only the plugins that these tests need: loading the others takes longer than most mutations live.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    arguments = ["-qx", "-o", "addopts=", "-m", "not slow", "-p", "no:cacheprovider"]
    arguments += ["-p", "pytest_timeout", "-p", "_hypothesis_pytestplugin", "--hypothesis-profile", "mutation"]
    sys.exit(int(pytest.main([*arguments, *chosen])))


def tried(mutations: Sequence[Mutation]) -> Iterator[tuple[Mutation, str]]:
    """Yield each mutation with what noticed it, trying as many at once as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from zip(mutations, pool.map(noticed, mutations), strict=True)


def main() -> None:
    """Try all mutations, or those whose names contain the arguments."""
    wanted = " ".join(sys.argv[1:])
    chosen = [mutation for mutation in MUTATIONS if wanted in mutation.name]
    found = {}
    for mutation, by in tried(chosen):
        print(f"noticed  {mutation.name}\n         by {by}" if by else f"SURVIVED {mutation.name}", flush=True)  # noqa: T201
        found[mutation.name] = by
    known = noticed_by() | {name: by for name, by in found.items() if "::" in by}
    names = {mutation.name for mutation in MUTATIONS}
    kept = {name: by for name, by in sorted(known.items()) if name in names}
    _NOTICED_BY.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"{sum(map(bool, found.values()))} of {len(found)} mutations are noticed")  # noqa: T201
    sys.exit(not all(found.values()))


def noticed_by() -> dict[str, str]:
    """Return which test noticed each mutation last."""
    known: dict[str, str] = json.loads(_NOTICED_BY.read_text()) if _NOTICED_BY.exists() else {}
    return known


if __name__ == "__main__":
    main()
