"""Known answers with their inputs, for writers of phones and servers: `docs/vectors`, one file for each section.

    python -m tests.federation.vectors

writes the files anew, and what `docs/protocol.md` has of them and of `federation.server.openapi`, which is right only
when the protocol changes. Everything is derived from fixed bytes, and exact in any arithmetic: deltas are small
multiples of 1/4096.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.conformance.cases import LEFT, PLAYED, Case
from federation.conformance.reference_update import reference_update
from federation.conformance.rehearsal import DIMENSION, Rehearsal, World
from federation.privacy.mechanisms import draw
from federation.protocol import model_codec, request_signing
from federation.protocol.credentials import EPOCH_SECONDS, EnrolmentRequest, Issuer, Revocations
from federation.protocol.log import Edge, pack
from federation.protocol.plan import Mechanism
from federation.protocol.steps import Step
from federation.secure_aggregation import DeviceKey, keys, masks, phone, shamir
from federation.secure_aggregation.errors import SecureAggregationError
from federation.secure_aggregation.keys import Role
from federation.secure_aggregation.messages import bitmap, split
from federation.server import openapi
from federation.updates.encoding import Encoding, ModularEncoding, PackedEncoding
from federation.updates.random_stream import random_order, random_words
from federation.updates.rotation import Rotation
from federation.updates.sparsification import Sampler, Stratum, Subset
from tests.federation.secure_aggregation import known_answers

FOLDER = Path(__file__).parents[2] / "docs" / "vectors"
PAGE = FOLDER.with_name("protocol.md")

KEY = bytes(range(32))
SID = bytes(range(32, 64))
NOW = 1_700_000_000
ENTRIES = [f'{{"accepted":true,"sha256":"{number:064x}"}}'.encode() for number in range(11)]


def entropy(*name: object) -> shamir.Entropy:
    """Return a fixed stream of random bytes."""
    count = 0

    def next_bytes(size: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(repr((name, count)).encode()).digest(size)

    return next_bytes


def key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def public(private: Ed25519PrivateKey) -> str:
    return private.public_key().public_bytes_raw().hex()


def device(name: str) -> DeviceKey:
    return DeviceKey(hashlib.sha256(b"id of " + name.encode()).digest()[:16], key(name))


def primitives() -> dict[str, Any]:
    """Keys, streams, shares and sets."""
    drawn = entropy("shares")(64)
    return {
        "derive": [
            {"secret": KEY.hex(), "sid": SID.hex(), "role": role.value.decode(), "i": 1, "j": 258}
            | {"key": keys.derive(KEY, SID, role, 1, 258).hex()}
            for role in Role
        ],
        "commitment": {"b": KEY.hex(), "commitment": keys.commitment(KEY).hex()},
        "stream": {"key": KEY.hex(), "bytes": masks.key_stream(KEY).update(bytes(64)).hex()},
        "agree": {
            "private": KEY.hex(),
            "peer": keys.public_key(SID).hex(),
            "secret": keys.agree(keys.private_key(KEY), keys.public_key(SID)).hex(),
            "low_order_peers": [bytes(32).hex(), (1).to_bytes(32, "little").hex()],
        },
        "dealt": {
            "key": KEY.hex(),
            "sid": SID.hex(),
            "dealer": 1,
            "holder": 258,
            "shares": (drawn * 2)[:64].hex(),
            "dealt": keys.encrypt_shares(KEY, SID, 1, 258, (drawn * 2)[:64]).hex(),
        },
        "shamir": {
            "secret": KEY.hex(),
            "threshold": 3,
            "coefficients": [each.hex() for each in split(drawn, 32)],
            "shares": [each.hex() for each in shamir.share(KEY, 3, 5, lambda _: drawn)],
        },
        "sets": [
            {"n": n, "members": each, "bytes": bitmap(each, n).hex()} for n, each in ((3, [0, 2]), (17, [0, 8, 16]))
        ],
        "sets_beyond_the_roster": [{"n": 3, "bytes": "08"}, {"n": 9, "bytes": "0002"}],
    }


def enrolment() -> dict[str, Any]:
    """Requests, credentials and the list of revoked devices."""
    authority, identity, pseudonym = key("authority"), device("identity"), device("pseudonym")
    request = EnrolmentRequest.signed(identity, pseudonym)
    epoch = NOW // EPOCH_SECONDS
    credential = Issuer(authority).issue(pseudonym.enrolment_request(), epoch)
    revoked = Revocations(frozenset({bytes([7]) * 16, bytes([5]) * 16}), NOW).signed(authority)
    return {
        "identity": {"id": identity.device_id.hex(), "private_key": identity.private_key.private_bytes_raw().hex()},
        "pseudonym": {"id": pseudonym.device_id.hex(), "private_key": pseudonym.private_key.private_bytes_raw().hex()},
        "request": request.hex(),
        "authority_private_key": authority.private_bytes_raw().hex(),
        "authority_key": public(authority),
        "now": NOW,
        "epoch": epoch,
        "credential": credential.to_bytes().hex(),
        "revoked": {
            "list": revoked.hex(),
            "sha256": hashlib.sha256(revoked).hexdigest(),
            "ids": ["05" * 16, "07" * 16],
        },
        "refused": {
            "credentials": {
                "another authority": Issuer(key("another"))
                .issue(pseudonym.enrolment_request(), epoch)
                .to_bytes()
                .hex(),
                "another epoch": Issuer(authority).issue(pseudonym.enrolment_request(), epoch - 1).to_bytes().hex(),
                "another version": (b"\1" + credential.to_bytes()[1:]).hex(),
                "cut off": credential.to_bytes()[:-1].hex(),
            },
            "lists": {
                "altered": (revoked[:-1] + b"\0").hex(),
                "another authority": Revocations(frozenset(), NOW).signed(key("another")).hex(),
                "cut off": revoked[:-1].hex(),
            },
        },
    }


def requests() -> dict[str, Any]:
    """Signed requests."""
    server, who = key("server"), device("pseudonym")
    credential = Issuer(key("authority")).issue(who.enrolment_request(), NOW // EPOCH_SECONDS)
    nonce = bytes(range(16))

    def signed(method: str, target: str, body: bytes) -> dict[str, Any]:
        told = request_signing.sign(
            who, credential, _raw(server), method=method, target=target, body=body, now=NOW, nonce=nonce
        )
        return {"method": method, "target": target, "body": body.hex(), "headers": told}

    return {
        "server_key": public(server),
        "private_key": who.private_key.private_bytes_raw().hex(),
        "credential": credential.to_bytes().hex(),
        "time": NOW,
        "nonce": nonce.hex(),
        "requests": [
            signed(
                "POST", "/v1/check-in", b'{"conditions":{"idle":true,"charging":true,"unmetered":true},"protocols":[1]}'
            ),
            signed("GET", "/v1/rounds/7/plan", b""),
            signed("GET", "/v1/log/0?from=here", b""),
        ],
        "refused_seconds_later": [-301, 301],
    }


def _raw(private: Ed25519PrivateKey) -> bytes:
    return private.public_key().public_bytes_raw()


def _digest(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return the beginning of an array's little-endian bytes, and SHA-256 of all of them."""
    data = array.tobytes()
    return {"begins": data[:64].hex(), "sha256": hashlib.sha256(data).hexdigest()}


