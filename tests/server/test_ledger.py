from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from federation.cli import main
from federation.plan import PLAN_BYTES, Mechanism, Privacy, RoundPlan
from federation.privacy.accountant import Sampling, epsilon_of_rho
from federation.privacy.errors import AssumptionError
from federation.privacy.mechanisms import NoiseScale
from federation.privacy.zcdp import round_rho
from federation.server.ledger import spent
from tests.server.http import HttpPhone, Site, run
from tests.server.phones import Clock
from tests.server.test_http import SETTINGS, versions

NOISY = replace(SETTINGS, privacy=Privacy(Mechanism.SKELLAM, 4.0, corrupt=1), separation_seconds=200)
DELTA = 1e-6


def test_the_phone_that_came_most_often_pays_what_its_rounds_cost(tmp_path: Path, exported: Path) -> None:
    site = Site(tmp_path, exported, Clock(), NOISY)
    database = site.installation.database
    with pytest.raises(AssumptionError, match="nothing to account for"):
        spent(database, DELTA)
    phones = [HttpPhone(site, tmp_path, number) for number in range(6)]
    run(site, phones, until=lambda: versions(site) == 2)
    once = spent(database, DELTA)
    run(site, phones, until=lambda: versions(site) == 3)
    twice = spent(database, DELTA)
    cost = round_rho(NoiseScale.of(RoundPlan.from_bytes(site.installation.rounds.plan(1)[:PLAN_BYTES])))
    assert 1 / (2 * 4.0**2) <= cost < 1.05 / (2 * 4.0**2)
    assert once.account.rho == cost
    assert twice.account.rho == pytest.approx(2 * cost)
    assert twice.account.epsilon == epsilon_of_rho(twice.account.rho, DELTA, whole_orders=True)
    assert any("in at most 2 of 2 rounds" in sentence for sentence in twice.account.assumptions)
    assert any("of which 4 make their noise" in sentence for sentence in twice.account.assumptions)
    with pytest.raises(AssumptionError, match="choose when to come"):
        spent(database, DELTA, Sampling.POISSON)
    told = CliRunner().invoke(main, ["privacy", "report", str(site.folder), "--delta", str(DELTA)])
    assert told.exit_code == 0, told.output
    assert "skellam, by the phones, before masking" in told.output
    assert f"rho          {twice.account.rho:.4g} (zCDP)" in told.output


def test_rounds_without_noise_have_no_privacy_to_report(tmp_path: Path, exported: Path) -> None:
    site = Site(tmp_path, exported, Clock(), SETTINGS)
    phones = [HttpPhone(site, tmp_path, number) for number in range(6)]
    run(site, phones, until=lambda: versions(site) == 2)
    told = CliRunner().invoke(main, ["privacy", "report", str(site.folder)])
    assert told.exit_code == 1
    assert "1 of 1 rounds had no noise" in told.output
