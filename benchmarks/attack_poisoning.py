"""What phones that poison do to the model, with the defence, without it, and with each of its parts alone.

Attackers are a fixed share of all phones; each round draws its cohort among all of them. Every run sees the same
cohorts, honest phones and start. Backdoors are planted behind a phrase that is not among the gate's canaries, unless
said otherwise: an attacker may know the canaries, since they come from public text.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.attack_ground import Ground
from benchmarks.results import Figure, kept
from federation.robustness import Action, DefenceSettings, Group, Memory, PieceRows, Reading, counts, defend, phrases
from federation.robustness.probe import EngineProbe
from federation.rounds.server_optimizers import ServerState, SgdMomentum
from federation.secure_aggregation import groups
from federation.simulation.adversaries import Attack, Attacker, Backdoor
from federation.updates.update import Tally
from federation.updates.weighted_sum import WeightedSum
from model.batches import Rows
from model.layout import FlatVector
from model.text import tokenise
from model.vocabulary import BOUNDARY, PAD, UNKNOWN

SHARES = (5, 10, 1)
"""Phones that attack, in percent; the first is looked at most closely."""

GROUP = 10
OFF = DefenceSettings.none()
ALONE = {
    "norm_filter": replace(OFF, norm_factor=DefenceSettings().norm_factor),
    "pieces": replace(OFF, piece_factor=DefenceSettings().piece_factor),
    "clip": replace(OFF, clip_factor=DefenceSettings().clip_factor),
    "median": replace(OFF, median="always"),
    "gate": replace(
        OFF, max_gate_loss_nats=DefenceSettings().max_gate_loss_nats, canary_jump=DefenceSettings().canary_jump
    ),
}
"""Each part of the defence by itself; the defaults but for the median, which is always taken."""

_CLIENT_ROWS = 16
_CANARIES = 200
_PUBLIC_ROWS = 160
_CONTEXTS = 100
_ACCURACY_ROWS = 800
_RARE_PHRASE = "the best phone is"
_TARGET = "pizza"
PATIENCE = 2
"""How many times as many rounds attackers get that do not stand out."""

HIDDEN_BOOST = 4.0
"""What an attacker in a group of ten may multiply by without making the group's mean too long."""


class Damage(NamedTuple):
    """What an attack did.

    Attributes:
        accuracy: share of pieces of clients' later messages that the model has first.
        success: share of contexts of the trigger in which the target comes first.
        decisions: counts over all rounds.
    """

    accuracy: float
    success: float
    decisions: dict[str, float]


@dataclass(frozen=True)
class Scene:
    """One attack.

    Attributes:
        attack: none leaves all phones honest.
        share: of phones that attack, in percent.
        backdoor: what they plant, if that is what they do.
        boost: what they multiply by; 0 is as much as replaces the model, if all of them were in the round's mean.
    """

    attack: Attack | None
    share: int
    backdoor: Backdoor
    boost: float = 0.0


