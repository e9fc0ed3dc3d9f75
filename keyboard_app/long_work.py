"""Long work for `child_processes.run`: what is learned from messages, and whether a model is worth taking."""

from collections.abc import Sequence
from pathlib import Path

from federation.protocol import model_codec as codec
from federation.protocol.task import DeviceClass, TrainingTask
from federation.updates.update import Update
from keyboard_app.model_comparison import EngineWordModel, Verdict, judge, measure
from keyboard_app.shared_parts import SharedParts
from model.engine import Export
from model.spellings import Spellings


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
    spellings = Spellings(export.vocabulary)
    evaluations = []
    for name, parts in (("old", old), ("new", new)):
        trainer = export.trainer()  # for both, since the app's own file may have rounded weights
        if parts.weights is not None:
            trainer.set_weights(codec.from_bytes(parts.weights))
        model = EngineWordModel(trainer, export.vocabulary, spellings, parts.mixture(export), name=name)
        evaluations.append(measure(model, texts))
    return judge(*evaluations)