_ENCODINGS: tuple[Encoding, ...] = (
    *(PackedEncoding(lanes, 10, 0.01) for lanes in range(2, 9)),
    PackedEncoding(5, 40, 0.01),
    ModularEncoding(16, 60, 0.0001),
    ModularEncoding(8, 60, 0.001),
)


def encoding() -> dict[str, Any]:
    """Subset, rotation, rounding and packing, each by itself."""
    strata = ((1000, 100), (4000, 4000), (1, 1))
    sampler = Sampler(KEY, Subset(tuple(Stratum(*each) for each in strata)))
    assert sampler._indices is not None
    vector = reference_update(5001).delta
    rotated = Rotation(KEY, 5001).apply(vector)
    words = random_words(KEY, 5000, "<u8")
    return {
        "order": {"key": KEY.hex(), "size": 5000, "order": _digest(random_order(words))},
        "subset": {
            "seed": KEY.hex(),
            "strata": [{"size": size, "kept": kept} for size, kept in strata],
            "indices": _digest(sampler._indices.astype("<u4")),
            "test_update": _digest(sampler.apply(vector).astype("<f4")),
        },
        "rotation": {"seed": KEY.hex(), "dimension": 5001, "test_update": _digest(rotated.astype("<f4"))},
        "rounding": [_rounded(each, rotated) for each in _ENCODINGS],
    }


def _rounded(each: Encoding, rotated: np.ndarray[Any, np.dtype[np.float32]]) -> dict[str, Any]:
    levels = each.quantise(rotated, SID)
    lanes = isinstance(each, PackedEncoding)
    return {
        "encoding": {
            "kind": 1 if lanes else 2,
            "size": each.per_word if isinstance(each, PackedEncoding) else each.wrap_bits,
            "phones": each.phones,
            "scale": each.bound if isinstance(each, PackedEncoding) else each.step,
        },
        "of": "rotation.test_update",
        "seed": SID.hex(),
        "levels": [int(level) for level in levels[:8]],
        "words": _digest(each.pack(levels)),
    }


