import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from federation.errors import ConfigError
from federation.robustness import Action, DefenceSettings
from federation.scenario import Clients, DropOut, PhoneClass, Scenario
from federation.simulation.config import SimulationConfig
from federation.simulation.fedavg import ClientTraining
from federation.simulation.run import RoundReport, Run, Watcher
from federation.task import Budget
from model.checkpoint import Checkpoint

ROUNDS = 5


class StoppedError(Exception):
    pass


def same(a: Checkpoint, b: Checkpoint) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.weights, b.weights, strict=True))


def test_a_run_that_was_stopped_ends_as_one_that_was_not(make: Callable[..., Run]) -> None:
    def stop(report: RoundReport) -> None:
        if report.number == 3:
            raise StoppedError

    whole = make("whole").train()
    with pytest.raises(StoppedError):
        make("stopped").train(Watcher(round_done=stop))
    again = make("stopped")
    assert again.rounds_done == 3
    numbers: list[int] = []
    resumed = again.train(Watcher(round_done=lambda report: numbers.append(report.number)))
    assert numbers == [4, 5]
    assert same(resumed, whole)
    assert same(Checkpoint.load(again.model_path), whole)
    rounds = [line.split(",")[0] for line in (again.directory / "metrics.csv").read_text().split()]
    assert rounds == ["round", "0", "1", "2", "3", "4", "5"]


def test_a_torn_state_is_passed_over_and_one_of_before_the_defence_is_not(make: Callable[..., Run]) -> None:
    run = make("torn", rounds=2)
    whole = run.train()
    newest = run.directory / "states" / "round-000002.npz"
    with np.load(newest) as arrays:
        np.savez(newest, **{name: arrays[name] for name in arrays.files if name != "defence"})
    assert make("torn", rounds=2).rounds_done == 2
    newest.write_bytes(newest.read_bytes()[:1000])
    assert make("torn", rounds=2).rounds_done == 1
    assert same(make("torn", rounds=2).train(), whole)


def test_another_seed_is_another_model(make: Callable[..., Run]) -> None:
    assert not same(make("one", rounds=1).train(), make("two", rounds=1, seed=2).train())


def test_training_lowers_the_validation_loss(make: Callable[..., Run]) -> None:
    seen: dict[int, float] = {}

    def watch(report: RoundReport) -> None:
        if report.validation is not None:
            seen[report.number] = report.validation.totals.mean_loss

    make("learns").train(Watcher(round_done=watch))
    assert sorted(seen) == [2, 4, 5]
    assert seen[5] < seen[2]


def test_a_folder_of_another_run_is_refused(make: Callable[..., Run]) -> None:
    make("taken")
    with pytest.raises(ConfigError, match=r"another cohort.*--restart"):
        make("taken", cohort=5)


SCENARIO = Scenario(
    classes=(
        PhoneClass(name="slow", share=0.5, tokens_per_second=1, budget=Budget(steps=1, seconds=120)),
        PhoneClass(name="fast", share=0.5),
    ),
    drop_out=DropOut(upload=0.3),
    clients=Clients(split="dirichlet"),
)


def test_a_scenario_decides_who_is_in_a_round_and_a_stopped_run_goes_on_alike(make: Callable[..., Run]) -> None:
    reports: list[RoundReport] = []
    run = make("whole", scenario=SCENARIO, rounds=8)
    whole = run.train(Watcher(round_done=reports.append))
    assert {report.played.completed for report in reports if report.played} == {True, False}
    for report in reports:
        assert report.played is not None
        assert report.clients == len(report.played.contributed)
        assert (report.training.targets > 0) == report.played.completed
    lines = (run.directory / "metrics.csv").read_text().splitlines()
    names, last = lines[0].split(","), lines[-1].split(",")
    figures = dict(zip(names, last, strict=True))
    assert float(figures["virtual_hours"]) == pytest.approx(reports[-1].played.closed_seconds / 3600)  # type: ignore[union-attr]
    assert float(figures["validation_accuracy_q5"]) <= float(figures["validation_accuracy_q95"])

    def stop(report: RoundReport) -> None:
        if report.number == 5:
            raise StoppedError

    with pytest.raises(StoppedError):
        make("stopped", scenario=SCENARIO, rounds=8).train(Watcher(round_done=stop))
    assert same(make("stopped", scenario=SCENARIO, rounds=8).train(), whole)


