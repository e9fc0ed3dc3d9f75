"""`fedkey privacy`, and the settings and records behind it."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from federation.errors import ConfigError
from federation.privacy.central import NoiseStream
from federation.privacy.conversion import DEFAULT_DELTA, epsilon_of_rho
from federation.privacy.participation import Participation
from federation.privacy.proposals import proposals
from federation.privacy.toeplitz import Buffers
from federation.privacy.training import PrivateTraining, RunRecord
from federation.protocol.plan import RoundPlan
from federation.updates.rotation import Rotation
from fedkey.cli import main

PAIR = Buffers((0.7786, 0.99327), (0.32365, 0.1471))


def fedkey(command: str, *more: str) -> Result:
    return CliRunner().invoke(main, ["privacy", *command.split(), *more], catch_exceptions=False)


def test_the_report_prints_what_a_planned_run_costs() -> None:
    command = "report --mechanism blt --noise-multiplier 7 --rounds 2000 --participations 6 --separation 313"
    result = fedkey(command)
    assert result.exit_code == 0
    assert "0.2287 (zCDP)" in result.output
    assert "epsilon      4.48\n" in result.output
    assert "a BLT of 2 buffers, by the server" in result.output
    fresh = fedkey(command.replace("blt", "gaussian"))
    assert "0.06122 (zCDP)" in fresh.output
    refused = fedkey(command, "--sampling", "poisson")
    assert refused.exit_code == 1
    assert "choose when to come" in refused.output


def test_a_plan_that_phones_get_is_accounted_for(plan: RoundPlan, tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(plan.to_bytes() + bytes(64))  # with room for a signature
    result = fedkey("report", "--plan", str(tmp_path / "plan"), "--rounds", "10", "--participations", "3")
    assert result.exit_code == 0
    # z 0.7 costs 1 / (2 * 0.49) a round, and integer noise a little more.
    rho = float(next(line for line in result.output.splitlines() if line.startswith("rho")).split()[1])
    assert 0.999 * 3 / 0.98 < rho < 1.02 * 3 / 0.98
    assert "at least 8 phones, of which 6 make their noise" in result.output


def record(tmp_path: Path, settings: PrivateTraining) -> RunRecord:
    rounds = tuple((number % 7, number % 7 + 7, 14 + number % 9) for number in range(20))
    buffers = PAIR if settings.mechanism == "blt" else Buffers()
    made = RunRecord(settings, 3, True, 5000, rounds, buffers, ("loss", "accuracy"))
    made.save(tmp_path)
    assert RunRecord.load(tmp_path) == made
    return made


@pytest.mark.parametrize(
    ("settings", "rho"),
    [
        # In 20 rounds most clients came 3 times, 7 rounds apart.
        (PrivateTraining("gaussian", 2.0, clip=1.0), 3 / (2 * 2.0**2)),
        (PrivateTraining("blt", 2.0, clip=1.0), PAIR.squared_sensitivity([0, 7, 14], 20) / (2 * 2.0**2)),
        (PrivateTraining("skellam", 0.5, clip=1.0), 3 / (2 * 0.5**2)),
        (PrivateTraining("discrete_gaussian", 0.5, clip=1.0), 3 / (2 * 0.5**2)),
    ],
    ids=lambda value: getattr(value, "mechanism", ""),
)
def test_a_run_costs_what_its_record_says(tmp_path: Path, settings: PrivateTraining, rho: float) -> None:
    account = record(tmp_path, settings).account()
    assert account.rho == pytest.approx(rho, rel=1e-3)
    whole = settings.mechanism == "skellam"
    assert account.epsilon == pytest.approx(epsilon_of_rho(rho, DEFAULT_DELTA, whole_orders=whole), rel=0.01)
    result = fedkey("report", str(tmp_path), "--delta", "1e-9")
    assert result.exit_code == 0
    for said in ("1e-09", "all data of one phone", "at most 3 of 20 rounds, at least 7 apart", "nothing is gained"):
        assert said in result.output
    assert settings.mechanism.replace("_", " ") in result.output.lower()
    assert "not covered  loss\n             accuracy\n" in result.output
    assert ("shows nobody a sum without it" in result.output) == (settings.mechanism in {"gaussian", "blt"})


def test_a_larger_cohort_that_was_only_simulated_is_said_to_protect_nobody(tmp_path: Path) -> None:
    record(tmp_path, PrivateTraining("gaussian", 2.0, clip=1.0, noise_cohort=1000))
    assert "protects nobody" in fedkey("report", str(tmp_path)).output


@pytest.mark.parametrize(
    ("settings", "sampling", "said"),
    [
        (PrivateTraining(), "arrival", "no noise, so it has no differential privacy"),
        (PrivateTraining("gaussian", 0.0, clip=1.0), "arrival", "no noise, so it has no differential privacy"),
        (PrivateTraining("gaussian", 1.0, clip=1.0), "poisson", "choose when to come"),
        (PrivateTraining("skellam", 1.0, clip=1.0), "shuffled", "choose when to come"),
    ],
)
def test_a_run_that_assumes_what_did_not_happen_is_refused(
    tmp_path: Path, settings: PrivateTraining, sampling: str, said: str
) -> None:
    record(tmp_path, settings)
    result = fedkey("report", str(tmp_path), "--sampling", sampling)
    assert result.exit_code == 1
    assert said in result.output


@pytest.mark.parametrize("content", [None, "{", '{"rounds": []}', '{"rounds": 3, "settings": {}}'])
def test_a_folder_without_a_record_is_refused_in_one_sentence(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "privacy.json").write_text(content)
    result = fedkey("report", str(tmp_path))
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "no record of a run with noise" in result.output


@pytest.mark.parametrize(
    "arguments",
    ["", "--mechanism blt", "--mechanism blt --rounds 3 --participations 1", ". --mechanism blt", ". --rounds 3"],
)
def test_a_report_needs_a_run_or_all_of_a_plan(arguments: str) -> None:
    assert fedkey("report " + arguments).exit_code == 2


def test_a_plan_for_counting_says_what_it_needs_and_no_below_it() -> None:
    enough = fedkey("plan --what counts --target-epsilon 8 --population 1000000 --length 620847")
    assert enough.exit_code == 0, enough.output
    assert "a list of 620,847 n-grams, clip 64" in enough.output
    rows = re.findall(r"^ +([\d.]+) % +([\d,]+)$", enough.output, re.MULTILINE)
    needed = {float(share): int(phones.replace(",", "")) for share, phones in rows}
    assert sorted(needed, reverse=True) == [10, 3, 1, 0.3, 0.1]
    assert needed[1] == pytest.approx(100 * needed[10], rel=0.01)
    few = fedkey("plan --what counts --target-epsilon 8 --population 554 --length 620847")
    assert few.exit_code == 1
    assert f"wait for {needed[10]:,} phones" in few.output
    stricter = fedkey("plan --what counts --target-epsilon 2 --population 1000000 --length 620847")
    assert stricter.output != enough.output


def test_a_plan_for_new_words_needs_fewer_phones_than_one_for_counts() -> None:
    words, counts = (
        fedkey(f"plan --what {what} --target-epsilon 8 --population 10000 --length 100000")
        for what in ("words", "counts")
    )
    assert (words.exit_code, counts.exit_code) == (0, 1)
    assert "a list of 100,000 words, clip 4.47" in words.output
    assert fedkey("plan --what words --target-epsilon 8 --population 100").exit_code == 1
    assert fedkey("plan --what words --target-epsilon 8 --population 100 --clip 0").exit_code == 2
    assert fedkey("plan --target-epsilon 8 --population 100 --clip 3").exit_code == 2
    assert fedkey("plan --what words --target-epsilon 8 --population 100 --rounds 3").exit_code == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"noise_multiplier": 1.0}, "needs a privacy.mechanism"),
        ({"mechanism": "gaussian", "noise_multiplier": 1.0}, "needs a finite privacy.clip"),
        ({"mechanism": "skellam", "clip": 1.0}, "needs a noise multiplier above 0"),
        ({"adaptive_quantile": 0.5}, "an adaptive clip begins at a finite privacy.clip"),
        ({"mechanism": "gaussian", "clip": 1.0, "minimum": 5}, "only noise by clients"),
        (
            {"mechanism": "skellam", "clip": 1.0, "noise_multiplier": 1.0, "noise_cohort": 99},
            "only noise by the server",
        ),
        ({"clip": 0.0}, "clip must be positive"),
        ({"delta": 0.0}, "delta must be"),
        ({"max_participations": -1}, "cannot be negative"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        PrivateTraining(**settings)  # type: ignore[arg-type]


def test_cohorts_that_cannot_be_private_so_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"set client\.weighting to uniform"):
        PrivateTraining("gaussian", 1.0, clip=1.0).check_cohort(10, uniform=False)
    with pytest.raises(ConfigError, match="at least the cohort of 10"):
        PrivateTraining("gaussian", 1.0, clip=1.0, noise_cohort=9).check_cohort(10, uniform=True)
    with pytest.raises(ConfigError, match="at most the cohort of 10"):
        PrivateTraining("skellam", 1.0, clip=1.0, minimum=11).check_cohort(10, uniform=True)
    with pytest.raises(ConfigError, match="no round has these privacy settings: a session has"):
        PrivateTraining("skellam", 1.0, clip=1.0).plan(1, 300, 100, bytes(32), uniform=True)


@pytest.mark.parametrize("mechanism", ["none", "gaussian", "blt", "skellam", "discrete_gaussian"])
def test_noise_is_compared_with_the_longest_update(mechanism: str) -> None:
    multiplier = 0.0 if mechanism == "none" else 0.5
    settings = PrivateTraining(mechanism, multiplier, clip=2.0)  # type: ignore[arg-type]
    expected = multiplier * math.sqrt(100_000) / 20
    assert settings.noise_over_clip(20, 100_000, uniform=True) == pytest.approx(expected, rel=0.05)


def test_what_a_scenario_decides_cannot_be_set_as_well() -> None:
    skellam = PrivateTraining("skellam", 1.0, clip=1.0, minimum=5)
    skellam.check_scenario(5)
    with pytest.raises(ConfigError, match="minimum of 4, not 5"):
        skellam.check_scenario(4)
    with pytest.raises(ConfigError, match="decides when phones come"):
        PrivateTraining(minimum_separation=2).check_scenario(4)


def test_proposals_are_printed_and_their_columns_explained() -> None:
    result = fedkey("plan", "--target-epsilon", "8.9", "--population", "100000", "--rounds", "200", "--rounds", "50")
    assert result.exit_code == 0
    assert "at delta 1e-10 is rho 0.806" in result.output
    assert len(re.findall(r"^ +(200|50) ", result.output, re.MULTILINE)) == 2 * 9
    for column in ("cohort", "separation", "participations", "multiplier", "on the model", "fresh", "blt"):
        assert result.output.count(column) >= 2


def test_a_plan_and_a_report_of_it_agree() -> None:
    (found,) = proposals(8.9, DEFAULT_DELTA, 100_000, [200], [2000])
    kind = found.participation
    planned = f"--rounds {kind.rounds} --participations {kind.max_participations} --separation {kind.min_separation}"
    for mechanism, buffers in (("gaussian", Buffers()), ("blt", found.buffers)):
        command = f"report --mechanism {mechanism} --noise-multiplier {found.multiplier(buffers)} {planned}"
        assert "epsilon      8.9\n" in fedkey(command).output


def test_a_proposal_meets_its_target() -> None:
    (found,) = proposals(8.90, 1e-10, 6500 * 400, [2000], [6500])
    assert found.participation == Participation(2000, 5, 400)
    assert found.multiplier(Buffers()) ** 2 == pytest.approx(5 / (2 * found.rho))
    # One more participation, sooner after each other, took the published run, on a tree, a noise multiplier of 7.
    assert found.multiplier(Buffers()) < found.multiplier(found.buffers) < 7
    assert found.on_models(found.buffers) < 0.2 * found.on_models(Buffers())
    assert proposals(8.90, 1e-10, 30, [10])[0].cohort == 30


@pytest.mark.parametrize("rounds", [3, 12])
def test_the_noise_that_is_planned_is_what_a_server_adds(rounds: int) -> None:
    """In models, over the clip: a trial of the server's own code, round for round."""
    (found,) = proposals(1.0, 1e-8, 100, [rounds], [10])
    dimension, deviation = 20_480, 50.0
    for buffers in (Buffers(), found.buffers):
        stream = NoiseStream.begin(buffers, dimension)
        carried, squares = np.zeros(dimension), []
        for number in range(rounds):
            rotation = Rotation(number.to_bytes(32, "little"), dimension)
            noised, stream = stream.noised(np.zeros(dimension, np.int64), rotation, deviation, bytes([number]))
            carried += rotation.invert(noised.steps / 2**16) / deviation
            squares.append(np.square(carried).mean())
        # With deviation z times the clip, on a sum that is divided by the cohort.
        added = found.multiplier(buffers) * math.sqrt(np.mean(squares)) / found.cohort
        assert found.on_models(buffers) == pytest.approx(added, rel=0.02)
