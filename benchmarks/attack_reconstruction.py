"""What a phone's update says about the words that were typed, and what is left of that in what the server sees.

Suliman and Leith 2023 (https://arxiv.org/abs/2210.16947): training raises the output bias of a piece that was typed
and lowers those of all others, so the pieces whose bias rose most are named. Their order follows from comparing the
model before and after training: messages are spelled from the named pieces by what the new model finds likely, and
those that it finds more likely than the old one are kept.

The attacker is given how many distinct pieces and messages there are. So what he names is right and complete to the
same degree, and naming the most frequent pieces of public text, which needs no update, is the figure to compare with.
An attacker has both: for a sum he takes the frequencies as his prior, and learns from phones that he pretends how much
the sum is to be believed.
"""

import difflib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.attack_ground import Ground
from benchmarks.results import Figure
from federation.protocol.plan import Deadlines, RoundPlan
from federation.secure_aggregation import masks
from federation.updates.encoding import ModularEncoding
from federation.updates.update import Tally, Update
from federation.updates.weighted_sum import LevelSum
from model.batches import Rows
from model.engine import State, Trainer
from model.layout import FlatVector, Layout
from model.vocabulary import BOUNDARY, PAD, UNKNOWN

COHORTS = (10, 50)

Scores = npt.NDArray[np.float32]
"""One for each piece."""

_VICTIM_ROWS = 4
_MAX_PIECES = 15
_WEIGHTS = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
_SPECIAL = (PAD, UNKNOWN, BOUNDARY)


@dataclass(frozen=True)
class Typed:
    """What a phone trained on.

    Attributes:
        pieces: distinct ones.
        words: distinct ones, each as its pieces.
        messages: as pieces.
    """

    pieces: frozenset[int]
    words: frozenset[tuple[int, ...]]
    messages: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, rows: Rows, starts_word: Sequence[bool]) -> "Typed":
        """Read packed rows."""
        messages: list[list[int]] = []
        for row in rows.tolist():
            messages.append([])  # a row may begin within a message
            for piece in row:
                if piece == BOUNDARY:
                    messages.append([])
                elif piece != PAD:
                    messages[-1].append(piece)
        words: set[tuple[int, ...]] = set()
        for message in filter(None, messages):
            starts = [at for at, piece in enumerate(message) if starts_word[piece] or at == 0]
            words |= {tuple(message[a:b]) for a, b in zip(starts, [*starts[1:], len(message)], strict=True)}
        whole = tuple(tuple(message) for message in messages if message)
        return cls(frozenset(piece for message in whole for piece in message), frozenset(words), whole)

    def words_in(self, named: frozenset[int]) -> float:
        """Return the share of words whose pieces were all named."""
        return float(np.mean([named.issuperset(word) for word in self.words]))


