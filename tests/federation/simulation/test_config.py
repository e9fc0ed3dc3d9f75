import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from federation.base.config import parsed
from federation.errors import ConfigError
from federation.fleet.scenario import Scenario
from federation.privacy.training import PrivateTraining
from federation.robustness import DefenceSettings
from federation.simulation.config import SimulationConfig


def from_text(tmp_path: Path, text: str) -> SimulationConfig:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    return SimulationConfig.from_toml(path)


def test_a_file_fills_in_what_it_names(tmp_path: Path) -> None:
    config = from_text(tmp_path, 'rounds = 7\n[server]\nname = "yogi"\nlearning_rate = 1\n')
    assert (config.rounds, config.server.name, config.server.learning_rate) == (7, "yogi", 1.0)
    assert config.cohort == SimulationConfig().cohort


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("round = 7", "unknown setting 'round'"),
        ("rounds = 0", "rounds must be at least 1"),
        ("rounds = 'many'", "rounds must be a whole number"),
        ("rounds = true", "rounds must be a whole number"),
        ("server = 3", "server must be a table"),
        ("[server]\nname = 'lion'", "must be one of sgd, adam, yogi, adagrad"),
        ("rounds = ", "settings.toml"),
        ("[defence]\nmedian = 'sometimes'", "must be one of never, on alert, always"),
        ("[defence]\nnorm_factor = -1", "norm_factor must be at least 0 and finite"),
        ("[scenario]\nweighting = 'loud'", "one of examples, uniform"),
        ("cohort = 4\n[scenario.rounds]\nminimum = 5", "raise cohort or lower"),
    ],
)
def test_what_it_cannot_mean_is_refused_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        from_text(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        SimulationConfig.from_toml(tmp_path / "nowhere.toml")


def test_options_reach_into_parts() -> None:
    config = SimulationConfig().with_options({"server.momentum": 0.5, "rounds": 3})
    assert (config.server.momentum, config.rounds) == (0.5, 3)


def test_assignments_are_written_as_in_the_file() -> None:
    config = SimulationConfig().with_options(parsed(["server.name=adam", "cohort = 5", 'size="gboard"']))
    assert (config.server.name, config.cohort, config.size) == ("adam", 5, "gboard")
    for bad in ("cohort", "no.such=1", "server.no=1"):
        with pytest.raises(ConfigError):
            SimulationConfig().with_options(parsed([bad]))


def test_a_scenario_brings_its_weighting() -> None:
    config = SimulationConfig().with_scenario(Scenario(weighting="uniform"))
    assert config.client.weighting == "uniform"
    assert SimulationConfig().with_options(config.to_dict()) == config


def test_what_is_written_down_can_be_read_again() -> None:
    config = SimulationConfig().with_options({"server.name": "adagrad"})
    assert SimulationConfig().with_options(config.to_dict()) == config


def test_noise_goes_with_a_defence_where_the_round_server_has_both() -> None:
    groups = DefenceSettings(enabled=True, group_phones=5)
    skellam = PrivateTraining("skellam", 0.5, clip=1.0, minimum=5)
    assert SimulationConfig(defence=groups, privacy=skellam).privacy == skellam
    for privacy in (
        replace(skellam, minimum=6),
        replace(skellam, minimum=0),
        PrivateTraining("gaussian", 0.5, clip=1.0),
    ):
        with pytest.raises(ConfigError, match="group"):
            SimulationConfig(defence=groups, privacy=privacy)


@pytest.mark.parametrize("module", ["fedkey.cli.evaluate", "federation.simulation.config"])
def test_whoever_only_evaluates_or_reads_settings_does_without_tff(module: str) -> None:
    code = f"import sys, {module}; sys.exit('tensorflow_federated' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
