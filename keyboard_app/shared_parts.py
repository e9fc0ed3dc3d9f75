"""What a phone's server made of its model: weights that rounds trained, n-grams that they counted, words voted for."""

from typing import NamedTuple

from federation.protocol import model_codec as codec
from model.counted_lists import CountedLists
from model.engine import Export, Predictor
from model.layout import FlatVector
from model.mixture import Mixture
from model.vocabulary import Vocabulary


class SharedParts(NamedTuple):
    """The parts of one shared model as they came from the server; None for what the app came with.

    Attributes:
        weights: of the network.
        counts: over the app's lists, float32; see `model.counted_lists`.
    """

    weights: bytes | None = None
    counts: bytes | None = None

    def predictor(self, export: Export) -> Predictor:
        """Return the network.

        Raises:
            ValueError: the weights are not those of the exported network.
        """
        if self.weights is None:
            return export.predictor()
        trainer = export.trainer()
        trainer.set_weights(codec.from_bytes(self.weights))
        return trainer

    def mixture(self, export: Export) -> Mixture:
        """Return the n-grams beside the network; counts begin with as much to say as the public n-gram.

        Raises:
            ValueError: the counts are not those of the app's list.
        """
        return export.mixture if self.counts is None else _lists(export).mixture(export.mixture, self._counted)

    def vocabulary(self, export: Export) -> Vocabulary:
        """Return the vocabulary, with the words that phones voted for.

        Raises:
            ValueError: the counts are not those of the app's lists.
        """
        return export.vocabulary if self.counts is None else _lists(export).vocabulary(self._counted)

    @property
    def _counted(self) -> FlatVector:
        return codec.from_bytes(self.counts or b"")


def _lists(export: Export) -> CountedLists:
    if export.mixture.public is None:
        raise ValueError("this app has no list of n-grams that counts could be of")
    return CountedLists.of(export.mixture.public, export.vocabulary)
