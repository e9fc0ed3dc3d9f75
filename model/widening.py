"""A wider network that computes what a narrower one does: Net2Net (Chen, Goodfellow and Shlens 2016).

Cells of the LSTM are copied and their rows of the projection shared out between the copies, in unequal parts so that
training tells them apart. Training then goes on from what the narrower network knows.
"""

import numpy as np

from model.layout import FlatWeights, NetworkConfig


def widened(weights: FlatWeights, network: NetworkConfig, wider: NetworkConfig, *, seed: int) -> FlatWeights:
    """Return weights of `wider` that give the same predictions.

    Args:
        weights: in layout order.
        network: their sizes.
        wider: the same sizes, with as many cells or more.
        seed: of which cells are copied, and in what parts.

    Raises:
        ValueError: the vocabulary or the embedding differs, or `wider` has fewer cells.
    """
    same = (network.vocabulary_size, network.embedding) == (wider.vocabulary_size, wider.embedding)
    if not same or wider.hidden < network.hidden:
        raise ValueError("a network can only be widened in the number of its cells")
    embedding, output_bias, input_kernel, recurrent_kernel, gate_bias, projection = weights
    random = np.random.default_rng(seed)
    extra = wider.hidden - network.hidden
    copied = np.concatenate([np.arange(network.hidden), random.integers(0, network.hidden, extra)])
    parts = random.uniform(0.5, 1.5, wider.hidden)
    shares = parts / np.bincount(copied, parts)[copied]
    gates = np.concatenate([copied + gate * network.hidden for gate in range(3)])
    return [
        embedding,
        output_bias,
        input_kernel[:, gates],
        recurrent_kernel[:, gates],
        gate_bias[gates],
        (projection[copied] * shares[:, None]).astype(np.float32),
    ]
