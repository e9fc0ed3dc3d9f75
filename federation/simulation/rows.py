"""What a federated run trains on and watches."""

from collections.abc import Sequence
from dataclasses import dataclass

from model.batches import Rows


@dataclass(frozen=True)
class FederatedRows:
    """Packed rows of a corpus, by role.

    Attributes:
        seed: Packed public messages.
        train: Each client's packed training messages.
        validation: Each client's packed later messages.
    """

    seed: Rows
    train: Sequence[Rows]
    validation: Sequence[Rows]
