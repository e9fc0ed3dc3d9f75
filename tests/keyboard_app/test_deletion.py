"""Deleting everything deletes everything, in every state; and the threads that do it outlive the unexpected."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from federation.device import PhoneStore
from keyboard_app.deletion import Deletion
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.rounds_thread import RoundsThread
from keyboard_app.settings import Settings

ROOT = Path(__file__).parents[2]


class Failing:
    """Takes part in rounds, and fails in a way that nobody thought of."""

    def __init__(self, device: Path) -> None:
        self.steps = 0
        self._device = device

    def step(self) -> float:
        self.steps += 1
        raise RuntimeError("nobody thought of this")

    def snapshot(self) -> None:
        raise TypeError("nor of this")

    def delete(self) -> None:
        for path in self._device.iterdir():
            path.unlink()
        self._device.rmdir()

    def close(self) -> None:
        """Nothing is open."""

    def end(self) -> None:
        """Nothing is open."""


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    profile = Profile.named("anna", tmp_path)
    profile.keep(Settings(consent=True))
    PhoneStore(profile.device).close()
    return profile


def until(holds: object) -> None:
    waiting = threading.Event()
    for _ in range(600):
        if holds():  # type: ignore[operator]
            return
        waiting.wait(0.05)
    raise AssertionError("it never came to hold")


@pytest.mark.parametrize("where", ["after the mark", "in the vault", "in a folder", "before the end"])
def test_a_phone_that_is_killed_while_it_deletes_finishes_at_the_next_start(tmp_path: Path, where: str) -> None:
    command = [sys.executable, "-m", "tests.keyboard_app.deleting", str(tmp_path), where]
    ended = subprocess.run(command, cwd=ROOT, check=False, timeout=300)
    assert ended.returncode == -signal.SIGKILL
    profile = Profile.named("anna", tmp_path)
    assert (profile.folder / ".deleting").exists()
    key = profile.key.read_bytes()
    phone = Phone(profile)
    assert phone.settle()
    assert phone.status().logged == (0, 0)
    assert phone.settings == Settings()
    phone.close()
    assert not any(path.exists() for path in (profile.device, profile.exports, profile.models))
    assert not (profile.folder / ".deleting").exists()
    assert profile.key.read_bytes() != key


def test_a_deletion_that_was_not_killed_leaves_no_mark(profile: Profile) -> None:
    phone = Phone(profile)
    assert phone.settle()
    phone.delete_everything()
    until(lambda: not (profile.folder / ".deleting").exists())
    assert not profile.device.exists()
    phone.close()


def test_a_thread_that_takes_part_outlives_anything_says_so_and_still_deletes(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(profile.device)
    monkeypatch.setattr("keyboard_app.rounds_thread._AFTER_AN_ERROR_SECONDS", 0.01)
    monkeypatch.setattr(RoundsThread, "_take_part", lambda _: failing)
    phone = Phone(profile)
    assert phone.settle()
    until(lambda: failing.steps > 3)
    assert "unexpected" in phone.status().problem
    phone.delete_everything()
    until(lambda: not profile.device.exists() and not (profile.folder / ".deleting").exists())
    phone.close()


def test_even_a_dead_thread_keeps_no_identity(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RoundsThread, "_run", lambda _: None)
    phone = Phone(profile)
    assert phone.settle()
    until(lambda: not phone._rounds._thread.is_alive())
    phone.delete_everything()
    assert not profile.device.exists()
    phone.close()


def test_the_thread_that_learns_outlives_anything_and_still_wipes(profile: Profile) -> None:
    phone = Phone(profile)
    assert phone.settle()

    def unthought() -> None:
        raise KeyError("nobody thought of this")

    phone._learner.do(unthought)
    assert phone.settle()
    assert "unexpected" in phone.status().problem
    for character in "meet at Zanzibar":
        phone.session.type(character)
    phone.session.send()
    assert phone.settle()
    assert phone.status().logged == (1, 3)
    phone.wipe()
    assert phone.settle()
    assert phone.status().logged == (0, 0)
    assert not phone.status().problem
    phone.close()


def test_a_vault_that_cannot_be_written_is_deleted_all_the_same(profile: Profile) -> None:
    phone = Phone(profile)
    assert phone.settle()
    key = profile.key.read_bytes()
    phone._learner.kept.vault.close()  # as if the disk had gone
    phone.delete_everything()
    assert phone.settle()
    assert phone.status().logged == (0, 0)
    assert profile.key.read_bytes() != key
    until(lambda: not (profile.folder / ".deleting").exists())
    phone.close()


def test_what_is_not_the_phones_own_stays(profile: Profile) -> None:
    (profile.folder / "notes of the owner.txt").write_text("mine")
    (profile.folder / ".deleting").touch()
    Deletion(profile).finish()
    assert [path.name for path in profile.folder.iterdir()] == ["notes of the owner.txt"]