def test_a_budget_bounds_what_a_client_trains_on(make: Callable[..., Run]) -> None:
    one = PhoneClass(name="slow", share=1.0, budget=Budget(steps=1, seconds=120))
    run = make("bounded", scenario=Scenario(classes=(one,)))
    assert {len(run._client_rows(1, client)) for client in range(5)} == {2}  # a batch


def test_bytes_of_a_client_are_those_of_the_messages_of_phones(make: Callable[..., Run]) -> None:
    reports: list[RoundReport] = []
    run = make("bytes", rounds=1)
    run.train(Watcher(round_done=reports.append))
    parameters = run.network.parameters
    # 16 bits a weight and 4 bytes a weight, and the rest of the protocol.
    assert 2 * parameters < reports[0].traffic.up < 2 * parameters + 2 * 4096 + 2000
    assert 4 * parameters < reports[0].traffic.down < 4 * parameters + 4000
    assert f"{reports[0].traffic.up}" in (run.directory / "metrics.csv").read_text()


def simulate(corpus: Path, out: Path, cache: Path) -> subprocess.Popen[bytes]:
    options = ["--rounds", "6", "--cohort", "4", "--set", "row_length=8", "--set", "warm_start.epochs=1"]
    return subprocess.Popen(
        [sys.executable, "-m", "federation.cli", "simulate", "--corpus", str(corpus), "--out", str(out), *options],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_run_killed_in_the_middle_of_a_round_ends_with_the_same_weights(corpus: Path, tmp_path: Path) -> None:
    whole = simulate(corpus, tmp_path / "whole", tmp_path / "cache")
    with simulate(corpus, tmp_path / "killed", tmp_path / "cache") as killed:
        deadline = time.monotonic() + 200
        while not (tmp_path / "killed" / "states" / "round-000002.npz").exists():
            assert killed.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.kill(killed.pid, signal.SIGKILL)
    with simulate(corpus, tmp_path / "killed", tmp_path / "cache") as again:
        assert again.wait(200) == 0
    with whole:
        assert whole.wait(200) == 0
    assert same(Checkpoint.load(tmp_path / "killed" / "model"), Checkpoint.load(tmp_path / "whole" / "model"))


DEFENCE = DefenceSettings(enabled=True, group_phones=2, norm_factor=0.0, clip_factor=0.0, least_agreement=-1.0)


def test_a_defended_run_that_was_stopped_ends_as_one_that_was_not(make: Callable[..., Run]) -> None:
    def stop(report: RoundReport) -> None:
        if report.number == 3:
            raise StoppedError

    whole = make("whole", defence=DEFENCE).train()
    with pytest.raises(StoppedError):
        make("stopped", defence=DEFENCE).train(Watcher(round_done=stop))
    again = make("stopped", defence=DEFENCE)
    assert again.rounds_done == 3
    assert same(again.train(), whole)
    header = (again.directory / "metrics.csv").read_text().splitlines()[0]
    assert "group_rejected" in header
    assert "rolled_back" in header
    latest = again._latest()
    assert latest is not None
    best = latest[1].memory.best
    assert best is not None
    assert (again.directory / "states" / f"round-{best.round_number:06}.npz").exists()


def test_a_run_whose_model_gets_worse_returns_to_the_best_one(make: Callable[..., Run]) -> None:
    strict = replace(DEFENCE, gate_loss=0.0, canary_jump=0.0, rollback_loss=1e-6)
    wild = ClientTraining(learning_rate=-2.0, batch_rows=2, dropout=0.0)
    decisions: list[str] = []

    def watch(report: RoundReport) -> None:
        decisions.extend(decision.action for decision in report.decisions or ())

    run = make("worse", rounds=2, defence=strict, client=wild)
    trained = run.train(Watcher(round_done=watch))
    assert decisions.count(Action.ROLLED_BACK) == 2
    assert same(trained, Checkpoint.load(run.warm_start_path))


def test_defence_and_privacy_are_not_switched_on_together() -> None:
    with pytest.raises(ConfigError, match="leave out"):
        SimulationConfig().with_options({"defence.enabled": True, "privacy.clip": 1.0})