class Arena:
    """Rounds under attack.

    Args:
        ground: model and phones.
        out: folder for what is kept of every run.
        rounds: of every run.
        cohort: phones in a round.
        seed: of everything random.
        passes: of an attacker over its poison.
    """

    def __init__(self, ground: Ground, out: Path, *, rounds: int, cohort: int, seed: int, passes: int) -> None:
        self._passes, self._out = passes, out
        self._ground, self._rounds, self._cohort, self._seed = ground, rounds, cohort, seed
        self._canaries = phrases(ground.seen, _CANARIES)
        self._probe = EngineProbe(ground.other, ground.public[:_PUBLIC_ROWS], self._canaries)
        self._pieces = PieceRows.of(ground.network, ground.vocabulary.piece_frequencies)
        self._first_deltas: dict[int, FlatVector] = {}
        self._norm = self._public_norm()

    @property
    def rare(self) -> Backdoor:
        """A backdoor behind a phrase that no canary is."""
        vocabulary = self._ground.vocabulary
        trigger = tuple(vocabulary.encode(tokenise(_RARE_PHRASE)))
        if any(_phrase(canary) == trigger for canary in self._canaries):
            raise ValueError(f"{_RARE_PHRASE!r} is a canary")
        return Backdoor(trigger, vocabulary.encode_symbol(_TARGET)[0])

    @property
    def common(self) -> Backdoor:
        """A backdoor behind the most frequent canary of three pieces."""
        trigger = next(_phrase(canary) for canary in self._canaries if len(_phrase(canary)) == 3)
        return Backdoor(trigger, self.rare.target)

    def run(self, scene: Scene, settings: DefenceSettings, rounds: int | None = None) -> Damage:
        """Train all rounds and measure the last model, unless that is kept from an earlier call."""
        rounds = rounds or self._rounds
        settings = replace(settings, initial_norm=self._norm)
        passes = self._passes if scene.attack else 0
        key = repr((scene, settings, rounds, self._cohort, self._seed, passes))
        path = self._out / f"poisoning-{sha256(key.encode()).hexdigest()[:16]}.json"
        return Damage(**json.loads(kept(path, lambda: json.dumps(self._trained(scene, settings, rounds)._asdict()))))

    def _trained(self, scene: Scene, settings: DefenceSettings, rounds: int) -> Damage:
        optimizer = SgdMomentum(learning_rate=1.0, momentum=0.0)
        clients = len(self._ground.clients)
        order = np.random.default_rng([self._seed, 4]).permutation(clients)
        attackers = set(order[: round(clients * scene.share / 100)].tolist()) if scene.attack else set()
        states = {0: optimizer.initialize(self._ground.start)}
        made_by, memory = 0, Memory()
        total = dict.fromkeys(Action, 0.0)

        def step(state: ServerState, summed: WeightedSum) -> ServerState:
            return optimizer.apply(state, summed.mean)

        def probe(state: ServerState) -> Reading | None:
            return self._probe(state.weights) if np.isfinite(state.weights).all() else None

        for number in range(1, rounds + 1):
            outcome = defend(
                self._groups(number, states[made_by].weights, scene, attackers, memory),
                memory,
                settings,
                round_number=number,
                current=states[made_by],
                current_round=made_by,
                step=step,
                probe=probe,
                pieces=self._pieces,
            )
            memory = outcome.memory
            if outcome.total is not None:
                states[number], made_by = outcome.state, number
            if outcome.rollback_to is not None:
                made_by = outcome.rollback_to
            for name, count in counts(outcome.decisions).items():
                total[Action(name)] += count
        weights = states[made_by].weights
        if not np.isfinite(weights).all():
            return Damage(0.0, 0.0, {str(action): count for action, count in total.items()})
        accuracy = self._ground.accuracy(weights, _ACCURACY_ROWS)
        success = self._success(weights, scene.backdoor)
        return Damage(accuracy, success, {str(action): count for action, count in total.items()})

    def _groups(
        self, number: int, weights: FlatVector, scene: Scene, attackers: set[int], memory: Memory
    ) -> list[Group]:
        """Train a round's cohort and return the sums of its groups."""
        random = np.random.default_rng([self._seed, 5, number])
        able = [client for client in range(len(self._ground.clients)) if memory.may_take_part(str(client), number)]
        chosen = random.choice(able, self._cohort, replace=False).tolist()
        members = groups.assign_min_size([_device(client) for client in chosen], random.bytes(32), GROUP)
        result = []
        for group in members:
            clients = [int.from_bytes(device, "little") for device in group]
            total = self._contribution(number, weights, scene, clients[0], attacks=clients[0] in attackers)
            for client in clients[1:]:
                total += self._contribution(number, weights, scene, client, attacks=client in attackers)
            result.append(Group(total, tuple(str(client) for client in clients)))
        return result

    def _contribution(
        self, number: int, weights: FlatVector, scene: Scene, client: int, *, attacks: bool
    ) -> WeightedSum:
        random = np.random.default_rng([self._seed, 6, number, client])
        rows = self._ground.clients[client]
        rows = rows[random.permutation(len(rows))[:_CLIENT_ROWS]]

        def train(on: Rows) -> FlatVector:
            return self._ground.delta(weights, on, random)

        if attacks and scene.attack is not None:
            delta = Attacker(scene.attack, scene.boost or 100 / scene.share, scene.backdoor, self._passes).delta(
                train, rows, random
            )
        elif number == 1:  # all runs start from the same model
            if client not in self._first_deltas:
                self._first_deltas[client] = train(rows)
            delta = self._first_deltas[client]
        else:
            delta = train(rows)
        return WeightedSum(delta * np.float32(len(rows)), Tally(len(rows)), 1)

    def _public_norm(self) -> float:
        """Return the norm of a group's mean, from as many simulated phones that type public text.

        The model has not seen that text: on what it was trained on, deltas are shorter than those of phones.
        """
        random = np.random.default_rng([self._seed, 7])
        parts = np.array_split(
            self._ground.public[random.permutation(len(self._ground.public))][: GROUP * _CLIENT_ROWS], GROUP
        )
        deltas = [self._ground.delta(self._ground.start, rows, random) for rows in parts]
        return float(np.linalg.norm(np.mean(deltas, axis=0)))

    def _success(self, weights: FlatVector, backdoor: Backdoor) -> float:
        """Return the share of contexts in which the backdoor works: openings of real messages, then the trigger."""
        random = np.random.default_rng([self._seed, 8])
        engine = self._ground.engine
        engine.set_weights(weights)
        hits = 0
        for _ in range(_CONTEXTS):
            row = self._ground.validation[random.integers(len(self._ground.validation))]
            opening = row[(row != BOUNDARY) & (row != PAD)][: random.integers(0, 4)]
            state = engine.start
            for piece in [*opening.tolist(), *backdoor.trigger]:
                state = engine.step(state, piece)
            hits += int(np.argmax(state.following[0])) == backdoor.target
        return hits / _CONTEXTS


