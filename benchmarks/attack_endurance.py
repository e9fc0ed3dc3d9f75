"""Backdoors that are planted for 150 of 200 rounds by updates as long as honest ones, and what is left 50 rounds later.

What the literature plants: model replacement and constrain-and-scale (Bagdasaryan et al. 2020,
https://arxiv.org/abs/1807.00459), coordinates that honest sums hardly touch (Neurotoxin, Zhang et al. 2022,
https://arxiv.org/abs/2206.10341), triggers from the tail of the text (Wang et al. 2020,
https://arxiv.org/abs/2007.05084), and attackers who know what the defence holds groups to. Attackers agree: in a round
all of them send the same.

Hundreds of rounds, several seeds and shares are affordable on a compact network alone: ChitChat's 1,500 most frequent
pieces, 48 and 96 wide, computed by NumPy. A phone takes one step of gradient descent on four rows without cutting the
gradient, so that the honest phones of a group take one gradient together, which is exactly their weighted sum. The
server has momentum. The gate is off, as for a phrase that is no canary: reading models by the thousand would take most
of the time.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from benchmarks.attack_compact import CLIENT_ROWS, NETWORK, CompactGround, Point
from benchmarks.results import RESULTS, Figure, kept
from federation.robustness import Action, DefenceSettings, Group, Memory, defend
from federation.rounds.server_optimizers import ServerState, SgdMomentum
from federation.simulation.adversaries import Backdoor
from federation.updates.update import Tally
from federation.updates.weighted_sum import WeightedSum
from model.batches import Rows
from model.evaluation.plot import plot_rounds
from model.layout import FlatVector

Attack = Literal[
    "in-norm", "nobody", "piece-aware", "neurotoxin", "constrained", "edge-case", "norm-aware", "replacement"
]
ATTACKS: tuple[Attack, ...] = get_args(Attack)

Defence = Literal["undefended", "defended", "noisy"]

SHARES = (5, 1, 10)
ROUNDS, LAST_ATTACKED, EVERY = 200, 150, 10
COHORT, GROUP = 60, 10

_RATE, _MOMENTUM = 0.5, 0.9
_POISON_STEPS, _POISON_RATE, _POISON_ROWS = 5, 0.5, 8
_TOUCHED = 0.1  # share of coordinates that Neurotoxin leaves alone
_BELOW_LIMIT = 0.9  # how near to what is rejected attackers go who know it


@dataclass(frozen=True)
class Course:
    """One run.

    Attributes:
        attack: what attackers do.
        share: of phones that attack, in percent.
        seed: of who attacks, cohorts and rows.
        defence: `undefended`; `defended`: all but the gate; `noisy`: no groups are rejected, but the mean has as much
            noise as it is long, as where privacy is the only defence (Sun et al. 2019).
    """

    attack: Attack
    share: int
    seed: int
    defence: Defence

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.attack}-{self.share}-{self.seed}-{self.defence}"


class Kept(NamedTuple):
    """What is kept of a run.

    Attributes:
        points: every `EVERY` rounds.
        rejected: groups, with attackers in them and without.
        groups: likewise, of all.
        quarantined: phones, attackers and others.
    """

    points: list[Point]
    rejected: tuple[int, int]
    groups: tuple[int, int]
    quarantined: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Attackers:
    """Those of one course, who share what they know.

    Attributes:
        ground: text and network.
        course: what they do.
        settings: of the defence, which they know.
    """

    ground: CompactGround
    course: Course
    settings: DefenceSettings

    @property
    def backdoor(self) -> Backdoor:
        """What they plant."""
        return self.ground.edge if self.course.attack == "edge-case" else self.ground.common

    def delta(
        self, weights: FlatVector, moved: FlatVector, memory: Memory, own: Rows, random: np.random.Generator
    ) -> FlatVector:
        """Return what each of them sends.

        Args:
            weights: of the round's model.
            moved: from the model before it.
            memory: of the defence.
            own: rows of one of them.
            random: of the poison.
        """
        attack = self.course.attack
        honest = _RATE * float(np.linalg.norm(self.ground.gradient(weights, own)))
        poisoned = self.backdoor.poisoned(np.tile(own, (2, 1)), random)[:_POISON_ROWS]
        rows = np.concatenate([poisoned, own]) if attack == "constrained" else poisoned
        planted = np.zeros_like(weights)
        for _ in range(_POISON_STEPS):
            slope = self.ground.gradient(weights + planted, rows)
            planted -= slope * np.float32(_POISON_RATE / max(1.0, float(np.linalg.norm(slope))))
            if attack == "neurotoxin" and moved.any():
                planted[np.abs(moved) > np.quantile(np.abs(moved), 1 - _TOUCHED)] = 0
            if attack == "piece-aware":
                planted = self._within_rows(planted, honest, memory)
        length = honest
        if attack == "replacement":
            length = honest * 100 / self.course.share
        elif attack == "norm-aware":
            # A group's mean that is otherwise orthogonal may be as long as what is clipped.
            length = GROUP * memory.running_norm(self.settings) * float(np.sqrt(self._clip_factor**2 - 1)) or honest
        return planted * np.float32(length / max(float(np.linalg.norm(planted)), 1e-12))

    @property
    def _clip_factor(self) -> float:
        return self.settings.clip_factor or DefenceSettings().clip_factor

    def _within_rows(self, planted: FlatVector, honest: float, memory: Memory) -> FlatVector:
        """Cut the rows of pieces to what the defence lets pass, and fill the length up in the recurrent weights."""
        pieces, width = len(self.ground.pieces.usual), NETWORK.embedding
        factor = self.settings.piece_factor or DefenceSettings().piece_factor
        limits = _BELOW_LIMIT * GROUP * factor * memory.piece_move * self.ground.pieces.usual
        rows = planted[: pieces * (width + 1)]
        embedding, bias = rows[: pieces * width].reshape(pieces, width), rows[pieces * width :]
        norms = np.sqrt(np.square(embedding).sum(axis=1) + np.square(bias))
        shrink = np.minimum(1, limits / np.maximum(norms, 1e-12)).astype(np.float32) if memory.piece_move else 1.0
        cut = np.concatenate([(embedding * np.reshape(shrink, (-1, 1))).ravel(), bias * shrink])
        rest = planted[pieces * (width + 1) :]
        left = np.sqrt(max(honest**2 - float(np.vdot(cut, cut)), 0.0)) / max(float(np.linalg.norm(rest)), 1e-12)
        return np.concatenate([cut, rest * np.float32(left)])


def trained(ground: CompactGround, course: Course, rounds: int = ROUNDS) -> Kept:
    """Run a course, or its first rounds."""
    settings = replace(DefenceSettings(), max_gate_loss_nats=0.0, canary_jump=0.0, rollback_loss=0.0)
    attackers = Attackers(ground, course, settings)
    optimizer = SgdMomentum(learning_rate=1.0, momentum=_MOMENTUM)
    phones = len(ground.clients)
    order = np.random.default_rng([course.seed, 1]).permutation(phones)
    bad = set(order[: round(phones * course.share / 100)].tolist()) if course.attack != "nobody" else set()
    state, moved, memory = optimizer.initialize(ground.start), np.zeros_like(ground.start), Memory()
    points, rejected, groups_seen = [], [0, 0], [0, 0]
    caught: set[int] = set()
    for number in range(1, rounds + 1):
        random = np.random.default_rng([course.seed, 2, number])
        able = [phone for phone in range(phones) if memory.may_take_part(str(phone), number)]
        drawn = random.choice(able, COHORT, replace=False).tolist()
        attacking = bad if number <= LAST_ATTACKED else set()
        groups, spoiled = [], []
        poison: FlatVector | None = None
        for start in range(0, COHORT, GROUP):
            members = drawn[start : start + GROUP]
            those = [phone for phone in members if phone in attacking]
            rows = [_drawn(ground.clients[phone], random) for phone in members if phone not in attacking]
            total = -np.float32(_RATE * len(rows)) * ground.gradient(state.weights, np.concatenate(rows))
            if those:
                if poison is None:
                    own = _drawn(ground.clients[those[0]], random)
                    poison = attackers.delta(state.weights, moved, memory, own, random)
                total += np.float32(len(those)) * poison
            groups.append(Group(WeightedSum(total, Tally(GROUP), GROUP), tuple(map(str, members))))
            spoiled.append(bool(those))
        noise = _noise(groups, random) if course.defence == "noisy" else np.float32(0)
        outcome = defend(
            groups,
            memory,
            settings if course.defence == "defended" else DefenceSettings.none(),
            round_number=number,
            current=state,
            current_round=number - 1,
            step=partial(_stepped, optimizer, noise),
            probe=_unread,
            pieces=ground.pieces,
        )
        moved, memory, state = outcome.state.weights - state.weights, outcome.memory, outcome.state
        for is_spoiled in spoiled:
            groups_seen[not is_spoiled] += 1
        for decision in outcome.decisions:
            if decision.action is Action.GROUP_REJECTED:
                rejected[not spoiled[int(decision.subject)]] += 1
            elif decision.action is Action.QUARANTINED:
                caught.add(int(decision.subject))
        if number % EVERY == 0 or number == rounds:
            points.append(ground.point(number, state.weights, attackers.backdoor))
    both = len(caught & bad), len(caught - bad)
    return Kept(points, (rejected[0], rejected[1]), (groups_seen[0], groups_seen[1]), both)


def _stepped(
    optimizer: SgdMomentum, noise: FlatVector | np.float32, before: ServerState, total: WeightedSum
) -> ServerState:
    return optimizer.apply(before, total.mean + noise)


def _noise(groups: Sequence[Group], random: np.random.Generator) -> FlatVector:
    """Return Gaussian noise that is as long as the mean of a round's groups."""
    mean = np.mean([group.total.mean for group in groups], axis=0)
    drawn = random.normal(0, 1, mean.size).astype(np.float32)
    noise: FlatVector = drawn * np.float32(np.linalg.norm(mean) / np.linalg.norm(drawn))
    return noise


