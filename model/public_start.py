"""The public start that comes with fedkey: what a model knows before any phone has taught another.

A folder that `fedkey pretrain` writes: one vocabulary, one n-gram, and a network of each size in 8 bits.
"""

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from model.checkpoint import Checkpoint, CheckpointError
from model.engine.weight_files import packed, unpacked
from model.layout import Layout, NetworkConfig
from model.mixture import Mixture
from model.ngram_table import NgramTable
from model.vocabulary import Vocabulary
from model.wording import DAMAGE, fault

DESCRIPTION = "start.json"
_FORMAT = 1


def shipped() -> Path:
    """Return the folder that comes with fedkey."""
    return Path(str(resources.files("model"))) / "public"


def is_start(directory: Path) -> bool:
    """Return whether a folder holds a public start, and not a single model."""
    return (directory / DESCRIPTION).is_file()


def save(directory: Path, networks: Mapping[str, Checkpoint], made_from: Mapping[str, Any]) -> None:
    """Write a start into an existing folder.

    Args:
        directory: where to.
        networks: by size; all with one vocabulary and one public n-gram.
        made_from: the text and the settings, for people and for the figures.
    """
    described = {}
    for size, checkpoint in networks.items():
        (directory / _weights(size)).write_bytes(packed(checkpoint.weights, "int8"))
        checkpoint.vocabulary.save(directory)
        if checkpoint.mixture.public is not None:
            checkpoint.mixture.public.save(directory)
        described[size] = {"vocabulary": checkpoint.vocabulary.key, "mixture": checkpoint.mixture.weights}
    document = {"format": _FORMAT, "networks": described, "made_from": made_from}
    (directory / DESCRIPTION).write_text(json.dumps(document, indent=1) + "\n")


def load(size: str, directory: Path | None = None) -> Checkpoint:
    """Return a network with the public n-gram beside it.

    Args:
        size: of the network: `small` or `gboard`.
        directory: of the start; by default the one that comes with fedkey.

    Raises:
        CheckpointError: the folder has no such network, or is damaged.
    """
    directory = directory or shipped()
    try:
        document = json.loads((directory / DESCRIPTION).read_text())
        if document["format"] != _FORMAT:
            raise CheckpointError(f"the public start in {directory} is of another version of fedkey: make it anew")
        described = document["networks"].get(size)
        if described is None:
            sizes = ", ".join(document["networks"])
            raise CheckpointError(f"the public start in {directory} has no network of size {size!r}, only {sizes}")
        vocabulary = Vocabulary.load(directory)
        network = NetworkConfig.named(size, vocabulary.size)
        vector = unpacked((directory / _weights(size)).read_bytes(), network, "int8")
        mixture = Mixture(tuple(described["mixture"]), NgramTable.load(directory))
    except DAMAGE as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"no usable public start in {directory}: make one with `fedkey pretrain` ({fault(error)})"
        ) from error
    if vocabulary.key != described["vocabulary"] or not mixture.of_size(vocabulary.size):
        raise CheckpointError(f"the parts of the public start in {directory} do not fit together: make it anew")
    return Checkpoint(network, list(Layout.of(network.layout).unflatten(vector).values()), vocabulary, mixture)


def _weights(size: str) -> str:
    return f"{size}.weights"
