"""What `benchmarks/attack_server.py` has in every attack: the public start, people, and what became of a round."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.attack_operator import Summed
from benchmarks.results import CORPUS
from federation.device.training import LocalTraining
from federation.fleet.headless import TrainerPool
from federation.protocol.task import TrainingTask
from federation.simulation.prepare import prepared
from federation.updates.update import Update
from fedkey.paths import cache
from model import public_start
from model.batches import pack
from model.checkpoint import Checkpoint
from model.engine import TRAINING_BATCH, Export, Trainer
from model.layout import FlatVector
from model.text import tokenise

OUTSIDERS = 20
"""People whose phones are in no sum."""

_MESSAGES = 30


@dataclass(frozen=True)
class World:
    """What does not change from attack to attack.

    Attributes:
        start: the public start.
        export: of it, as phones and server have it.
        people: what each has typed: at most a batch.
    """

    start: Checkpoint
    export: Export
    people: list[list[str]]

    @classmethod
    def prepared(cls, out: Path, phones: int) -> "World":
        """Read the corpus and export the start, once."""
        start = public_start.load("small")
        folder = out / "export"
        if not folder.exists():
            from model.export import export  # noqa: PLC0415 - TensorFlow

            out.mkdir(parents=True, exist_ok=True)
            export(start, folder, inference="float32")
        world = cls(start, Export.load(folder), [])
        split = prepared(CORPUS, cache(), vocabulary=start.vocabulary).split
        typed = [[text for text in texts if "password" not in text] for texts in split.train.values()]
        people = [world.fitting(texts) for texts in typed if len(texts) >= 5][: phones + OUTSIDERS]
        if len(people) < phones + OUTSIDERS:
            raise SystemExit(f"the corpus has {len(people)} people with text, and {phones + OUTSIDERS} are needed")
        return cls(start, world.export, people)

    def fitting(self, texts: Sequence[str]) -> list[str]:
        """Return the first of some messages, as many as are one batch of training."""
        some = list(texts[:_MESSAGES])
        while len(pack(map(self.pieces, some))) > TRAINING_BATCH:
            some.pop()
        return some

    def pieces(self, text: str) -> list[int]:
        """Return a text's pieces."""
        return [int(piece) for piece in self.start.vocabulary.encode(tokenise(text))]

    def targets(self, texts: Sequence[str]) -> list[int]:
        """Return all pieces that a phone trains to predict."""
        return [piece for text in texts for piece in self.pieces(text)]

    def update(self, texts: Sequence[str], weights: bytes, task: TrainingTask) -> Update:
        """Return what a phone learns from its owner's texts."""
        return LocalTraining(self._trainer, self.start.vocabulary, lambda: texts)(weights, task)

    @cached_property
    def _trainer(self) -> Trainer:
        return self.export.trainer()

    @cached_property
    def pool(self) -> TrainerPool:
        """What a phone in this process trains with."""
        return TrainerPool(self.export)

    @cached_property
    def weights(self) -> FlatVector:
        """The weights that the app came with."""
        return self.pool.shipped()


@dataclass(frozen=True)
class Played:
    """What became of a round.

    Attributes:
        sum: what the operator got; nothing if there is none.
        refused: why phones took no part, as they wrote it down.
        world, weights, task: that phones trained with.
    """

    sum: Summed | None
    refused: str
    world: World
    weights: bytes = b""
    task: TrainingTask | None = None

    def updates(self, people: Sequence[Sequence[str]]) -> list[FlatVector]:
        """Return what phones of some people learn in this round: one batch without dropout, so always the same."""
        assert self.task is not None
        return [self.world.update(texts, self.weights, self.task).delta for texts in people]