def _drawn(rows: Rows, random: np.random.Generator) -> Rows:
    drawn: Rows = rows[random.permutation(len(rows))[:CLIENT_ROWS]]
    return drawn


def _unread(_: ServerState) -> None:
    return None


def courses(attacks: Sequence[Attack], shares: Sequence[int], seeds: int) -> Iterator[Course]:
    """Yield all runs, those first that say most."""
    for seed in range(1, seeds + 1):
        for share in shares:
            for attack in attacks:
                if attack == "nobody" and share != shares[0]:
                    continue
                yield from (Course(attack, share, seed, defence) for defence in ("undefended", "defended"))
                if share == shares[0] and attack in {"in-norm", "nobody"}:
                    yield Course(attack, share, seed, "noisy")


def measured(ground: CompactGround, out: Path, planned: Sequence[Course]) -> None:
    """Run what is not kept yet."""
    for course in planned:
        found = _read(kept(_path(out, course), partial(_written, ground, course)))
        highest = max(point.success for point in found.points)
        print(f"{course.name}: success {highest:.2f}, then {found.points[-1].success:.2f}", flush=True)


def figures(out: Path, planned: Sequence[Course]) -> list[Figure]:
    """Return the figures of those runs that are kept: means over seeds of the highest success, and of the last."""
    runs = {course: _read(_path(out, course).read_text()) for course in planned if _path(out, course).exists()}
    found: list[Figure] = []
    for attack, share in dict.fromkeys((course.attack, course.share) for course in runs):
        sides: dict[Defence, list[Kept]] = {}
        for course, run in runs.items():
            if (course.attack, course.share) == (attack, share):
                sides.setdefault(course.defence, []).append(run)
        if {"undefended", "defended"} <= set(sides):
            found += _costs(sides) if attack == "nobody" else _successes(attack, share, sides)
    return found


