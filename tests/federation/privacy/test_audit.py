"""The empirical audit: its statistics on known noise, and each mechanism below what is claimed of it."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from federation.privacy.accountant import epsilon_of_gaussian
from federation.privacy.audit import Audit
from federation.privacy.errors import AssumptionError
from federation.privacy.toeplitz import Buffers
from federation.privacy.training import PrivateTraining, RunRecord
from federation.simulation.audit import audit
from fedkey.cli import main

PAIR = Buffers((0.7786, 0.99327), (0.32365, 0.1471))
ROUNDS = tuple((number % 3, *range(3, 10)) if number % 3 == 0 else (number % 3,) for number in range(9))
SECRET = bytes(range(32))


def normal(mu: float, count: int = 2000) -> Audit:
    random = np.random.default_rng(3)
    return Audit(3 * (random.normal(size=count) + mu), 3 * random.normal(size=count))


@pytest.mark.parametrize("mu", [0.5, 1.0, 3.0])
def test_mu_of_normal_noise_is_found_and_bounded_from_below(mu: float) -> None:
    found = normal(mu)
    assert found.mu == pytest.approx(mu, abs=0.1)
    assert mu - 0.2 < found.least_mu < found.mu
    assert found.epsilon_of_mu(1e-6) < epsilon_of_gaussian(mu**2 / 2, 1e-6)


def test_guesses_refute_less_than_is_so_and_more_than_nothing() -> None:
    """Pure privacy: the answer to each canary is turned round with a known chance."""
    random, epsilon = np.random.default_rng(1), 1.5
    kept = random.random(4000) < 1 / (1 + math.exp(-epsilon))
    told = np.where(kept, 1.0, -1.0) * (1 + 1e-6 * random.random(4000))
    found = Audit(told[:2000], -told[2000:])
    assert 0.8 * epsilon < found.epsilon_of_guesses < epsilon


def test_noise_without_canaries_refutes_nothing() -> None:
    found = normal(0.0)
    assert found.epsilon_of_guesses < 0.3
    assert found.least_mu < 0.1


def test_a_bound_is_seldom_above_the_truth() -> None:
    random, wrong, epsilon = np.random.default_rng(0), 0, epsilon_of_gaussian(0.5, 1e-3)
    for _ in range(400):
        found = Audit(random.normal(size=100) + 1.0, random.normal(size=100))
        wrong += found.least_mu > 1.0
        assert found.epsilon_of_guesses < epsilon
    assert stats.binomtest(wrong, 400, 0.05).pvalue > 1e-3


def test_too_few_canaries_are_refused() -> None:
    with pytest.raises(AssumptionError, match="take more canaries"):
        Audit(np.zeros(5), np.zeros(50))


def record(mechanism: str, multiplier: float = 1.0) -> RunRecord:
    settings = PrivateTraining(mechanism, multiplier, clip=0.5)  # type: ignore[arg-type]
    buffers = PAIR if mechanism == "blt" else Buffers()
    return RunRecord(settings, 10, uniform=True, dimension=5000, rounds=ROUNDS, buffers=buffers)


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", ["gaussian", "blt", "skellam", "discrete_gaussian"])
def test_what_an_attacker_tells_lies_below_the_claim_and_not_far(mechanism: str) -> None:
    run = record(mechanism)
    found, account = audit(run, canaries=600, secret=SECRET), run.account()
    claimed = math.sqrt(2 * account.rho)
    assert 0.8 * claimed < found.least_mu <= claimed
    assert found.mu == pytest.approx(claimed, rel=0.15)
    assert 0.5 * account.epsilon < found.epsilon_of_mu(account.delta) < account.epsilon
    assert 0.5 < found.epsilon_of_guesses < account.epsilon


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", ["gaussian", "blt", "skellam"])
def test_noise_of_half_the_size_is_found_out(mechanism: str) -> None:
    weak, claimed = record(mechanism, 0.5), record(mechanism, 1.0)
    found = audit(weak, canaries=300, secret=SECRET)
    assert found.least_mu > 1.5 * math.sqrt(2 * claimed.account().rho)


def test_an_audit_is_printed_beside_the_claim(tmp_path: Path) -> None:
    record("gaussian").save(tmp_path)
    result = CliRunner().invoke(main, ["privacy", "audit", str(tmp_path), "--canaries", "100"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    for said in ("in the run", "claim        epsilon", "at least     epsilon", "whatever the noise"):
        assert said in result.output


def test_chance_is_told_from_noise_that_is_too_weak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record("gaussian").save(tmp_path)
    claimed = math.sqrt(2 * record("gaussian").account().rho)
    for mu, code, said in (
        (claimed - 0.3, 0, None),
        (claimed + 0.1, 0, "take more canaries"),
        (claimed + 0.5, 1, "do not rely on this run's epsilon"),
    ):
        monkeypatch.setattr("federation.simulation.audit.audit", lambda *_, mu=mu, **__: normal(mu))
        result = CliRunner().invoke(main, ["privacy", "audit", str(tmp_path)])
        assert result.exit_code == code, result.output
        for one in ("take more canaries", "do not rely on this run's epsilon"):
            assert (one in result.output) == (one == said)


def test_a_run_without_noise_has_nothing_to_audit(tmp_path: Path) -> None:
    plain = replace(record("gaussian"), settings=PrivateTraining())
    with pytest.raises(AssumptionError, match="nothing to audit"):
        audit(plain)
    with pytest.raises(AssumptionError, match="nobody has taken part"):
        audit(replace(record("gaussian"), rounds=()))
    plain.save(tmp_path)
    result = CliRunner().invoke(main, ["privacy", "audit", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
