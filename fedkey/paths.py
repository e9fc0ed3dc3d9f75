"""Where things are kept unless an option says otherwise."""

from pathlib import Path

import platformdirs

import data
from model.folders import FolderError

RUNS = Path("runs")
SERVER = RUNS / "server"
AUTHORITY = RUNS / "authority"


_TFF_CORPORA = ("stackoverflow", "shakespeare")


def corpus(name: str) -> str:
    """Return what `data.load` takes for a corpus named on the command line; TFF's corpora are fetched first."""
    if name not in _TFF_CORPORA:
        return name
    from federation.simulation.tff_corpora import path_of  # noqa: PLC0415 - it needs TFF

    return str(path_of(name, cache() / "tff"))


def check_corpus(name: str) -> None:
    """See whether there is such a corpus, before anything that takes long; see `corpus`.

    Raises:
        CorpusError: there is none.
    """
    if name not in _TFF_CORPORA:
        data.check(name)


def name_of(model: Path) -> str:
    """Return what people call a model: its folder, or its run's if that is just `model`."""
    resolved = model.resolve()
    return resolved.parent.name if resolved.name == "model" and resolved.parent.name else resolved.name


def cache() -> Path:
    """Return the folder for what can always be made again.

    Raises:
        FolderError: there is none and none can be made.
    """
    folder = platformdirs.user_cache_path("fedkey")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(f"the folder {folder} cannot be made: set XDG_CACHE_HOME to one that can") from error
    return folder