def noise() -> list[dict[str, Any]]:
    """Draws of noise."""
    return [
        {"mechanism": mechanism.value, "variance": variance, "seed": KEY.hex()}
        | {"draws": draw(mechanism, variance, 48, KEY).tolist()}
        for mechanism in (Mechanism.SKELLAM, Mechanism.DISCRETE_GAUSSIAN)
        for variance in (0.3, 7.25, 90000.0)
    ]


def history() -> dict[str, Any]:
    """Models, and their log."""
    old, new = (reference_update(100).delta * np.float32(factor) for factor in (1, 1.001))
    before, after = model_codec.to_bytes(old), model_codec.to_bytes(new)
    digest = model_codec.sha256(after)
    heads = [{"size": size, "root": Edge.of(ENTRIES[:size]).root.hex()} for size in (0, 1, 2, 3, 7, 8, 11)]
    server = key("server")
    return {
        "server_key": public(server),
        "model": {
            "version": 7,
            "sha256": digest,
            "signature": server.sign(model_codec.signed_part(7, digest)).hex(),
        },
        "difference": {"old": before.hex(), "new": after.hex(), "difference": model_codec.delta(before, after).hex()},
        "log": {"entries": pack(ENTRIES).hex(), "heads": heads},
        "refused": [
            {"seen": 3, "size": 8, "root": heads[-1]["root"], "why": "another head"},
            {"seen": 8, "size": 7, "root": heads[4]["root"], "why": "the log was cut"},
        ],
    }


class Played:
    """A round of a case with a phone whose every secret is known.

    Args:
        case: of the round.
    """

    def __init__(self, case: Case) -> None:
        self.world = World(float(NOW), entropy("world"))
        own = self.world.new_device()
        self.case, self.rehearsal = case, case.begin(self.world, 7)
        self.answer = self.rehearsal.plan.signed(self.world.server_key) + self.rehearsal.task.to_bytes()
        self.seed = hashlib.sha256(b"rounding").digest()
        self._drawn: list[bytes] = []
        self._random = entropy("phone")
        self.messages: dict[str, bytes] = {}
        self._own = own
        self._phase: Any = phone.AdvertiseKeys(self.rehearsal.plan.session, own, self.world.authority, self._recorded)

    def _recorded(self, size: int) -> bytes:
        self._drawn.append(self._random(size))
        return self._drawn[-1]

    def play(self, until: str = "", tampered: Callable[[Rehearsal, bytes], bytes] | None = None) -> bytes:
        """Play, or come to an answer and return what becomes of it; the phone has to refuse that."""
        self._take(Step.ADVERTISE, self._phase.advertise())
        for name, step in (("roster", Step.SHARE), ("inbox", Step.UPLOAD), ("survivors", Step.CONFIRM)):
            answer = self.rehearsal.answers[name]
            if until == name and tampered is not None:
                return self._refused(name, tampered(self.rehearsal, answer))
            self._take(step, self._step(name, answer))
        answer = self.rehearsal.answers["signatures"]
        if until and tampered is not None:
            return self._refused("signatures", tampered(self.rehearsal, answer))
        self._take(Step.UNMASK, (self._phase.unmask(answer), None))
        return b""

    def _step(self, name: str, answer: bytes) -> tuple[bytes, Any]:
        if name == "inbox":
            self._phase = self._phase.open(answer)
            plan = self.rehearsal.plan
            taken: tuple[bytes, Any] = self._phase.mask(plan.encode(reference_update(DIMENSION), self.seed))
            return taken
        step: Callable[[bytes], tuple[bytes, Any]] = self._phase.share if name == "roster" else self._phase.confirm
        return step(answer)

    def _refused(self, name: str, answer: bytes) -> bytes:
        try:
            taken = self._phase.unmask(answer) if name == "signatures" else self._step(name, answer)
        except SecureAggregationError:
            return answer
        raise AssertionError(f"{self.case.name}: a phone of ours takes it: {taken!r:.40}")

    def _take(self, step: Step, made: tuple[bytes, Any]) -> None:
        self.messages[step.value], self._phase = made
        self.rehearsal.take(step, made[0])

    @property
    def inputs(self) -> dict[str, Any]:
        """What the phone knew beforehand, and drew."""
        mask_key, share_key, seed, *coefficients = self._drawn
        return {
            "server_key": self.world.server_public.hex(),
            "authority_key": self.world.issuer.authority.public_key.hex(),
            "epoch": self.world.epoch,
            "phone": {
                "id": self._own.key.device_id.hex(),
                "private_key": self._own.key.private_key.private_bytes_raw().hex(),
                "certificate": self._own.certificate.hex(),
                "mask_key": mask_key.hex(),
                "share_key": share_key.hex(),
                "self_mask": seed.hex(),
                "coefficients": [[each.hex() for each in split(drawn, 32)] for drawn in coefficients],
                "rounding_seed": self.seed.hex(),
            },
        }


