"""What a phone is tried with: rounds that it must play to their end, and answers after which it must leave."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from federation.conformance import tampering
from federation.conformance.rehearsal import CLIP, DIMENSION, MAX_PHONES, MIN_PHONES, Rehearsal, World
from federation.privacy.mechanisms import noised_encoding
from federation.protocol import cohorts
from federation.protocol.log import Edge
from federation.protocol.plan import Mechanism, Privacy
from federation.protocol.steps import Step
from federation.protocol.task import CountingTask
from federation.protocol.training_settings import TrainingSettings
from federation.updates.encoding import ModularEncoding, PackedEncoding
from federation.updates.sparsification import Stratum, Subset

Change = Callable[[World], Mapping[str, Any]]

_NOTHING: Change = lambda _: {}  # noqa: E731 - the default of two fields
_HONEST: tampering.Tamper = lambda _, answer: answer  # noqa: E731 - likewise


@dataclass(frozen=True, kw_only=True)
class Case:
    """One round of a trial.

    Attributes:
        name: short, and the same in every run.
        rule: what the phone has to do, as a sentence.
        at: the answer that is tampered with: `plan`, `log`, `model`, `revoked`, or a message of the round; empty in a
            round that is played to its end.
        tamper: what becomes of that answer.
        plan, task: how plan and task differ from the usual ones.
        drops: companions that are gone when a step begins.
        prepares: done to the world before the round.
        hiccup: an answer that the phone gets in place of the first one to a request, by method and last part of the
            path; a status of 0 is no answer at all.
        stale: the round has the number of the one before.
    """

    name: str
    rule: str
    at: str = ""
    tamper: tampering.Tamper = _HONEST
    plan: Change = _NOTHING
    task: Change = _NOTHING
    drops: Mapping[Step, int] = field(default_factory=dict)
    prepares: Callable[[World], None] = lambda _: None
    hiccup: Mapping[str, tuple[int, Mapping[str, str]]] = field(default_factory=dict)
    stale: bool = False

    def begin(self, world: World, round_id: int) -> Rehearsal:
        """Return the round of this case."""
        world.mend()
        self.prepares(world)
        nonce = world.entropy(cohorts.NONCE_BYTES)
        changes = dict(self.task(world))
        if "commitments" in changes:
            changes["commitments"] = replace(changes["commitments"], groups=cohorts.commitment(nonce))
        task = world.task(nonce, **changes)
        plan = world.plan(round_id, task, **self.plan(world))
        return Rehearsal(world, plan, task, nonce, self.drops)


FORBIDDEN = {
    "plan": Step.ADVERTISE,
    "log": Step.ADVERTISE,
    "model": Step.ADVERTISE,
    "revoked": Step.ADVERTISE,
    "roster": Step.SHARE,
    "cohort": Step.SHARE,
    "inbox": Step.UPLOAD,
    "survivors": Step.CONFIRM,
    "signatures": Step.UNMASK,
}
"""What a phone that took a tampered answer for a good one would send next."""


def _noised(mechanism: Mechanism) -> dict[str, Any]:
    privacy = Privacy(mechanism, 0.3, 1)
    return {"privacy": privacy, "encoding": noised_encoding(MAX_PHONES, MIN_PHONES, privacy, CLIP, DIMENSION)}


_HALF = Subset((Stratum(3000, 750), Stratum(2000, 1000)))


def _plays(name: str, rule: str, **more: Any) -> Case:
    return Case(name=name, rule=rule, **more)


PLAYED = (
    _plays("lanes", "plays a round of packed lanes"),
    _plays("lanes.8", "packs eight lanes to a word", plan=lambda _: {"encoding": PackedEncoding(8, MAX_PHONES, 0.05)}),
    _plays("subset", "sends the subset that the seed draws", plan=lambda _: {"subset": _HALF}),
    _plays(
        "modular.16",
        "plays a round of 16-bit integers that wrap around",
        plan=lambda _: {"encoding": ModularEncoding.for_norm(16, MAX_PHONES, CLIP, DIMENSION)},
    ),
    _plays(
        "modular.8",
        "plays a round of 8-bit integers of a subset",
        plan=lambda _: {"encoding": ModularEncoding.for_norm(8, MAX_PHONES, CLIP / 4, DIMENSION), "subset": _HALF},
    ),
    _plays("clip", "clips a delta that is longer than the clip", plan=lambda _: {"clip": 0.03}),
    _plays("weight", "weighs by no more examples than the plan's cap", plan=lambda _: {"weight_cap": 4}),
    _plays("skellam", "adds Skellam noise of the plan's size", plan=lambda _: _noised(Mechanism.SKELLAM)),
    _plays(
        "gaussian",
        "adds discrete Gaussian noise of the plan's size",
        plan=lambda _: _noised(Mechanism.DISCRETE_GAUSSIAN),
    ),
    _plays("dropout.share", "goes on when another phone deals no shares", drops={Step.SHARE: 1}),
    _plays("dropout.upload", "goes on when another phone does not upload", drops={Step.UPLOAD: 1}),
    _plays("model.new", "fetches a new model, or the difference to it", prepares=lambda world: world.add_model()),
    _plays("later", "asks again when a step has not begun", hiccup={"GET roster": (425, {"Retry-After": "1"})}),
    _plays("busy", "sends the same bytes again when the server is busy", hiccup={"POST upload": (503, {})}),
    _plays("lost", "sends the same bytes again when an answer is lost", hiccup={"POST confirm": (0, {})}),
    _plays("clock", "signs anew with the server's time when its own is wrong", hiccup={"POST share": (401, {})}),
)


_TASKS: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("rate", "a learning rate of 1000", {"training": TrainingSettings(learning_rate=1000.0)}),
    ("epochs", "a thousand passes over the text", {"training": TrainingSettings(epochs=1000)}),
    (
        "counting",
        "a list to count that is not the app's",
        {"counting": CountingTask(list_sha256="ab" * 32, max_count=8)},
    ),
)


def _committing(**changes: Any) -> Change:
    return lambda world: {"commitments": replace(world.commitments(bytes(32)), **changes)}


def _rewritten(world: World) -> dict[str, Any]:
    edge = Edge.of([b"another beginning", *world.log[1:]])
    return {"commitments": replace(world.commitments(bytes(32)), log_root=edge.root)}


def _cut(world: World) -> dict[str, Any]:
    edge = Edge.of(world.log[:-1])
    return {"commitments": replace(world.commitments(bytes(32)), log_size=edge.size, log_root=edge.root)}


def _leaves(at: str, what: str, cases: tampering.Faults) -> tuple[Case, ...]:
    return tuple(
        Case(name=f"{at}.{name}", rule=f"leaves when {what} wrong: {rule}", at=at, tamper=tamper)
        for name, rule, tamper in cases
    )


def _leaves_plan(name: str, why: str, **more: Any) -> Case:
    return Case(name=f"plan.{name}", rule=f"leaves when {why}", at="plan", **more)


def _altered(name: str, why: str, prepares: Callable[[World], None]) -> Case:
    """Return a case in which the last byte of an answer is changed on the way."""
    at = name.partition(".")[0]
    return Case(name=name, rule=f"leaves when {why}", at=at, prepares=prepares, tamper=tampering.flip(-1))


def _always(told: Mapping[str, Any]) -> Change:
    return lambda _: told


LEFT = (
    *_leaves("plan", "a plan is", tampering.PLAN),
    *(_leaves_plan(f"task.{name}", f"the task has {why}", task=_always(told)) for name, why, told in _TASKS),
    _leaves_plan("stale", "the round is not after the one that it took part in", stale=True),
    _leaves_plan("epoch", "the round is of another epoch", task=lambda w: _committing(epoch=w.epoch - 1)(w)),
    _leaves_plan("rewritten", "the log was rewritten", task=_rewritten),
    _leaves_plan("cut", "the log was cut", task=_cut),
    _leaves_plan("unlogged", "the model is not in the log", prepares=lambda world: world.add_model(logged=False)),
    _altered("log.entry", "the log's entries do not lead to its head", lambda world: world.add_model()),
    _altered("model.altered", "what comes is not the plan's model", lambda world: world.add_model()),
    _altered(
        "revoked.altered",
        "the list of revoked devices is not the one that the plan names",
        lambda world: world.revoke(frozenset({world.entropy(16)})),
    ),
    Case(
        name="revoked.signer",
        rule="leaves when the list of revoked devices is not the authority's",
        at="revoked",
        prepares=lambda world: world.revoke(frozenset(), tampering.ANOTHER),
    ),
    *_leaves("roster", "a roster is", tampering.ROSTER),
    *_leaves("cohort", "a cohort is", tampering.COHORT),
    *_leaves("inbox", "an inbox is", tampering.INBOX),
    *_leaves("survivors", "the survivors are", tampering.SURVIVORS),
    *_leaves("signatures", "the signatures are", tampering.SIGNATURES),
    Case(
        name="survivors.risen",
        rule="leaves when the survivors are wrong: one dealt no shares",
        at="survivors",
        tamper=tampering.sets_changed(tampering.risen),
        drops={Step.SHARE: 1},
    ),
    Case(
        name="signatures.gone",
        rule="leaves when the signatures are wrong: one is of a phone that did not survive",
        at="signatures",
        tamper=tampering.signed_by_the_gone,
        drops={Step.UPLOAD: 1},
    ),
    Case(
        name="roster.revoked",
        rule="leaves when a roster is wrong: a device was revoked",
        at="roster",
        prepares=lambda world: world.revoke(frozenset({world.companions[0].key.device_id})),
    ),
)
"""Cases in which a phone must not send the message that would come next."""

CASES = (*PLAYED, *LEFT, PLAYED[0])
"""All of them, in the order in which they are tried: at the end the phone still plays."""
