"""Whole runs with noise: stopped and resumed, accounted for, and with rare rows frozen."""

import re
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from federation.errors import ConfigError, DivergedError
from federation.fleet.scenario import DropOut, PhoneClass, Scenario
from federation.privacy.participation import Participation
from federation.privacy.training import PrivateTraining, RunRecord
from federation.rounds.server_optimizers import OptimizerSettings
from federation.simulation.client_training import ClientTraining
from federation.simulation.participation import choose_cohorts
from federation.simulation.report import RoundReport, Watcher
from federation.simulation.run import Run
from fedkey.cli import main
from model.checkpoint import Checkpoint
from tests.federation.simulation.conftest import same, train_and_keep

UNIFORM = ClientTraining(learning_rate=0.5, batch_rows=2, dropout=0.1, weighting="uniform")


def test_a_private_run_that_was_stopped_draws_no_second_noise(make: Callable[..., Run]) -> None:
    privacy = PrivateTraining("blt", 0.5, clip=0.5, minimum_separation=3, max_participations=2, min_frequency=4e-2)
    whole = make("whole", client=UNIFORM, privacy=privacy)
    assert stat.S_IMODE((whole.directory / "noise_seed").stat().st_mode) == 0o600
    uninterrupted, _ = train_and_keep(whole, after=2, stopped="blt")
    run = make("blt", client=UNIFORM, privacy=privacy)
    assert run.rounds_done == 2
    trained = run.train()
    assert same(trained, uninterrupted)

    record = RunRecord.load(run.directory)
    assert len(record.rounds) == 5
    record.ledger.check(Participation(5, 2, 3))
    assert record.account().rho > 0

    # Rare rows are as they were before the first round, in spite of noise on every coordinate; the others are not.
    frequent = run.vocabulary.piece_frequencies >= 4e-2
    assert 0 < np.count_nonzero(frequent) < len(frequent)
    for old, new in zip(Checkpoint.load(run.warm_start_path).weights[:2], trained.weights[:2], strict=True):
        moved = [not np.array_equal(a, b) for a, b in zip(old, new, strict=True)]
        assert np.array_equal(moved, frequent)


def test_clients_of_a_scenario_make_noise_and_the_run_says_what_it_costs(make: Callable[..., Run]) -> None:
    scenario = Scenario(classes=(PhoneClass(name="any", share=1.0),), drop_out=DropOut(upload=0.3))
    privacy = PrivateTraining("skellam", 0.3, clip=0.5, minimum=scenario.rounds.minimum)
    reports: list[RoundReport] = []
    run = make("skellam", cohort=6, rounds=2, privacy=privacy, scenario=scenario)
    weights = run.train(Watcher(round_done=reports.append)).weights
    contributed = tuple(report.played.contributed for report in reports if report.played is not None)
    assert RunRecord.load(run.directory).rounds == contributed
    assert any(contributed)
    start = Checkpoint.load(run.warm_start_path).weights
    assert all(np.isfinite(weight).all() for weight in weights)
    assert not np.array_equal(weights[0], start[0])
    times = max(Counter(client for clients in contributed for client in clients).values())
    assert RunRecord.load(run.directory).account().rho == pytest.approx(times / (2 * 0.3**2), rel=0.01)


def test_noise_of_the_server_needs_clients_that_count_alike(make: Callable[..., Run]) -> None:
    with pytest.raises(ConfigError, match="uniform"):
        make("weighted", privacy=PrivateTraining("gaussian", 1.0, clip=0.5))


README = Path(__file__).parents[3] / "README.md"


def test_the_private_run_of_the_readme_works_and_is_accounted_for(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a small size: as it is written, but for the corpus, the rounds and the folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (line,) = re.findall(
        r"^ +uv run fedkey (simulate --mechanism .*?) --out runs/private", README.read_text(), re.MULTILINE
    )
    out = ["--out", str(tmp_path / "private")]
    small = ["--corpus", str(corpus), "--rounds", "3", "--cohort", "8", "--set", "evaluate_clients=4"]
    trained = CliRunner().invoke(main, [*line.split(), *small, *out], catch_exceptions=False)
    assert trained.exit_code == 0, trained.output
    (ratio,) = re.findall(r"noise on a round's mean is ([\d.e+-]+) times as long", trained.output)
    assert float(ratio) < 1
    report = CliRunner().invoke(main, ["privacy", "report", out[1]], catch_exceptions=False)
    for said in (
        "a BLT of",
        "1e-10",
        "protects nobody",
        "not covered",
        "loss",
        "validation_accuracy",
        "mixture_weights",
    ):
        assert said in report.output
    assert "bytes_up" not in report.output


def test_a_run_that_comes_apart_stops_with_a_sentence(make: Callable[..., Run]) -> None:
    privacy = PrivateTraining("gaussian", 50.0, clip=2.0)
    changes = {"client": UNIFORM, "privacy": privacy, "rounds": 30, "server": OptimizerSettings(name="sgd")}
    run = make("apart", **changes)
    assert run.noise_over_clip > 100
    with pytest.raises(DivergedError, match=r"diverged by round \d+: .* lower the noise multiplier") as stopped:
        run.train()
    assert "\n" not in str(stopped.value)
    again = make("apart", **changes)
    assert 0 < again.rounds_done < 30
    with pytest.raises(DivergedError, match="diverged"):
        again.train()


def test_clients_rest_as_long_and_come_as_often_as_was_asked() -> None:
    cohorts = choose_cohorts(23, 5, 30, seed=[1], separation=4, most=7)
    assert cohorts.shape == (30, 5)
    assert np.bincount(cohorts.ravel(), minlength=23).max() <= 7
    for number in range(30):
        window = cohorts[number : number + 4].ravel()
        assert len(set(window)) == len(window)
    assert not np.array_equal(cohorts, choose_cohorts(23, 5, 30, seed=[2], separation=4, most=7))


def test_too_few_clients_for_the_limits_are_refused_before_training() -> None:
    with pytest.raises(ConfigError, match="in round 3 only 2 of 12 clients may come again, not 5"):
        choose_cohorts(12, 5, 30, seed=[1], separation=4)
    with pytest.raises(ConfigError, match=r"raise privacy\.max_participations"):
        choose_cohorts(12, 5, 30, seed=[1], most=2)
