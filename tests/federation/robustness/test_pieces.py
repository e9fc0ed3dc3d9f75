"""Groups that move single pieces too far, on a network's flat vectors without training."""

from dataclasses import replace

import numpy as np
import pytest

from federation.robustness import Action, DefenceSettings, Group, Memory, Outcome, PieceRows, defend
from federation.robustness.aggregation import concentrated, piece_moves
from federation.robustness.pieces import Move
from federation.updates.update import Tally
from federation.updates.weighted_sum import WeightedSum
from model.layout import FlatVector, Layout, NetworkConfig

NETWORK = NetworkConfig(vocabulary_size=400, embedding=8, hidden=12)
LAYOUT = Layout.of(NETWORK.layout)
FREQUENCIES = (1.0 / np.arange(1, 401)) / np.sum(1.0 / np.arange(1, 401))
PIECES = PieceRows.of(NETWORK, FREQUENCIES)
SETTINGS = replace(
    DefenceSettings(enabled=True, min_agreement=-1.0, quarantine_rounds=1000),
    max_gate_loss_nats=0.0,
    canary_jump=0.0,
    rollback_loss=0.0,
)
TARGET = 390


def honest(random: np.random.Generator) -> FlatVector:
    """A phone's delta of length 1: the rows of what it typed, and some of everything else."""
    parts = {name: random.normal(0, 0.02, shape).astype(np.float32) for name, shape in LAYOUT.shapes}
    parts["embedding"] *= 0
    typed = random.choice(400, 120, p=FREQUENCIES)
    np.add.at(parts["embedding"], typed, random.normal(0, 0.1, (120, NETWORK.embedding)))
    delta = LAYOUT.flatten([*parts.values()])
    return delta / np.linalg.norm(delta)


def planted(pieces: tuple[int, ...] = (TARGET, TARGET + 1)) -> FlatVector:
    """A delta of the same length that teaches few pieces, in the same direction from every attacker."""
    parts = {name: np.zeros(shape, np.float32) for name, shape in LAYOUT.shapes}
    for piece in pieces:
        parts["embedding"][piece] = 1.0
        parts["output_bias"][piece] = 0.5
    delta = LAYOUT.flatten([*parts.values()])
    return delta / np.linalg.norm(delta)


def round_of(phones: list[str], attackers: set[str], number: int, poison: FlatVector | None = None) -> list[Group]:
    random = np.random.default_rng([3, number])
    poison = planted() if poison is None else poison
    groups = []
    for start in range(0, len(phones), 10):
        members = phones[start : start + 10]
        deltas = [poison if member in attackers else honest(random) for member in members]
        groups.append(Group(WeightedSum(np.sum(deltas, axis=0, dtype=np.float32), Tally(10), 10), tuple(members)))
    return groups


def defended(
    groups: list[Group], memory: Memory, number: int, pieces: PieceRows | None = PIECES, state: FlatVector | None = None
) -> Outcome[FlatVector]:
    return defend(
        groups,
        memory,
        SETTINGS,
        round_number=number,
        current=np.zeros(LAYOUT.dimension, np.float32) if state is None else state,
        current_round=number - 1,
        step=lambda before, total: before + total.mean,
        probe=lambda _: None,
        pieces=pieces,
    )


def rejected(outcome: Outcome[FlatVector]) -> set[int]:
    return {int(each.subject) for each in outcome.decisions if each.action is Action.GROUP_REJECTED}


def test_the_farthest_row_counts_its_bias_and_how_frequent_its_piece_is() -> None:
    mean = np.zeros(LAYOUT.dimension, np.float32)
    rows = LAYOUT.unflatten(mean)
    rows["embedding"][0] = 0.3
    rows["embedding"][TARGET, 0] = 0.3
    rows["output_bias"][TARGET] = 0.4
    assert PIECES.farthest(mean) == pytest.approx((0.5 / FREQUENCIES[TARGET] ** 0.25, TARGET))
    rows["output_bias"][TARGET] = 0.0
    rows["embedding"][TARGET, 0] = 0.1
    assert PIECES.farthest(mean).piece == 0


def test_what_is_not_a_piece_moves_no_row() -> None:
    mean = np.zeros(LAYOUT.dimension, np.float32)
    LAYOUT.unflatten(mean)["projection"][:] = 5.0
    assert PIECES.farthest(mean).length == 0.0


def test_pieces_that_public_text_lacks_are_no_division_by_zero() -> None:
    pieces = PieceRows.of(NETWORK, np.zeros(400))
    assert np.isfinite(pieces.farthest(planted()).length)


