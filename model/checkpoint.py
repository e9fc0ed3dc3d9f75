"""A trained model on disk: a folder with its sizes, its weights by name, the vocabulary it speaks, and its n-grams."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from model import arrays, files, folders
from model.layout import FlatWeights, NetworkConfig
from model.mixture import FILES as MIXTURE_FILES
from model.mixture import Mixture
from model.vocabulary import CANDIDATES, VOCABULARY_FILES, Vocabulary
from model.wording import DAMAGE, why

FOLDER = folders.Kind(
    "a model",
    "network.json",
    frozenset({"network", "vocabulary"}),
    ("network.json", "weights.npz", *VOCABULARY_FILES, CANDIDATES, *MIXTURE_FILES),
)


class CheckpointError(ValueError):
    """A model folder that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A model as it is stored.

    Attributes:
        network: its sizes.
        weights: in layout order.
        vocabulary: its pieces and lexicon.
        mixture: the n-grams beside the network, if any, and how much each says.
    """

    network: NetworkConfig
    weights: FlatWeights
    vocabulary: Vocabulary
    mixture: Mixture = field(default_factory=Mixture)

    @property
    def key(self) -> str:
        """SHA-256 (hex) of network, weights and vocabulary: names the model."""
        digest = hashlib.sha256(json.dumps([dataclasses.asdict(self.network), self.vocabulary.key]).encode())
        for weight in self.weights:
            digest.update(np.ascontiguousarray(weight).tobytes())
        return digest.hexdigest()

    def save(self, directory: Path) -> None:
        """Write the model; one that is there already is replaced only once the new one is whole.

        Raises:
            FolderError: something else is there.
        """
        with folders.making(directory, FOLDER) as partial:
            description = {"network": dataclasses.asdict(self.network), "vocabulary": self.vocabulary.key}
            (partial / "network.json").write_text(json.dumps(description, indent=1))
            np.savez(partial / "weights.npz", **dict(zip(self.network.layout, self.weights, strict=True)))
            self.vocabulary.save(partial)
            self.mixture.save(partial)

    @classmethod
    def load(cls, directory: Path) -> "Checkpoint":
        """Read a model.

        Raises:
            CheckpointError: it is not there, damaged, or its parts do not fit together.
        """
        try:
            description = json.loads(files.read(directory / "network.json"))
            network, key = NetworkConfig(**description["network"]), str(description["vocabulary"])
            with arrays.archive(directory / "weights.npz") as kept:
                weights = [kept[name] for name in network.layout]
            vocabulary = Vocabulary.load(directory)
            mixture = Mixture.load(directory)
        except DAMAGE as error:
            raise CheckpointError(
                f"no usable model in {directory}: train one with `fedkey simulate`{why(error)}"
            ) from error
        shapes = list(network.layout.values())
        fits = [weight.shape for weight in weights] == shapes and mixture.of_size(vocabulary.size)
        if key != vocabulary.key or not fits:
            raise CheckpointError(f"the weights in {directory} do not fit its vocabulary: train the model again")
        return cls(network, weights, vocabulary, mixture)
