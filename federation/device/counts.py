"""The shared counts on a device: which lists it counts over, and how it comes by what all devices counted."""

from dataclasses import dataclass
from typing import NamedTuple, Self

from federation.device.answers import ModelFacts
from federation.device.connection import Connection
from federation.device.downloads import Downloads
from federation.device.errors import DistrustError, ServerRefusedError
from federation.device.store import PhoneStore
from federation.protocol import model_codec as codec
from federation.protocol.drop_reasons import DropReason
from federation.protocol.plan import RoundPlan
from federation.protocol.task import CountingTask, TrainingTask
from federation.secure_aggregation.identity import verifies
from model.counted_lists import CountedLists
from model.ngram_table import NgramTable
from model.vocabulary import Vocabulary


class AskedList(NamedTuple):
    """A list as plans name it.

    Attributes:
        sha256: SHA-256 (hex) of the list.
        length: Number of entries in it.
    """

    sha256: str
    length: int


@dataclass(frozen=True)
class PinnedLists:
    """The only lists that an app counts over: choosing a list is asking a question, so no server may.

    Attributes:
        ngrams: of the app's public n-gram.
        words: candidates that the app votes for.
    """

    ngrams: AskedList | None = None
    words: AskedList | None = None

    @classmethod
    def of(cls, public: NgramTable | None, vocabulary: Vocabulary) -> Self:
        """Return the lists that follow from an app's public n-gram, if it has one, and its candidates."""
        if public is None:
            return cls()
        lists = CountedLists.of(public, vocabulary)
        words = AskedList(lists.words.sha256, len(lists.words)) if len(lists.words) else None
        return cls(AskedList(lists.ngrams.sha256, len(lists.ngrams)), words)

    @property
    def length(self) -> int:
        """Number of entries of all lists: what all devices counted is of them."""
        return sum(each.length for each in (self.ngrams, self.words) if each is not None)

    def asked(self, counting: CountingTask) -> AskedList | None:
        """Return the list that a round counts over, if it is one of these."""
        lists = (self.ngrams, self.words)
        return next((each for each in lists if each is not None and each.sha256 == counting.list_sha256), None)

    def mismatch(self, plan: RoundPlan, task: TrainingTask, dimension: int) -> tuple[DropReason, str] | None:
        """Return why a round is about none of these lists, nor about the app's network, if it is not."""
        expected = dimension
        if task.counting is not None:
            asked = self.asked(task.counting)
            if asked is None:
                return DropReason.POLICY, "the server asks to count another list than this app's"
            expected = asked.length
        if plan.dimension != expected:
            return DropReason.INCOMPATIBLE, "the plan's model has another size than this app's"
        return None


class CountsSource:
    """Keeps a device's copy of the counts that all devices made together.

    Args:
        store: of the device.
        connection: to the server.
        lists: of the app.
    """

    def __init__(self, store: PhoneStore, connection: Connection, lists: PinnedLists) -> None:
        self._store = store
        self._connection = connection
        self._length = lists.length
        self._downloads = Downloads(store, connection, "counts", 4 * lists.length)

    def follow(self, server_key: bytes) -> None:
        """Keep the server's current counts, if they are others than those that are here.

        Raises:
            DistrustError: the server did not sign them.
            UnreachableError: the server does not answer, or its answer cannot be used.
        """
        if not self._length:
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
        if len(content) != 4 * self._length:
            raise DistrustError("the server's counts are of other lists than this app's: they were not taken")
        self._store.keep_model(content, told.version, "counts")