def measured(ground: Ground, *, victims: int, seed: int) -> list[Figure]:
    """Attack some phones: each one's raw update, its masked vector, and sums that it is in."""
    random = np.random.default_rng([seed, 1])
    starts_word = ground.vocabulary.starts_token.tolist()
    able = [rows[:_VICTIM_ROWS] for rows in ground.clients if len(rows) >= _VICTIM_ROWS]
    chosen = random.choice(len(able), max(victims, *COHORTS), replace=False)
    rows = [able[client] for client in chosen]
    deltas = [ground.delta(ground.start, each, random) for each in rows]
    typed = [Typed.of(each, starts_word) for each in rows]
    frequent = Counter(ground.seen.ravel().tolist())
    public = np.array([frequent[piece] for piece in range(ground.network.vocabulary_size)], np.float32)
    sums = {size: np.mean(deltas[:size], axis=0) for size in COHORTS}
    plan = _plan(ground, deltas)
    evidence = {size: _weight_of_evidence(ground, size, public, random) for size in COHORTS}
    shares: dict[str, list[float]] = {}
    for victim in range(victims):
        seen: dict[str, Scores] = {
            "single": _bias(ground, deltas[victim]),
            "masked": _bias(ground, _masked(plan, deltas[victim])),
            "public": public,
        }
        # A phone beyond the cohort takes the place of its first member.
        for size, total in sums.items():
            swapped = total if victim < size else total + (deltas[victim] - deltas[0]) / size
            seen[f"sum of {size}"] = _bias(ground, swapped)
            seen[f"public and sum of {size}"] = _posterior(public, _bias(ground, swapped), evidence[size])
        for name, rise in seen.items():
            shares.setdefault(name, []).append(typed[victim].words_in(_named(rise, len(typed[victim].pieces))))
    recovered = {name: 100 * float(np.mean(values)) for name, values in shares.items()}
    largest = max(COHORTS)
    figures = [
        _words("words_recovered_single_percent", recovered["single"], recovered["public"]),
        _words("words_recovered_aggregate_percent", recovered[f"sum of {largest}"], recovered["public"]),
        *(
            _words(f"words_recovered_sum_of_{size}_percent", recovered[f"sum of {size}"], recovered["public"])
            for size in COHORTS
        ),
        *(figure for size in COHORTS for figure in _gain(size, shares[f"public and sum of {size}"], shares["public"])),
        _words("words_recovered_masked_percent", recovered["masked"], recovered["public"]),
    ]
    for size, total in sums.items():
        visible, names = _alone(_bias(ground, total), typed[:size])
        figures.append(Figure(f"pieces_of_one_phone_visible_in_sum_of_{size}_percent", 100 * visible, "%"))
        figures.append(Figure(f"visible_pieces_of_one_phone_in_sum_of_{size}", names, "a phone"))
    return figures + _orders(ground, deltas, typed, sums[largest], victims)


def _words(name: str, value: float, public: float) -> Figure:
    return Figure(name, value, "%", "the most frequent public pieces", public)


def _gain(size: int, both: Sequence[float], public: Sequence[float]) -> list[Figure]:
    """Return what the sum adds to public text, with the standard error over victims."""
    gains = 100 * (np.array(both) - np.array(public))
    error = float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else 0.0
    name = f"words_recovered_public_and_sum_of_{size}"
    return [
        _words(f"{name}_percent", 100 * float(np.mean(both)), 100 * float(np.mean(public))),
        Figure(f"standard_error_of_{name}_minus_public", error, "%"),
    ]


def _posterior(public: Scores, rise: Scores, weight: float) -> Scores:
    """Return log frequencies in public text plus what the risen biases say, as far as it is to be believed."""
    believed = np.float32(weight / max(float(rise.std()), 1e-12))
    scores: Scores = np.log(public + 1) + believed * rise
    return scores


def _weight_of_evidence(ground: Ground, size: int, public: Scores, random: np.random.Generator) -> float:
    """Return the weight that names most words of pretended phones, which type held-out public text."""
    rows = ground.public[random.permutation(len(ground.public))[: size * _VICTIM_ROWS]]
    phones = np.array_split(rows, size)
    typed = [Typed.of(each, ground.vocabulary.starts_token.tolist()) for each in phones]
    rise = _bias(ground, np.mean([ground.delta(ground.start, each, random) for each in phones], axis=0))

    def recovered(weight: float) -> float:
        scores = _posterior(public, rise, weight)
        return float(np.mean([each.words_in(_named(scores, len(each.pieces))) for each in typed]))

    return max(_WEIGHTS, key=recovered)


def _bias(ground: Ground, delta: FlatVector) -> Scores:
    return Layout.of(ground.network.layout).unflatten(delta)["output_bias"]


def _named(scores: Scores, count: int) -> frozenset[int]:
    ordered = [piece for piece in np.argsort(-scores, kind="stable").tolist() if piece not in _SPECIAL]
    return frozenset(ordered[:count])


def _alone(rise: Scores, typed: Sequence[Typed]) -> tuple[float, float]:
    """Return how many pieces that one phone alone typed have a risen bias in the sum: as a share, and a phone.

    They say that someone typed the piece, not who.
    """
    owners = Counter(piece for each in typed for piece in each.pieces)
    lonely = [piece for piece, count in owners.items() if count == 1]
    visible = [piece for piece in lonely if rise[piece] > 0]
    return len(visible) / max(len(lonely), 1), len(visible) / len(typed)


