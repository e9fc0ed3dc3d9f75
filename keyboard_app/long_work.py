"""Long work for `child_processes.run`: what is learned from messages, and whether a model is worth taking."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from federation.protocol import model_codec as codec
from federation.protocol.task import DeviceClass, TrainingTask
from federation.updates.update import Update
from keyboard_app import model_comparison
from keyboard_app.model_comparison import EngineWordModel, Verdict, judge, measure
from keyboard_app.shared_parts import SharedParts
from model.engine import Export
from model.evaluation import Evaluation
from model.mixture import Mixture
from model.spellings import Spellings
from model.vocabulary import Vocabulary


def train(
    directory: Path, weights: bytes, task: TrainingTask, texts: Sequence[str], device_class: DeviceClass
) -> Update:
    """Return what the exported network in a directory learns from messages; see `LocalTraining`."""
    from federation.device import LocalTraining  # noqa: PLC0415 - large, and of use in the other process only

    export = Export.load(directory)
    training = LocalTraining(
        export.trainer(),
        export.vocabulary,
        lambda: texts,
        device_class=device_class,
        public=export.mixture.public,
    )
    return training(weights, task)


def compare_models(directory: Path, old: SharedParts, new: SharedParts, texts: Sequence[str]) -> Verdict | None:
    """Compare two models on messages.

    Args:
        directory: of the exported network.
        old: parts of the one in use.
        new: parts of the other.
        texts: messages that neither was trained on here.

    Raises:
        ValueError: a part is not one of this network, or of its list of n-grams.
    """
    export = Export.load(directory)
    measured = (
        _evaluated(export, parts.weights, texts, parts.mixture(export), parts.vocabulary(export))
        for parts in (old, new)
    )
    return judge(*measured)


def loss_rise(directory: Path, new: bytes, texts: Sequence[str]) -> float | None:
    """Return by how much a network costs more than that of the export, without the n-grams that would hide it.

    Args:
        directory: of the exported network.
        new: weights.
        texts: messages that neither was trained on here.

    Returns:
        see `model_comparison.loss_rise`.
    """
    export = Export.load(directory)
    if np.array_equal(export.trainer().weights(), codec.from_bytes(new)):
        return 0.0
    with np.errstate(all="ignore"):  # weights of anybody's choice
        return model_comparison.loss_rise(
            *(_evaluated(export, weights, texts, None, export.vocabulary) for weights in (None, new))
        )


def _evaluated(
    export: Export, weights: bytes | None, texts: Sequence[str], mixture: Mixture | None, vocabulary: Vocabulary
) -> Evaluation:
    """Measure weights, or those of the export, on messages."""
    trainer = export.trainer()
    if weights is not None:
        trainer.set_weights(codec.from_bytes(weights))
    name = "the app's" if weights is None else "another"
    return measure(EngineWordModel(trainer, vocabulary, Spellings(vocabulary), mixture, name=name), texts)
