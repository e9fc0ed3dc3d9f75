"""What a phone's server made of its model: weights that rounds trained, and n-grams that rounds counted."""

from typing import NamedTuple

from federation.protocol import model_codec as codec
from model.counts import CountedNgram, NgramList
from model.engine import Export, Predictor
from model.mixture import Mixture


class SharedParts(NamedTuple):
    """The parts of one shared model as they came from the server; None for what the app came with.

    Attributes:
        weights: of the network.
        counts: sums over phones, float32 [n-grams of the app's list].
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
        public = export.mixture.public
        if self.counts is None:
            return export.mixture
        if public is None:
            raise ValueError("this app has no list of n-grams that counts could be of")
        counts = codec.from_bytes(self.counts)
        return export.mixture.beginning_with_counts(CountedNgram(counts, NgramList.pinned(public)))
