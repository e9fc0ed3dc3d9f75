"""From a trained model to what a phone downloads, for either engine; `model.engine` is the other side.

NumPy's files are the weights; LiteRT's are `model.litert_files`, which needs TensorFlow and LiteRT.
"""

import json
from importlib.util import find_spec
from pathlib import Path

from model import folders
from model.checkpoint import Checkpoint
from model.engine import MANIFEST, Engine, Export, Manifest, file_description
from model.engine.exported import FOLDER as EXPORT_FOLDER
from model.engine.weight_files import packed

_MAKERS = ("tensorflow", "ai_edge_litert")  # of LiteRT's files


def export(
    checkpoint: Checkpoint, directory: Path, *, version: int = 1, inference: str = "int8", parent: str = ""
) -> Export:
    """Write a folder that a phone can load; one that is there already is replaced only once the new one is whole.

    LiteRT's files are left out where TensorFlow or LiteRT is not installed.

    Args:
        checkpoint: the trained model.
        directory: where to.
        version: what the phone shows and asks for; larger is newer.
        inference: `float32`, or `int8` for weights of 8 bits with activations in float.
        parent: SHA-256 of the weights that this version was trained from, if any.

    Raises:
        ValueError: `inference` is neither.
        FolderError: something else is in the folder.
    """
    with folders.making(directory, EXPORT_FOLDER) as partial:
        runtime = _write_litert(checkpoint, partial, inference) if all(map(find_spec, _MAKERS)) else ""
        (partial / Engine.NUMPY.training).write_bytes(packed(checkpoint.weights, "float32"))
        (partial / Engine.NUMPY.inference).write_bytes(packed(checkpoint.weights, inference))
        checkpoint.vocabulary.save(partial)
        checkpoint.mixture.save(partial)
        manifest = Manifest(
            version=version,
            parent=parent,
            network=checkpoint.network,
            vocabulary=checkpoint.vocabulary.key,
            inference=inference,
            runtime=runtime,
            files={path.name: file_description(path) for path in sorted(partial.iterdir())},
        )
        (partial / MANIFEST).write_text(json.dumps(manifest.to_json(), indent=1))
    return Export.load(directory)


def _write_litert(checkpoint: Checkpoint, directory: Path, inference: str) -> str:
    """Write LiteRT's files; return the version that they were made for."""
    from model import litert_files  # noqa: PLC0415 - TensorFlow is not everywhere
    from model.engine.litert_engine import VERSION  # noqa: PLC0415 - neither is LiteRT

    (directory / Engine.LITERT.training).write_bytes(litert_files.training_file(checkpoint))
    (directory / Engine.LITERT.inference).write_bytes(litert_files.inference_file(checkpoint, inference))
    return VERSION