def _successes(attack: Attack, share: int, sides: Mapping[Defence, Sequence[Kept]]) -> Iterator[Figure]:
    name = f"{attack.replace('-', '_')}_backdoor_{ROUNDS}_rounds"
    if share != SHARES[0]:
        name += f"_{share}_percent_of_phones"
    without = _mean(map(_highest, sides["undefended"]))
    for defence, runs in sides.items():
        reference = ("undefended", without) if defence != "undefended" else ("", None)
        yield Figure(f"{name}_{defence}_percent", _mean(map(_highest, runs)), "%", *reference)
        left = 100 * _mean(run.points[-1].success for run in runs)
        yield Figure(f"{name}_{defence}_left_percent", left, "%", "while it lasted", _mean(map(_highest, runs)))
        probability = _mean(max(point.probability for point in run.points) for run in runs)
        yield Figure(f"{name}_{defence}_probability", probability, "")
    on = sides["defended"]
    yield Figure(f"{name}_seeds", min(map(len, sides.values())), "")
    yield Figure(f"{name}_spoiled_groups_rejected_percent", _share(on, 0), "%", "honest groups", _share(on, 1))
    yield Figure(f"{name}_attackers_quarantined", _mean(run.quarantined[0] for run in on), "phones")
    yield Figure(f"{name}_others_quarantined", _mean(run.quarantined[1] for run in on), "phones")


