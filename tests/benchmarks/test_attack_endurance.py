"""The long attacks on text that means nothing: what each attack sends, and what figures say of runs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from benchmarks.attack_compact import CLIENT_ROWS, LAYOUT, NETWORK, CompactGround, Point
from benchmarks.attack_endurance import (
    ATTACKS,
    ROUNDS,
    Attack,
    Attackers,
    Course,
    Defence,
    Kept,
    courses,
    figures,
    trained,
)
from federation.robustness import DefenceSettings, Memory, PieceRows
from federation.simulation.adversaries import Backdoor
from model.batches import Rows, pack
from model.layout import FlatVector, initial_weights

SETTINGS = DefenceSettings(enabled=True)


@pytest.fixture(scope="module")
def ground() -> CompactGround:
    random = np.random.default_rng(0)

    def rows(count: int) -> Rows:
        return pack([random.integers(3, 200, 20).tolist() for _ in range(count)], 20)[:count]

    return CompactGround(
        LAYOUT.flatten(initial_weights(NETWORK, 1)),
        PieceRows.of(NETWORK, np.full(NETWORK.vocabulary_size, 1 / NETWORK.vocabulary_size)),
        [rows(CLIENT_ROWS) for _ in range(70)],
        rows(20),
        Backdoor((10, 11, 12), 741),
        Backdoor((1400, 1401, 1402), 741),
    )


def sent(ground: CompactGround, attack: Attack, memory: Memory | None = None) -> tuple[FlatVector, float]:
    attackers = Attackers(ground, Course(attack, 5, 1, "defended"), SETTINGS)
    own = ground.clients[0]
    honest = 0.5 * float(np.linalg.norm(ground.gradient(ground.start, own)))
    moved = np.random.default_rng(1).normal(size=ground.start.size).astype(np.float32)
    memory = memory or Memory(norm=1.0, piece_move=0.001)
    return attackers.delta(ground.start, moved, memory, own, np.random.default_rng(2)), honest


@pytest.mark.parametrize("attack", ["in-norm", "constrained", "neurotoxin", "edge-case", "piece-aware"])
def test_patient_attackers_send_what_is_as_long_as_an_honest_update(ground: CompactGround, attack: Attack) -> None:
    delta, honest = sent(ground, attack)
    assert np.linalg.norm(delta) == pytest.approx(honest, rel=1e-3)


def test_others_send_more(ground: CompactGround) -> None:
    replacement, honest = sent(ground, "replacement")
    assert np.linalg.norm(replacement) == pytest.approx(20 * honest, rel=1e-3)
    aware, _ = sent(ground, "norm-aware")
    assert np.linalg.norm(aware) == pytest.approx(7.5, rel=1e-3)  # with nine orthogonal ones of norm 1, 1.25 times that


def test_neurotoxin_leaves_alone_what_moved_most(ground: CompactGround) -> None:
    delta, _ = sent(ground, "neurotoxin")
    moved = np.abs(np.random.default_rng(1).normal(size=ground.start.size).astype(np.float32))
    assert not delta[moved > np.quantile(moved, 0.9)].any()


def test_who_knows_the_limit_of_rows_keeps_to_it(ground: CompactGround) -> None:
    delta, _ = sent(ground, "piece-aware")
    assert ground.pieces.farthest(delta / np.float32(10)).length <= 1.01 * 0.9 * SETTINGS.piece_factor * 0.001
    plain, _ = sent(ground, "in-norm")
    assert ground.pieces.farthest(plain / np.float32(10)).length > 10 * SETTINGS.piece_factor * 0.001


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_runs_with_and_without_the_defence(ground: CompactGround, attack: Attack) -> None:
    for defence in get_args(Defence):
        found = trained(ground, Course(attack, 10, 1, defence), rounds=2)
        assert found.points[-1].round_number == 2
        assert sum(found.groups) == 12
        if attack == "nobody":
            assert found.groups[0] == 0


def test_runs_that_say_most_come_first() -> None:
    planned = [*courses(["in-norm", "nobody"], (5, 1), 2)]
    assert planned[:2] == [Course("in-norm", 5, 1, "undefended"), Course("in-norm", 5, 1, "defended")]
    assert len(planned) == len(set(planned)) == 16
    assert {course.seed for course in planned[:8]} == {1}


def test_figures_are_of_the_runs_that_are_kept(tmp_path: Path) -> None:
    planned = [*courses(["in-norm", "nobody", "neurotoxin"], (5,), 2)]

    def keep(course: Course, successes: tuple[float, float]) -> None:
        points = [Point(150, successes[0], 0.5, 0.2), Point(200, successes[1], 0.25, 0.2)]
        path = tmp_path / "endurance" / f"{course.name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(Kept(points, (30, 10), (40, 160), (7, 1))))

    attacked = Course("in-norm", 5, 1, "undefended")
    keep(attacked, (1.0, 0.5))
    keep(replace(attacked, seed=2), (0.5, 0.5))
    assert figures(tmp_path, planned) == []  # nothing to compare with yet
    keep(replace(attacked, defence="defended"), (0.25, 0.0))
    found = {figure.figure: figure for figure in figures(tmp_path, planned)}
    assert found[f"in_norm_backdoor_{ROUNDS}_rounds_undefended_percent"].value == 75
    assert found[f"in_norm_backdoor_{ROUNDS}_rounds_defended_percent"].value == 25
    assert found[f"in_norm_backdoor_{ROUNDS}_rounds_undefended_left_percent"].value == 50
    assert found[f"in_norm_backdoor_{ROUNDS}_rounds_seeds"].value == 1
    rejected = found[f"in_norm_backdoor_{ROUNDS}_rounds_spoiled_groups_rejected_percent"]
    assert (rejected.value, rejected.reference_value) == (75, 6.25)
