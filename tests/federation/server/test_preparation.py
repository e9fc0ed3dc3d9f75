from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from federation.enrolment.authority import AuthorityFolder
from federation.errors import ConfigError
from federation.protocol.credentials import CredentialError
from federation.server.installation import Installation
from federation.server.preparation import prepare
from federation.server.settings import RoundSettings, ServerSettings
from tests.federation.server.conftest import TEXT

SETTINGS = ServerSettings(rounds=RoundSettings(goal=20))


def served(
    folder: Path, exported: Path, texts: Sequence[str] = TEXT, settings: ServerSettings = SETTINGS
) -> Installation:
    return prepare(
        folder / "server",
        model=exported,
        settings=settings,
        public_text=lambda: texts,
        authority=folder / "authority",
    )


def test_a_failed_first_start_leaves_nothing_that_wins_later(tmp_path: Path, exported: Path) -> None:
    def failing() -> Sequence[str]:
        raise OSError("no text")

    authority = tmp_path / "authority"
    for model, texts in (
        (exported, failing),
        (tmp_path / "nowhere", lambda: TEXT),
        (None, lambda: TEXT),
        (exported, None),
    ):
        with pytest.raises((OSError, ValueError, ConfigError)):
            prepare(tmp_path / "server", model=model, settings=None, public_text=texts, authority=authority)
        assert [path.name for path in tmp_path.iterdir()] == ["authority"]
    assert served(tmp_path, exported).settings == SETTINGS


def test_the_same_command_again_goes_on_and_another_is_refused_with_a_sentence(tmp_path: Path, exported: Path) -> None:
    first = served(tmp_path, exported)
    assert served(tmp_path, exported).public_key == first.public_key
    with pytest.raises(ConfigError, match=r"server\.toml already.*--settings"):
        served(tmp_path, exported, settings=replace(SETTINGS, max_relative_gate_loss=0.5))
    with pytest.raises(ConfigError, match="public text already"):
        served(tmp_path, exported, texts=("something else",))
    AuthorityFolder.create(tmp_path / "other")
    with pytest.raises(ConfigError, match="another authority"):
        prepare(tmp_path / "server", model=None, settings=None, public_text=None, authority=tmp_path / "other")
    assert (
        prepare(
            tmp_path / "server", model=None, settings=None, public_text=None, authority=tmp_path / "authority"
        ).settings
        == SETTINGS
    )


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, exported: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "photo.jpg").write_text("precious")
    with pytest.raises(ConfigError, match="no server's folder"):
        served(tmp_path, exported)
    assert [path.name for path in (tmp_path / "server").iterdir()] == ["photo.jpg"]


def test_a_list_of_revoked_devices_of_another_authority_is_refused_at_the_start(tmp_path: Path, exported: Path) -> None:
    other = AuthorityFolder.create(tmp_path / "other")
    with pytest.raises(CredentialError):
        served(tmp_path, exported, settings=replace(SETTINGS, revoked=str(other.revocations)))
    with pytest.raises(CredentialError):
        served(tmp_path / "two", exported, settings=replace(SETTINGS, revoked=str(tmp_path / "nowhere")))