def _plan(ground: Ground, deltas: Sequence[FlatVector]) -> RoundPlan:
    dimension, bound = ground.start.size, max(float(np.linalg.norm(delta)) for delta in deltas)
    return RoundPlan(
        round_id=1,
        model_sha256=bytes(32),
        dimension=dimension,
        encoding=ModularEncoding.for_norm(16, max(COHORTS), bound, dimension),
        clip=bound,
        weight_cap=1,
        rotation_seed=bytes(32),
        minimum=3,
        deadlines=Deadlines(1, 2, 3, 4, 5),
    )


def _masked(plan: RoundPlan, delta: FlatVector) -> FlatVector:
    """Return what a server reads that takes one phone's masked vector for a sum of one, whatever its length."""
    vector = plan.encode(Update(delta, Tally(1)), os.urandom(32))
    masks.apply(vector, [os.urandom(masks.KEY_BYTES)], [])
    levels = plan.encoding.unpack(vector.words, plan.codec.coordinates, 1)
    return plan.codec.restore(LevelSum(levels, Tally(1), 1)).mean


def _orders(
    ground: Ground, deltas: Sequence[FlatVector], typed: Sequence[Typed], mean: FlatVector, victims: int
) -> list[Figure]:
    """Measure how near the spelled messages come to those typed."""
    ground.other.set_weights(ground.start)
    found: dict[str, list[float]] = {"single": [], "aggregate": [], "public": []}
    for victim in range(victims):
        for name, delta in (("single", deltas[victim]), ("aggregate", mean)):
            ground.engine.set_weights(ground.start + delta)
            named = _named(_bias(ground, delta), len(typed[victim].pieces))
            spelled = _spelled(ground.engine, ground.other, named, len(typed[victim].messages))
            found[name].append(_similarity(typed[victim].messages, spelled))
        ground.engine.set_weights(ground.start)
        frequent = Counter(ground.seen.ravel().tolist())
        named = frozenset(
            [piece for piece, _ in frequent.most_common() if piece not in _SPECIAL][: len(typed[victim].pieces)]
        )
        spelled = _spelled(ground.engine, None, named, len(typed[victim].messages))
        found["public"].append(_similarity(typed[victim].messages, spelled))
    similar = {name: 100 * float(np.mean(values)) for name, values in found.items()}
    return [
        Figure(f"message_similarity_{name}_percent", similar[name], "%", "from public text", similar["public"])
        for name in ("single", "aggregate")
    ]


def _spelled(after: Trainer, before: Trainer | None, named: frozenset[int], count: int) -> list[tuple[int, ...]]:
    """Spell a message from each named piece, and keep those that training made more likely.

    Args:
        after: the model that was trained.
        before: the model before; nothing keeps the likeliest messages instead.
        named: pieces to spell with.
        count: messages to keep.
    """
    allowed = np.array(sorted({*named, BOUNDARY}))
    scored = []
    for first in sorted(named):
        message, gain = [first], 0.0
        new: State = after.step(after.start, first)
        old: State | None = before.step(before.start, first) if before else None
        while len(message) < _MAX_PIECES:
            gains = new.following[0, allowed] - (old.following[0, allowed] if old else 0.0)
            best = int(np.argmax(new.following[0, allowed] + (gains if old else 0.0)))
            gain += float(gains[best])
            piece = int(allowed[best])
            if piece == BOUNDARY:
                break
            message.append(piece)
            new = after.step(new, piece)
            old = before.step(old, piece) if before and old else None
        scored.append((gain / len(message), tuple(message)))
    return [message for _, message in sorted(scored, reverse=True)[:count]]


def _similarity(typed: Sequence[tuple[int, ...]], spelled: Sequence[tuple[int, ...]]) -> float:
    """Return the mean over typed messages of the similarity (0 to 1) to the nearest spelled one."""
    return float(
        np.mean([max((difflib.SequenceMatcher(None, a, b).ratio() for b in spelled), default=0.0) for a in typed])
    )
