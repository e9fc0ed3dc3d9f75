import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from federation.errors import ConfigError
from federation.fleet.scenario import PhoneClass, Scenario
from federation.privacy.training import PrivateTraining
from federation.protocol.task import ComputeBudget
from federation.simulation.config import SimulationConfig
from federation.simulation.report import RoundReport, Watcher
from federation.simulation.run import Run
from model.checkpoint import Checkpoint
from tests.federation.simulation.conftest import NewRun, StoppedError, same, stop_after


class Reference(NamedTuple):
    run: Run
    trained: Checkpoint
    reports: list[RoundReport]

    def copy(self, directory: Path) -> Path:
        return Path(shutil.copytree(self.run.directory, directory))


@pytest.fixture(scope="module")
def whole(new_run: NewRun, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """A run from beginning to end."""
    reports: list[RoundReport] = []
    run = new_run(tmp_path_factory.mktemp("runs") / "whole")
    return Reference(run, run.train(Watcher(round_done=reports.append)), reports)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(make: Callable[..., Run], whole: Reference) -> None:
    with pytest.raises(StoppedError):
        make("stopped").train(stop_after(3))
    again = make("stopped")
    assert again.rounds_done == 3
    numbers: list[int] = []
    resumed = again.train(Watcher(round_done=lambda report: numbers.append(report.number)))
    assert numbers == [4, 5]
    assert same(resumed, whole.trained)
    assert same(Checkpoint.load(again.model_path), whole.trained)
    rounds = [line.split(",")[0] for line in (again.directory / "metrics.csv").read_text().split()]
    assert rounds == ["round", "0", "1", "2", "3", "4", "5"]


def test_a_torn_state_is_passed_over_and_one_of_before_the_defence_is_not(
    new_run: NewRun, whole: Reference, tmp_path: Path
) -> None:
    torn = whole.copy(tmp_path / "torn")
    newest = torn / "states" / "round-000005.npz"
    with np.load(newest) as arrays:
        np.savez(newest, **{name: arrays[name] for name in arrays.files if name != "defence"})
    assert new_run(torn).rounds_done == 5
    newest.write_bytes(newest.read_bytes()[:1000])
    assert new_run(torn).rounds_done == 4
    assert same(new_run(torn).train(), whole.trained)


@pytest.mark.slow
def test_another_seed_is_another_model(make: Callable[..., Run], whole: Reference) -> None:
    assert not same(make("other", seed=2).train(), whole.trained)


def test_training_lowers_the_validation_loss(whole: Reference) -> None:
    seen = {
        report.number: report.validation.totals.mean_loss for report in whole.reports if report.validation is not None
    }
    assert sorted(seen) == [2, 4, 5]
    assert seen[5] < seen[2]


def test_a_folder_of_another_run_is_refused(make: Callable[..., Run]) -> None:
    make("taken")
    with pytest.raises(ConfigError, match=r"another cohort.*--restart"):
        make("taken", cohort=5)


def test_a_budget_bounds_what_a_client_trains_on(make: Callable[..., Run]) -> None:
    one = PhoneClass(name="slow", share=1.0, budget=ComputeBudget(steps=1, seconds=120))
    run = make("bounded", scenario=Scenario(classes=(one,)))
    assert {len(run._client_rows(1, client)) for client in range(5)} == {2}  # a batch


def test_bytes_of_a_client_are_those_of_the_messages_of_phones(whole: Reference) -> None:
    parameters, first = whole.run.network.parameters, whole.reports[0].traffic
    # 16 bits a weight and 4 bytes a weight, and the rest of the protocol.
    assert 2 * parameters < first.up < 2 * parameters + 2 * 4096 + 2000
    assert 4 * parameters < first.down < 4 * parameters + 4000
    assert f"{first.up}" in (whole.run.directory / "metrics.csv").read_text()


def test_a_run_with_a_share_of_the_coordinates_goes_on_where_it_was_stopped(make: Callable[..., Run]) -> None:
    options = {"upload_share": 0.3, "privacy": PrivateTraining(clip=0.5, adaptive_quantile=0.4)}
    reference = make("whole", **options)
    trained = reference.train()
    with pytest.raises(StoppedError):
        make("stopped", **options).train(stop_after(2))
    assert same(make("stopped", **options).train(), trained)
    assert reference.traffic.up < 0.5 * make("all").traffic.up


def test_a_defence_does_not_go_with_noise_by_the_server() -> None:
    noised = {"privacy.mechanism": "gaussian", "privacy.noise_multiplier": 1.0, "privacy.clip": 1.0}
    with pytest.raises(ConfigError, match="leave out defence"):
        SimulationConfig().with_options({"defence.enabled": True, "client.weighting": "uniform", **noised})
