"""Files inside of folders that commands are given: something else in their place is refused, and nothing is lost."""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import data
from data import description
from federation.base.config import read as read_settings
from federation.device import PhoneStore
from federation.enrolment.authority import AuthorityFolder
from federation.privacy.training import PrivateTraining, RunRecord
from federation.protocol.trust import Anchors
from federation.server.dashboard.runs import StoredRun
from federation.server.installation import Installation
from federation.server.settings import ServerSettings
from fedkey.cli import main
from keyboard_app.typing.vault import FileKeyStore, Vault
from model.checkpoint import Checkpoint
from model.engine.exported import MANIFEST, TRUST
from model.layout import NetworkConfig, initial_weights
from model.vocabulary import Vocabulary
from tests.federation.device.servers import vouched
from tests.federation.device.test_trust import MODEL, written
from tests.wrong_files import WRONG, kept, put, said


@dataclass(frozen=True)
class Folder:
    """A folder, and who reads it.

    Attributes:
        make: writes one.
        read: reads it.
        files: that are tried.
        passes: what may be in their place and is read all the same.
    """

    make: Callable[[Path], object]
    read: Callable[[Path], object]
    files: Sequence[str]
    passes: Sequence[str] = ()


def command(*words: str) -> Callable[[Path], object]:
    """Return what runs a command with a folder as its last word."""

    def run(folder: Path) -> None:
        result = CliRunner().invoke(main, [*words, str(folder)], catch_exceptions=False)
        assert "Traceback" not in result.output
        if result.exit_code:
            last = result.output.strip().splitlines()[-1]
            assert last.startswith("Error: ")
            raise click.ClickException(last)

    return run


def _server(folder: Path) -> None:
    folder.mkdir()
    authority = AuthorityFolder.create(folder / "authority")
    settings = ServerSettings(revoked=str(folder / "authority/revoked.list"))
    (folder / "server").mkdir()
    database = Installation.create(folder / "server", settings, authority.authority).database
    database.migrate()
    database.close()  # so that all of it is in one file


def _model(folder: Path) -> None:
    vocabulary = Vocabulary.train(["hello there how are you", "i am fine and you"] * 20, size=80)
    network = NetworkConfig(vocabulary.size, embedding=4, hidden=4)
    Checkpoint(network, initial_weights(network, 3), vocabulary).save(folder)


def _app(folder: Path) -> None:
    folder.mkdir()
    written(folder)


def _phone(folder: Path) -> None:
    with closing(PhoneStore(folder)) as store:
        store.enrolled(vouched(store))


def _run(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"config": {"rounds": 3}, "vocabulary": "x"}))
    (folder / "metrics.csv").write_text("round,loss\n1,2.5\n2,2.25\n")
    RunRecord(PrivateTraining(), 3, uniform=True, dimension=50, rounds=((1, 2, 3),)).save(folder)


def _vault(folder: Path) -> None:
    folder.mkdir()
    with closing(Vault(folder / "typing.sqlite", FileKeyStore(folder / "typing.key"))) as vault:
        vault.append(1.0, b"hello")


def _corpus(folder: Path) -> None:
    folder.mkdir()
    lines = [json.dumps({"user": f"u{number % 3}", "text": "hello there"}) for number in range(31)]
    (folder / "said.jsonl").write_text("\n".join(lines))
    (folder / "all.toml").write_text('clients = ["said.jsonl"]\n')
    (folder / "settings.toml").write_text("rounds = 3\n")


def _leaf(folder: Path) -> None:
    (folder / "train").mkdir(parents=True)
    (folder / "train/one.json").write_text(json.dumps({"users": ["a"], "user_data": {"a": {"x": ["hello there"]}}}))


def _revoked(folder: Path) -> object:
    return Installation.load(folder / "server").revocations()


FOLDERS = {
    "a server, its rounds": Folder(
        _server,
        lambda folder: command("rounds", "list", "--folder")(folder / "server"),
        ["server/server.toml", "server/server.key", "server/authority.pub", "server/server.sqlite"],
        ["empty server/server.toml"],  # all settings are at their defaults
    ),
    "a server, its phones": Folder(_server, _revoked, ["authority/revoked.list"]),
    "an authority": Folder(
        _server,
        lambda folder: command("enrol", "list", "--authority")(folder / "authority"),
        ["authority/authority.key", "authority/devices.sqlite"],
        ["empty authority/devices.sqlite", "a link to nothing authority/devices.sqlite"],
    ),
    "a model": Folder(
        _model,
        Checkpoint.load,
        ["network.json", "weights.npz", "sentencepiece.model", "lexicon.json"],
    ),
    "an app": Folder(_app, lambda folder: Anchors.read(folder, MODEL), [TRUST, MANIFEST]),
    "a phone": Folder(
        _phone,
        lambda folder: PhoneStore(folder).close(),
        ["identity.key", "pseudonym.key", "phone.sqlite"],
        [f"{wrong} {name}" for wrong in ("a loop", "a link to nothing") for name in ("identity.key", "pseudonym.key")]
        + ["empty phone.sqlite", "a link to nothing phone.sqlite"],
    ),
    "a run": Folder(_run, StoredRun.load, ["config.json"]),
    "a run, its figures": Folder(
        _run,
        StoredRun.load,
        ["metrics.csv"],
        [f"{wrong} metrics.csv" for wrong in ("a loop", "a link to nothing", "empty", "cut off")],
    ),
    "a run, its privacy": Folder(_run, RunRecord.load, ["privacy.json"]),
    "a keyboard": Folder(
        _vault,
        lambda folder: Vault(folder / "typing.sqlite", FileKeyStore(folder / "typing.key")).close(),
        ["typing.key", "typing.sqlite"],
        ["empty typing.sqlite", "a link to nothing typing.sqlite"],
    ),
    "a corpus of files": Folder(
        _corpus, lambda folder: description.load(folder / "all.toml", data.load), ["said.jsonl", "all.toml"]
    ),
    "settings": Folder(
        _corpus, lambda folder: read_settings(folder / "settings.toml"), ["settings.toml"], ["empty settings.toml"]
    ),
    "a corpus of LEAF's": Folder(_leaf, lambda folder: data.load(str(folder)), ["train/one.json"]),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_what_is_in_the_place_of_a_file_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    """A pipe that nobody writes to, a device, a gigabyte, a loop: nothing waits, and nothing of it is read."""
    tried = FOLDERS[name]
    tried.make(tmp_path / "right")
    tried.read(tmp_path / "right")
    for number, (file, wrong) in enumerate((file, wrong) for file in tried.files for wrong in WRONG):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "right", folder)
        for settings in folder.glob("server/server.toml"):
            settings.write_text(settings.read_text().replace(str(tmp_path / "right"), str(folder)))
        put(wrong, folder / file)
        before = kept(folder)
        if f"{wrong} {file}" in tried.passes:
            tried.read(folder)
        else:
            said(lambda folder=folder: tried.read(folder))  # type: ignore[misc]
            if not (file.endswith(".sqlite") and wrong in {"empty", "a link to nothing"}):  # an empty one is begun
                assert kept(folder) == before, (file, wrong)
