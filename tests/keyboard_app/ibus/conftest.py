"""A desktop with the keyboard, for all tests of a module."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from keyboard_app.profile import Profile
from keyboard_app.typing.typing_log import TypingLog
from keyboard_app.typing.vault import FileKeyStore, Vault
from model.engine import Export
from tests.keyboard_app.conftest import AGREED
from tests.keyboard_app.ibus.desktop import Desktop, desktop, with_keyboard


@dataclasses.dataclass(frozen=True)
class Typing:
    """A desktop whose keyboard is that of a profile."""

    desktop: Desktop
    profile: Profile

    def learned(self) -> Sequence[str]:
        """Return what was learned so far; the keyboard may go on meanwhile."""
        vault = Vault(self.profile.log, FileKeyStore(self.profile.key))
        try:
            return [message.text for message in TypingLog(vault).messages()]
        finally:
            vault.close()


@pytest.fixture(scope="module")
def typing(exported: Export, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Typing]:
    folder = tmp_path_factory.mktemp("desktop")
    profile = Profile.named("anna", folder / "profiles")
    profile.keep(AGREED)
    options = ("--model", str(exported.directory), "--profile", "anna", "--profiles", str(folder / "profiles"))
    with desktop(folder / "made") as made, with_keyboard(made, *options) as here:
        yield Typing(here, profile)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return tmp_path