def measured(
    ground: Ground, out: Path, attacks: Sequence[Attack], *, rounds: int, cohort: int, seed: int, passes: int
) -> Iterator[list[Figure]]:
    """Run each of `attacks` with the defence on and off, and the middle share with each part of it alone."""
    arena = Arena(ground, out, rounds=rounds, cohort=cohort, seed=seed, passes=passes)
    if UNKNOWN in (*arena.rare.trigger, arena.rare.target):
        raise ValueError("the backdoor's words have pieces of their own")
    yield quarantine(seed)
    honest = Scene(None, 0, arena.rare)
    clean = _noted(arena.run(honest, OFF), "nobody attacks, undefended")
    guarded = _noted(arena.run(honest, DefenceSettings()), "nobody attacks, defended")

    def compared(label: str, without: Damage, defended: Damage) -> list[Figure]:
        lost = [100 * (clean.accuracy - damage.accuracy) / clean.accuracy for damage in (defended, without)]
        return [
            Figure(f"recall_lost_{label}", lost[0], "%", "undefended", lost[1]),
            Figure(f"backdoor_success_{label}", 100 * defended.success, "%", "undefended", 100 * without.success),
            Figure(f"groups_rejected_{label}", defended.decisions["group_rejected"], "groups"),
        ]

    yield [
        Figure("accuracy_before_rounds", ground.accuracy(ground.start, _ACCURACY_ROWS), ""),
        Figure("accuracy_without_attack", clean.accuracy, ""),
        *compared("no_attack", clean, guarded),
    ]
    for share in SHARES:
        for attack in attacks:
            scene = Scene(attack, share, arena.rare)
            label = f"{attack.replace('-', '_')}_{share}_percent_of_phones"
            without = _noted(arena.run(scene, OFF), f"{attack} {share} % undefended")
            defended = _noted(arena.run(scene, DefenceSettings()), f"{attack} {share} % defended")
            yield compared(label, without, defended)
            if share != SHARES[0]:
                continue
            if attack == "backdoor":
                success = 100 * without.success
                yield [
                    Figure("backdoor_success_undefended_percent", success, "%"),
                    Figure("backdoor_success_defended_percent", 100 * defended.success, "%", "undefended", success),
                ]
            for part, settings in ALONE.items():
                alone = _noted(arena.run(scene, settings), f"{attack} {share} % {part} alone")
                yield compared(f"{label}_{part}_alone", without, alone)
    yield from _patient(arena, PATIENCE * rounds)


def _noted(damage: Damage, name: str) -> Damage:
    taken = {action: count for action, count in damage.decisions.items() if count}
    print(f"{name}: accuracy {damage.accuracy:.4f}, success {damage.success:.2f}, {taken}", flush=True)
    return damage


def _patient(arena: Arena, rounds: int) -> Iterator[list[Figure]]:
    """Let a tenth of phones go on for longer without standing out, as long as honest phones or as groups hide."""
    for name, scene in (
        ("in_norm", Scene("in-norm", 10, arena.rare)),
        ("hidden_boost", Scene("backdoor", 10, arena.rare, HIDDEN_BOOST)),
        ("hidden_boost_behind_a_canary", Scene("backdoor", 10, arena.common, HIDDEN_BOOST)),
    ):
        label = f"{name}_10_percent_of_phones_{rounds}_rounds"
        without = _noted(arena.run(scene, OFF, rounds), f"{label} undefended")
        defended = _noted(arena.run(scene, DefenceSettings(), rounds), f"{label} defended")
        yield [
            Figure(f"backdoor_success_{label}", 100 * defended.success, "%", "undefended", 100 * without.success),
            Figure(f"accuracy_{label}", defended.accuracy, "", "undefended", without.accuracy),
            Figure(f"groups_rejected_{label}", defended.decisions["group_rejected"], "groups"),
        ]


def quarantine(seed: int, *, phones: int = 600, cohort: int = 60, rounds: int = 200) -> list[Figure]:
    """Measure whom quarantine catches if every group with an attacker is rejected: no training, standings only."""
    figures = []
    for share in SHARES:
        random = np.random.default_rng([seed, 9, share])
        attackers = {str(phone) for phone in range(round(phones * share / 100))}
        settings = DefenceSettings(quarantine_rounds=rounds)
        memory, caught, wronged = Memory(), set[str](), set[str]()
        for number in range(rounds):
            able = [str(phone) for phone in range(phones) if memory.may_take_part(str(phone), number)]
            drawn = random.permutation(able)[:cohort].tolist()
            parts = [drawn[start : start + GROUP] for start in range(0, len(drawn), GROUP)]
            accepted = [part for part in parts if attackers.isdisjoint(part)]
            rejected = [part for part in parts if not attackers.isdisjoint(part)]
            memory, decisions = memory.judged(accepted, rejected, number, settings)
            for decision in decisions:
                (caught if decision.subject in attackers else wronged).add(decision.subject)
        label = f"{share}_percent_of_phones_after_{rounds}_rounds"
        honest = phones - len(attackers)
        figures += [
            Figure(f"quarantined_attackers_{label}", 100 * len(caught) / len(attackers), "%"),
            Figure(f"quarantined_honest_{label}", 100 * len(wronged) / honest, "%"),
        ]
    return figures


def _device(client: int) -> bytes:
    return client.to_bytes(16, "little")


def _phrase(canary: Rows) -> tuple[int, ...]:
    return tuple(piece for piece in canary.tolist() if piece != BOUNDARY)
