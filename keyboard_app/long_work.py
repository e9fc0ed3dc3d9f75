"""Long work for `child_processes.run`: what is learned from messages, and whether a model is worth taking."""

from collections.abc import Sequence
from pathlib import Path

from federation.protocol import model_codec as codec
from federation.protocol.task import DeviceClass, TrainingTask
from federation.updates.update import Update
from keyboard_app.model_comparison import EngineWordModel, Verdict, judge, measure
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


def compare_models(directory: Path, old: bytes | None, new: bytes, texts: Sequence[str]) -> Verdict | None:
    """Compare two models on messages.

    Args:
        directory: of the exported network.
        old: weights; None for those of the export.
        new: weights.
        texts: messages that neither was trained on here.
    """
    export = Export.load(directory)
    spellings = Spellings(export.vocabulary)
    evaluations = []
    for name, weights in (("old", old), ("new", new)):
        trainer = export.trainer()
        if weights is not None:
            trainer.set_weights(codec.from_bytes(weights))
        model = EngineWordModel(trainer, export.vocabulary, spellings, export.mixture, name=name)
        evaluations.append(measure(model, texts))
    return judge(*evaluations)