def _highest(run: Kept) -> float:
    return 100 * max(point.success for point in run.points)


def draw(out: Path, planned: Sequence[Course], share: int = SHARES[0]) -> None:
    """Draw success and the target's probability over the rounds at one share, means over seeds."""
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {
        "backdoor works, %": {},
        "probability of its word, %": {},
    }
    for course in planned:
        if course.share != share or course.attack == "nobody" or not _path(out, course).exists():
            continue
        same = [replace(course, seed=other.seed) for other in planned if replace(other, seed=course.seed) == course]
        runs = [_read(_path(out, each).read_text()) for each in same if _path(out, each).exists()]
        name = course.attack if course.defence == "undefended" else f"{course.attack}, {course.defence}"
        for label, field in zip(curves, ("success", "probability"), strict=True):
            points = zip(*(run.points for run in runs), strict=True)
            curves[label][name] = [
                (at[0].round_number, 100 * _mean(getattr(point, field) for point in at)) for at in points
            ]
    if curves["backdoor works, %"]:
        RESULTS.mkdir(parents=True, exist_ok=True)
        plot_rounds(curves, {"attackers stop": LAST_ATTACKED}, RESULTS / "attacks-endurance.svg")


def _written(ground: CompactGround, course: Course) -> str:
    return json.dumps(trained(ground, course))


def _path(out: Path, course: Course) -> Path:
    return out / "endurance" / f"{course.name}.json"


def _read(text: str) -> Kept:
    points, *rest = json.loads(text)
    return Kept([Point(*point) for point in points], *map(tuple, rest))


def _mean(values: Iterable[float]) -> float:
    return float(np.mean([*values]))


def _share(runs: Sequence[Kept], honest: int) -> float:
    return 100 * sum(run.rejected[honest] for run in runs) / max(sum(run.groups[honest] for run in runs), 1)


def _costs(sides: Mapping[Defence, Sequence[Kept]]) -> Iterator[Figure]:
    """Yield what the defences cost where nobody attacks; recall of the last five points that were measured."""
    without, on = _recall(sides["undefended"]), sides["defended"]
    for defence, runs in sides.items():
        if defence != "undefended":
            yield Figure(f"recall_{ROUNDS}_rounds_{defence}_percent", _recall(runs), "%", "undefended", without)
    yield Figure(f"honest_groups_rejected_{ROUNDS}_rounds_percent", _share(on, 1), "%")
    yield Figure(f"honest_phones_quarantined_{ROUNDS}_rounds", _mean(run.quarantined[1] for run in on), "phones")


def _recall(runs: Sequence[Kept]) -> float:
    return _mean(100 * point.recall for run in runs for point in run.points[-5:])
