import json
from pathlib import Path

import pytest

from federation.base.config import parsed
from federation.errors import ConfigError
from federation.simulation.sweep import Sweep


def swept(tmp_path: Path, text: str) -> Sweep:
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    return Sweep.load(path)


def test_a_grid_has_every_combination_once(tmp_path: Path) -> None:
    found = swept(tmp_path, 'config = "base.toml"\n[grid]\n"client.learning_rate" = [0.1, 1.0]\nseed = [1, 2, 3]\n')
    assert found.config == tmp_path / "base.toml"
    assert len({json.dumps(trial.settings) for trial in found.trials}) == len(found.trials) == 6
    assert [trial.name for trial in found.trials][:2] == ["trial-1", "trial-2"]


def test_draws_are_within_their_ranges_and_the_same_again(tmp_path: Path) -> None:
    text = """
    [grid]
    seed = [1, 2]
    [random]
    draws = 20
    [random.uniform]
    "client.dropout" = [0.1, 0.5]
    [random.log_uniform]
    "server.learning_rate" = [0.01, 1.0]
    """
    first, again = swept(tmp_path, text), swept(tmp_path, text)
    assert first == again
    assert len(first.trials) == 40
    rates = [trial.settings["server.learning_rate"] for trial in first.trials]
    assert all(0.1 <= trial.settings["client.dropout"] <= 0.5 for trial in first.trials)
    assert all(0.01 <= rate <= 1 for rate in rates)
    assert sum(rate < 0.1 for rate in rates) >= 8  # about half of them, on a scale of logarithms


def test_assignments_say_what_simulate_reads(tmp_path: Path) -> None:
    (trial,) = swept(tmp_path, '[grid]\n"server.name" = ["adam"]\nrounds = [3]\n').trials
    assert parsed(trial.assignments) == {"server.name": "adam", "rounds": 3}


@pytest.mark.parametrize(
    "text",
    [
        "girds = 1",
        "grid = 1",
        "[grid]\nseed = 1",
        "[grid]\nseed = []",
        "[random]\ndraws = 0",
        "[random]\ntimes = 1",
        "[random.uniform]\nx = [1]",
        "[random.uniform]\nx = [2, 1]",
        "[random.log_uniform]\nx = [0, 1]",
        "config = 1",
        "not toml",
    ],
)
def test_what_a_sweep_cannot_be_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        swept(tmp_path, text)
    assert "\n" not in str(caught.value)
