"""Stack Overflow and Shakespeare as TFF publishes them, through TFF's own download and cache."""

import shutil
import tempfile
import urllib.error
from pathlib import Path

import tensorflow_federated as tff

from data.corpus import CorpusError
from model import files

LOADERS = {
    "stackoverflow": tff.simulation.datasets.stackoverflow.load_data,
    "shakespeare": tff.simulation.datasets.shakespeare.load_data,
}


def path_of(name: str, cache: Path) -> Path:
    """Return the path of a TFF corpus, downloading it if `cache` does not have it.

    TFF takes whatever lies in its cache for whole, so a download goes to a folder beside it first.

    Args:
        name: `stackoverflow` or `shakespeare`.
        cache: folder for the files.

    Raises:
        CorpusError: it is not there and cannot be downloaded.
    """
    path = cache / f"{name}.sqlite"
    if path.exists():
        return path
    cache.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=cache))
    try:
        LOADERS[name](cache_dir=str(partial))
        files.sync(partial / path.name)
        (partial / path.name).replace(path)
        files.sync(cache)
    except (OSError, urllib.error.URLError) as error:
        raise CorpusError(name, f"cannot be downloaded ({error}); put {path.name} into {cache}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return path
