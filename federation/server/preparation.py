"""A server's folder is made whole or not at all, and one that is there says so when it is asked to be another."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from federation.enrolment.authority import AuthorityFolder
from federation.errors import ConfigError
from federation.protocol.trust import TRUSTED, Anchors
from federation.server.installation import Installation
from federation.server.settings import ServerSettings
from model import files
from model.engine import Export
from model.engine.exported import MANIFEST, TRUST

EXPORT, PUBLIC_TEXT, SETTINGS = "export", "public.txt", "server.toml"
_MARK = "server.key"


def prepare(
    folder: Path,
    *,
    model: Path | None,
    settings: ServerSettings | None,
    public_text: Callable[[], Sequence[str]] | None,
    authority: Path,
    texts_are_given: bool = True,
) -> Installation:
    """Make a server's folder and database ready; one that is there stays as it is.

    Args:
        folder: of the server.
        model: an export, the first model; needed once.
        settings: of a new folder, or of one without; its defaults, if not given.
        public_text: reads the messages that the gate judges by; needed once.
        authority: folder of the enrolment authority; made if there is none.
        texts_are_given: whether somebody named these texts, so that other ones in the folder are a contradiction.

    Raises:
        ConfigError: something is missing, or the folder holds another model, other settings, texts or devices.
        CredentialError: the list of revoked devices is not this authority's.
    """
    vouching = AuthorityFolder.create(authority)
    fresh = settings or ServerSettings(revoked=str(vouching.revocations.resolve()))
    if (folder / _MARK).exists():
        _must_agree(folder, model, settings)
        if files.read(folder / "authority.pub") != vouching.authority.public_key:
            raise ConfigError(f"{folder} serves devices of another authority than {authority}: give that one's folder")
        installation = Installation.create(folder, fresh, vouching.authority)
        _keep_public_text(folder, public_text, texts_are_given=texts_are_given)
    else:
        installation = _made(folder, model, fresh, public_text, vouching)
    installation.revocations()  # before the first phone comes
    installation.check_counting()
    installation.begin(installation.export.trainer().weights())
    _write_trust(installation)
    return installation


def _write_trust(installation: Installation) -> None:
    """Write what phones of this server's own operator bring along, unless the export has what a publisher signed."""
    path = installation.folder / EXPORT / TRUST
    public = installation.public_key
    if path.exists() and Anchors.read(path.parent, installation.export.manifest).publisher != public:
        return
    anchors = Anchors.of(
        installation.export.manifest,
        public,
        installation.authority.public_key,
        enrolment_url=installation.settings.enrolment_url,
        profile=TRUSTED,
    )
    anchors.write(path, path.parent / MANIFEST, installation.key)


def _made(
    folder: Path,
    model: Path | None,
    settings: ServerSettings,
    public_text: Callable[[], Sequence[str]] | None,
    vouching: AuthorityFolder,
) -> Installation:
    if model is None:
        raise ConfigError("a new server needs its first model: --model FOLDER, written by `fedkey export`")
    if public_text is None:
        raise ConfigError("the gate needs public text: --public-text FILE, a message a line, or --corpus NAME")
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} has files in it and is no server's folder: choose another with --folder")
    Export.load(model)
    with files.making(folder) as partial:
        shutil.copytree(model, partial / EXPORT)
        (partial / PUBLIC_TEXT).write_text(_lines(public_text()), encoding="utf-8")
        Installation.create(partial, settings, vouching.authority)
    return Installation.load(folder)


def _must_agree(folder: Path, model: Path | None, settings: ServerSettings | None) -> None:
    """Refuse to go on with something else than what was asked for."""
    if model is not None and Export.load(model).manifest.files != Export.load(folder / EXPORT).manifest.files:
        raise _contradiction(folder, "its first model", "--model")
    path = folder / SETTINGS
    if settings is None or not path.exists():
        return
    if settings != ServerSettings.from_toml(files.read_text(path, "utf-8-sig")):
        raise _contradiction(folder, "its settings in server.toml", "--settings and --set")


def _keep_public_text(folder: Path, public_text: Callable[[], Sequence[str]] | None, *, texts_are_given: bool) -> None:
    """Write the public text of a folder that has none; refuse another than what is there."""
    path = folder / PUBLIC_TEXT
    if not path.exists():
        if public_text is None:
            raise ConfigError(f"{folder} has no public text for the gate any more: give it with --public-text FILE")
        files.write(path, _lines(public_text()))
    elif public_text is not None and texts_are_given and _lines(public_text()) != files.read_text(path):
        raise _contradiction(folder, "its public text", "--public-text")


def _contradiction(folder: Path, what: str, option: str) -> ConfigError:
    return ConfigError(f"{folder} has {what} already, and not these: leave {option} out, or choose another --folder")


def _lines(texts: Sequence[str]) -> str:
    return "".join(f"{text}\n" for text in texts)
