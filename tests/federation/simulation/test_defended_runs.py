"""Whole runs with a scenario or a defence: stopped and resumed."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from federation.fleet.scenario import Clients, DropOut, PhoneClass, Scenario
from federation.protocol.task import ComputeBudget
from federation.robustness import Action, DefenceSettings
from federation.simulation.client_training import ClientTraining
from federation.simulation.report import RoundReport, Watcher
from federation.simulation.run import Run
from model.checkpoint import Checkpoint
from tests.federation.simulation.conftest import same, train_and_keep

SCENARIO = Scenario(
    classes=(
        PhoneClass(name="slow", share=0.5, tokens_per_second=1, budget=ComputeBudget(steps=1, seconds=120)),
        PhoneClass(name="fast", share=0.5),
    ),
    drop_out=DropOut(upload=0.3),
    clients=Clients(split="dirichlet"),
)


@pytest.mark.slow
def test_a_scenario_decides_who_is_in_a_round_and_a_stopped_run_goes_on_alike(make: Callable[..., Run]) -> None:
    run = make("whole", scenario=SCENARIO, rounds=8)
    whole, reports = train_and_keep(run, after=5, stopped="stopped")
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
    again = make("stopped", scenario=SCENARIO, rounds=8)
    assert again.rounds_done == 5
    assert same(again.train(), whole)


DEFENCE = DefenceSettings(enabled=True, group_phones=2, norm_factor=0.0, clip_factor=0.0, min_agreement=-1.0)


@pytest.mark.slow
def test_a_defended_run_that_was_stopped_ends_as_one_that_was_not(make: Callable[..., Run]) -> None:
    whole, _ = train_and_keep(make("whole", defence=DEFENCE), after=3, stopped="stopped")
    again = make("stopped", defence=DEFENCE)
    assert again.rounds_done == 3
    assert same(again.train(), whole)
    header = (again.directory / "metrics.csv").read_text().splitlines()[0]
    assert "group_rejected" in header
    assert "rolled_back" in header
    latest = again._states.latest()
    assert latest is not None
    best = latest[1].memory.best
    assert best is not None
    assert (again.directory / "states" / f"round-{best.round_number:06}.npz").exists()


def test_a_run_whose_model_gets_worse_returns_to_the_best_one(make: Callable[..., Run]) -> None:
    strict = replace(DEFENCE, max_gate_loss_nats=0.0, canary_jump=0.0, rollback_loss=1e-6)
    wild = ClientTraining(batch_rows=2, dropout=0.0)
    object.__setattr__(wild, "learning_rate", -0.05)  # up the loss, which no setting allows
    decisions: list[str] = []

    def watch(report: RoundReport) -> None:
        decisions.extend(decision.action for decision in report.decisions or ())

    run = make("worse", rounds=2, defence=strict, client=wild)
    trained = run.train(Watcher(round_done=watch))
    assert decisions.count(Action.ROLLED_BACK) == 2
    assert same(trained, Checkpoint.load(run.warm_start_path))
