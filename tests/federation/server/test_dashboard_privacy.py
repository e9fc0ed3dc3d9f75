"""What the privacy of runs costs, as the dashboard says it."""

from pathlib import Path

from federation.privacy.training import PrivateTraining, RunRecord
from federation.server.dashboard import create_dashboard
from federation.server.dashboard.runs import StoredRun
from tests.federation.server.test_dashboard import ACCESS, opened, run

NOISED = PrivateTraining(mechanism="gaussian", noise_multiplier=4.0, clip=1.0)
BY_CLIENTS = PrivateTraining(mechanism="skellam", noise_multiplier=4.0, clip=1.0, minimum=3, weight_cap=1)


def recorded(folder: Path, settings: PrivateTraining) -> StoredRun:
    run(folder, 4)
    RunRecord(settings, 3, uniform=True, dimension=5000, rounds=((1, 2, 3), (2, 3, 4))).save(folder)
    return StoredRun.load(folder)


def test_a_run_without_noise_has_no_guarantee(tmp_path: Path) -> None:
    assert StoredRun.load(run(tmp_path / "one", 4)).privacy == "no guarantee"


def test_runs_say_what_they_have_spent_and_against_whom(tmp_path: Path) -> None:
    for name, settings in (("server", NOISED), ("clients", BY_CLIENTS)):
        shown, account = recorded(tmp_path / name, settings), RunRecord.load(tmp_path / name).account()
        assert f"epsilon {account.epsilon:.3g}" in shown.privacy
        if account.others is not None:
            assert f"{account.others[1]:.3g} against everybody else" in shown.privacy
    page = opened(create_dashboard([tmp_path / "server", tmp_path / "clients"], ACCESS).test_client())
    assert page.count("epsilon ") >= 2


def test_the_account_follows_the_run(tmp_path: Path) -> None:
    before = recorded(tmp_path / "one", NOISED).privacy
    RunRecord(NOISED, 3, uniform=True, dimension=5000, rounds=((1, 2, 3),) * 6).save(tmp_path / "one")
    assert StoredRun.load(tmp_path / "one").privacy != before