ROUNDS = ("lanes", "lanes.8", "subset", "modular.16", "modular.8", "weight", "dropout.share", "dropout.upload")
"""Cases of a phone trial that are played exactly; others scale a delta by what no float holds."""


def rounds() -> list[dict[str, Any]]:
    """Whole rounds: the first with every byte, the others with the server's answers and the phone's messages."""
    told = []
    for case in PLAYED:
        if case.name in ROUNDS:
            played = Played(case)
            played.play()
            answers = {name: answer.hex() for name, answer in played.rehearsal.answers.items()}
            upload = played.messages["upload"]
            sent = {name: message.hex() for name, message in played.messages.items() if name != "upload"}
            sent |= {"upload_sha256": hashlib.sha256(upload).hexdigest(), "upload_begins": upload[:200].hex()}
            shown = {"plan": played.answer.hex(), "hash": played.rehearsal.plan.hash.hex()}
            told.append(
                {"name": case.name, "rule": case.rule, **played.inputs, **shown, "server": answers, "phone_sends": sent}
            )
    return told


_BASE = {"survivors.risen": "dropout.share", "signatures.gone": "dropout.upload"}
_ALONE = ("plan.stale", "plan.epoch", "plan.rewritten", "plan.cut", "plan.unlogged")
"""Cases that only what a phone has seen before makes wrong: `history.json` and `enrolment.json` have theirs."""


def refusals() -> list[dict[str, Any]]:
    """Answers after which a phone must leave; all before is as in the round that `base` names in `rounds.json`."""
    told = []
    for case in LEFT:
        base = _BASE.get(case.name, "lanes")
        shown = {"name": case.name, "rule": case.rule, "at": case.at, "base": base}
        if case.at == "plan" and case.name not in _ALONE:
            played = Played(case)
            told.append({**shown, "message": case.tamper(played.rehearsal, played.answer).hex()})
        elif case.at == "cohort":
            played = Played(next(each for each in PLAYED if each.name == base))
            played.play()
            told.append({**shown, "message": case.tamper(played.rehearsal, played.rehearsal.answers["cohort"]).hex()})
        elif case.at in {"roster", "inbox", "survivors", "signatures"} and case.name != "roster.revoked":
            played = Played(next(each for each in PLAYED if each.name == base))
            told.append({**shown, "message": played.play(case.at, case.tamper).hex()})
    return told


FILES: dict[str, Callable[[], Any]] = {
    "primitives": primitives,
    "secure_aggregation": known_answers.answers,
    "enrolment": enrolment,
    "requests": requests,
    "encoding": encoding,
    "noise": noise,
    "history": history,
    "rounds": rounds,
    "refusals": refusals,
}


def text_of(name: str) -> str:
    """Return what is in a file of vectors."""
    return json.dumps(FILES[name](), indent=1) + "\n"


def example() -> str:
    """Return the worked example of a signed request, as `docs/protocol.md` has it."""
    told = requests()
    shown = told["requests"][0]
    body, headers = bytes.fromhex(shown["body"]), shown["headers"]
    parts = {
        "label": b"fedkey request v2\0".hex(),
        "server key": told["server_key"],
        "time": told["time"].to_bytes(8, "little").hex(),
        "nonce": told["nonce"],
        "SHA-256 of the body": hashlib.sha256(body).hexdigest(),
        "line": f"{shown['method']} {shown['target']}\n".encode().hex(),
    }
    lines = [f"private key          {told['private_key']}", f"body                 {body.decode()}"]
    lines += [f"{name:<20} {value}" for name, value in parts.items()]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "".join(f"    {line}\n" for line in lines)


def page(text: str) -> str:
    """Return `docs/protocol.md` with what is generated in its places."""
    for mark, content in (("example", example()), ("answers", openapi.tables())):
        begin, end = f"<!-- {mark} -->\n", f"<!-- /{mark} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{content}\n{end}{rest.split(end)[1]}"
    return text


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in FILES:
        (FOLDER / f"{each}.json").write_text(text_of(each))
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
