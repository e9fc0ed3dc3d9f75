"""What an app brings along, and no server may change."""

from dataclasses import dataclass
from typing import Self

from model.engine import Manifest


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """Of one app.

    Attributes:
        vocabulary: key of the vocabulary; see `model.engine.Manifest`.
        dimension: of the network's flat vector.
    """

    vocabulary: str
    dimension: int

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Return those of an exported model."""
        return cls(vocabulary=manifest.vocabulary, dimension=manifest.network.parameters)
