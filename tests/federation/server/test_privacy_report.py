from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sql
from click.testing import CliRunner

from federation.errors import ConfigError
from federation.privacy.accountant import SERVER_TRUSTED, Sampling
from federation.privacy.central import sensitivity
from federation.privacy.conversion import epsilon_of_rho
from federation.privacy.errors import AssumptionError
from federation.privacy.mechanisms import NoiseScale
from federation.privacy.zcdp import round_rho
from federation.protocol.central_noise import CentralNoise
from federation.protocol.plan import PLAN_BYTES, Mechanism, Privacy, RoundPlan
from federation.server import privacy_report
from federation.server.noise import buffers_of
from federation.server.privacy_report import spent
from federation.server.settings import ServerSettings
from federation.server.tables import CurrentRow, ModelRow
from federation.updates.encoding import PackedEncoding
from federation.updates.update import clip as clipped
from fedkey.cli import main
from tests.federation.server.http import HttpPhone, Site, run
from tests.federation.server.phones import GROUPS_OF_FOUR, Clock
from tests.federation.server.test_http import SETTINGS, difference, versions

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


SKELLAM = Privacy(Mechanism.SKELLAM, 1.5, corrupt=1)
BLT = CentralNoise(mechanism="blt", noise_multiplier=2.0, rounds=40, max_participations=4, min_separation=8)


def test_noise_by_the_server_is_in_the_model_and_in_the_account(tmp_path: Path, exported: Path) -> None:
    site = Site(tmp_path, exported, Clock(), replace(SETTINGS, weight_cap=1, central=BLT, separation_seconds=200))
    phones = [HttpPhone(site, tmp_path, number) for number in range(6)]
    run(site, phones, until=lambda: versions(site) == 4)
    database, clip = site.installation.database, SETTINGS.clip
    buffers, carried = buffers_of(BLT), 0.0
    assert buffers.count == 2
    for new, left in zip((2, 3, 4), buffers.prefix_variances(3), strict=True):
        plan = RoundPlan.from_bytes(site.installation.rounds.plan(new - 1)[:PLAN_BYTES])
        assert isinstance(plan.encoding, PackedEncoding)
        metrics = site.installation.models.version(new).metrics
        count = metrics["phones"]
        assert metrics["examples"] == count  # all count alike
        mean = np.mean([clipped(phone.update.delta, clip) for phone in phones], axis=0)
        carried = carried + difference(site, new, new - 1) - mean
        moved = sensitivity(plan.encoding, plan.clip, plan.dimension) * plan.encoding.step
        # The noise of all rounds so far that is in the model, as the plan of the mechanism says.
        assert np.std(carried) == pytest.approx(2.0 * moved * np.sqrt(left) / count, rel=0.14)
    report = spent(database, DELTA)
    assert report.mechanism == "Gaussian, correlated over rounds by a BLT of 2 buffers, by the server"
    assert report.account.rho == pytest.approx(buffers.squared_sensitivity(range(3), 3) / (2 * 2.0**2))
    assert SERVER_TRUSTED in report.account.assumptions
    assert {"phones", "examples", "loss_before", "accuracy_before"} <= set(report.account.unprotected)
    assert not {"bytes_up", "encoded_norm"} & set(report.account.unprotected)


@pytest.mark.parametrize(
    ("changes", "deviation"),
    [
        ({"weight_cap": 1, "central": BLT}, 2.0),
        (
            {"privacy": Privacy(Mechanism.SKELLAM, 1.5, corrupt=1)},
            1.5 * (SETTINGS.goal / (SETTINGS.minimum - 1)) ** 0.5,
        ),
        ({}, 0.0),
    ],
)
def test_a_servers_noise_is_compared_with_the_longest_update(changes: dict[str, object], deviation: float) -> None:
    rounds = replace(SETTINGS, **changes)  # type: ignore[arg-type]
    assert rounds.noise_over_clip(10_000) == pytest.approx(100 * deviation / SETTINGS.goal)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weight_cap": 2}, "count alike"),
        ({"privacy": Privacy(Mechanism.SKELLAM, 1.0)}, "by the phones or by the server"),
        ({"upload_share": 0.5}, "neither the defence nor"),
        ({"defence": GROUPS_OF_FOUR, "minimum": 4}, "neither the defence nor"),
    ],
)
def test_noise_by_the_server_does_not_go_with_everything(changes: dict[str, object], reason: str) -> None:
    central = CentralNoise(mechanism="gaussian", noise_multiplier=1.0)
    with pytest.raises(ConfigError, match=reason):
        replace(SETTINGS, **{"weight_cap": 1, "central": central, **changes})  # type: ignore[arg-type]


def test_settings_of_noise_come_back_from_the_servers_file() -> None:
    rounds = replace(SETTINGS, weight_cap=1, central=BLT)
    rounds = replace(rounds, clip=3.0)
    assert ServerSettings.from_toml(ServerSettings(rounds=rounds).to_toml()).rounds == rounds
    defended = replace(SETTINGS, minimum=4, defence=GROUPS_OF_FOUR)
    assert ServerSettings.from_toml(ServerSettings(rounds=defended).to_toml()).rounds == defended


@pytest.mark.parametrize("groups", [0, 1, 4])
def test_others_than_the_server_see_the_noise_of_all_groups(tmp_path: Path, exported: Path, groups: int) -> None:
    """With one group they see what the server sees; a round that made no model shows them nothing."""
    site = Site(tmp_path, exported, Clock(), NOISY)
    phones = [HttpPhone(site, tmp_path, number) for number in range(6)]
    run(site, phones, until=lambda: versions(site) == 2)
    with site.installation.database.write() as session:
        row = session.scalars(sql.select(ModelRow).where(ModelRow.round_id == 1)).one()
        if groups:
            row.metrics = {**row.metrics, "groups": float(groups)}
        else:
            session.delete(session.get_one(CurrentRow, 1))
            session.flush()
            session.delete(row)
    account = spent(site.installation.database, DELTA).account
    assert account.others is not None
    rho, epsilon = account.others
    assert rho == pytest.approx(account.rho / groups if groups else 0.0, rel=0.02)
    assert epsilon == pytest.approx(epsilon_of_rho(rho, DELTA, whole_orders=True))
    told = CliRunner().invoke(main, ["privacy", "report", str(site.folder)], catch_exceptions=False)
    assert "that is against the server" in told.output
    assert "against everybody else" in told.output


def test_phones_that_change_their_names_every_epoch_are_counted_as_one_phone() -> None:
    independent = {"1:a": 2.0, "1:b": 1.0, "2:c": 3.0, "2:d": 0.5}
    assert privacy_report._most(independent, []) == pytest.approx(5.0)
    assert privacy_report._most({}, [{"1:a": 1.0, "2:c": 4.0}]) == pytest.approx(9.0)  # sensitivities add up
    assert privacy_report._most({"1:a": 2.0, "1:b": 1.0}, [{"1:b": 1.5}]) == pytest.approx(2.5)  # within one, exactly