def test_honest_groups_of_an_honest_length_pass_and_spoiled_ones_of_the_same_length_do_not() -> None:
    phones = [str(number) for number in range(120)]
    attackers = {"3", "25", "77"}
    groups = round_of(phones, attackers, 1)
    norms = [float(np.linalg.norm(group.total.mean)) for group in groups]
    assert max(norms) < 1.25 * min(norms)
    assert rejected(defended(groups, Memory(), 1)) == {0, 2, 7}
    assert rejected(defended(groups, Memory(), 1, pieces=None)) == set()
    assert rejected(defended(round_of(phones, set(), 1), Memory(), 1)) == set()


def test_the_reason_names_the_piece_and_the_figures() -> None:
    outcome = defended(round_of([str(number) for number in range(60)], {"3"}, 1), Memory(), 1)
    (first, *_) = outcome.decisions
    assert "the row of piece 390 moves" in first.reason or "the row of piece 391 moves" in first.reason
    assert "is usual" in first.reason


def test_a_factor_of_zero_switches_it_off() -> None:
    moves = {0: Move(100.0, 1), 1: Move(1.0, 2)}
    assert set(concentrated(moves, 1.0, SETTINGS)) == {0}
    assert concentrated(moves, 1.0, replace(SETTINGS, piece_factor=0.0)) == {}
    assert concentrated({}, 1.0, SETTINGS) == {}


def test_a_group_that_is_not_finite_moves_nothing() -> None:
    groups = [Group(WeightedSum(np.full(LAYOUT.dimension, np.nan, np.float32), Tally(1), 1), ("a",))]
    assert piece_moves(groups, PIECES) == {}


@pytest.mark.parametrize(("share", "least"), [(0.05, 0.9), (0.1, 0.1)])
def test_attackers_of_honest_length_plant_nothing_in_many_rounds_and_are_found(share: float, least: float) -> None:
    """The more of them there are, the less says a rejected group about its members."""
    phones = [str(number) for number in range(400)]
    attackers = set(phones[: round(400 * share)])
    memory, state, undefended = Memory(), np.zeros(LAYOUT.dimension, np.float32), 0.0
    goal = planted()
    found: set[str] = set()
    for number in range(1, 121):
        able = [phone for phone in phones if memory.may_take_part(phone, number)]
        drawn = np.random.default_rng([5, number]).permutation(able)[:60].tolist()
        groups = round_of(drawn, attackers, number)
        undefended += float(np.mean([group.total.mean for group in groups], axis=0) @ goal)
        outcome = defended(groups, memory, number, state=state)
        memory, state = outcome.memory, outcome.state
        found |= {each.subject for each in outcome.decisions if each.action is Action.QUARANTINED}
    assert abs(float(state @ goal)) < 0.5  # half of what one attacker sends in one round
    assert undefended > 1.0
    assert len(found - attackers) <= 2  # of 360 and more, by chance
    assert len(found & attackers) >= least * len(attackers)


def test_attackers_who_know_what_is_usual_do_not_widen_it() -> None:
    """They keep their groups just below what is rejected; a low quantile rises by little and falls again."""
    phones = [str(number) for number in range(600)]
    attackers = set(phones[:72])
    memory = Memory()
    first = 0.0
    for number in range(1, 201):
        drawn = np.random.default_rng([6, number]).permutation(phones)[:60].tolist()
        reach = 0.95 * SETTINGS.piece_factor * memory.piece_move if memory.piece_move else 1.0
        length = 10 * reach * FREQUENCIES[TARGET] ** 0.25 / np.linalg.norm([1.0] * 8 + [0.5])
        mean = np.float32(length) * planted((TARGET,)) * np.float32(np.linalg.norm([1.0] * 8 + [0.5]))
        memory = defended(round_of(drawn, attackers, number, mean), memory, number).memory
        first = first or memory.piece_move
    assert memory.piece_move < 1.6 * first


def test_memory_keeps_what_is_usual_for_pieces() -> None:
    memory = Memory().with_piece_moves([1.0, 1.0, 9.0, 9.0], SETTINGS)
    assert memory.piece_move == 1.0
    assert Memory().with_piece_moves([1.0, 9.0, 9.0, 9.0, 9.0, 9.0], SETTINGS).piece_move == 1.0  # of one honest group
    assert memory.with_piece_moves([9.0], SETTINGS).piece_move == pytest.approx(1.02)
    assert memory.with_piece_moves([], SETTINGS) == memory
    assert Memory.from_json(memory.to_json()) == memory
    before = {key: value for key, value in memory.to_json().items() if key != "piece_move"}
    assert Memory.from_json(before).piece_move == 0.0  # of a server that did not know it yet
