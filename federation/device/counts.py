"""The shared counts of n-grams on a device: which list it counts, and how it comes by what all devices counted."""

from dataclasses import dataclass
from typing import Self

from federation.device.answers import ModelFacts
from federation.device.connection import Connection
from federation.device.downloads import Downloads
from federation.device.errors import DistrustError, ServerRefusedError
from federation.device.store import PhoneStore
from federation.protocol import model_codec as codec
from federation.protocol.drop_reasons import DropReason
from federation.protocol.plan import RoundPlan
from federation.protocol.task import TrainingTask
from federation.secure_aggregation.identity import verifies
from model.counts import NgramList
from model.ngram_table import NgramTable


@dataclass(frozen=True)
class CountedList:
    """The only list of n-grams that an app counts; whoever chooses it asks questions, so no server may.

    Attributes:
        sha256: SHA-256 (hex) of the list; empty if the app counts none.
        length: Number of n-grams in it.
    """

    sha256: str = ""
    length: int = 0

    @classmethod
    def of(cls, public: NgramTable | None) -> Self:
        """Return the list that follows from an app's public n-gram, if it has one."""
        if public is None:
            return cls()
        listed = NgramList.pinned(public)
        return cls(listed.sha256, len(listed))

    def mismatch(self, plan: RoundPlan, task: TrainingTask, dimension: int) -> tuple[DropReason, str] | None:
        """Return why a round is neither of this list nor of the app's network of `dimension` weights, if it is not."""
        counting = task.counting
        if counting is not None and counting.list_sha256 != self.sha256:
            return DropReason.POLICY, "the server asks to count another list than this app's"
        if plan.dimension != (dimension if counting is None else self.length):
            return DropReason.INCOMPATIBLE, "the plan's model has another size than this app's"
        return None


class CountsSource:
    """Keeps a device's copy of the counts that all devices made together.

    Args:
        store: of the device.
        connection: to the server.
        listed: list of the app.
    """

    def __init__(self, store: PhoneStore, connection: Connection, listed: CountedList) -> None:
        self._store = store
        self._connection = connection
        self._listed = listed
        self._downloads = Downloads(store, connection, "counts", 4 * listed.length)

    def follow(self, server_key: bytes) -> None:
        """Keep the server's current counts, if they are others than those that are here.

        Raises:
            DistrustError: the server did not sign them.
            UnreachableError: the server does not answer, or its answer cannot be used.
        """
        if not self._listed.length:
            return
        try:
            told = ModelFacts.from_bytes(self._connection.get("/v1/counts/current", what="counts version"))
        except ServerRefusedError:
            return  # a server without counting rounds
        if told.version <= self._store.version("counts") and self._downloads.has(told.sha256):
            return
        if not verifies(server_key, told.signature, codec.signed_part(told.version, told.sha256)):
            raise DistrustError("the signature of the counts is not the server's: they were not taken")
        content = self._downloads.fetched(told.sha256, None)
        if len(content) != 4 * self._listed.length:
            raise DistrustError("the server's counts are of another list than this app's: they were not taken")
        self._store.keep_model(content, told.version, "counts")
