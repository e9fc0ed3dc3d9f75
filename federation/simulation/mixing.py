"""The mixture's weights from clients' text: federated evaluation of the parts, and nothing else leaves a client.

Expectation maximisation needs, for each set of weights, one number a part from each client: how much of its text the
part explains. Their sums are all that the server sees, as of any federated evaluation.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from model.batches import Rows, unpack
from model.checkpoint import Checkpoint
from model.mixture import fit_weights
from model.network_words import NetworkWordModel

_MAX_MESSAGES = 40  # of a client


def with_fitted_mixture(checkpoint: Checkpoint, clients: Sequence[Rows]) -> Checkpoint:
    """Return a model whose mixture expects clients' text most; unchanged if it has no n-grams, or they no text.

    Args:
        checkpoint: the model.
        clients: packed messages of each, which no part was trained on.
    """
    if not checkpoint.mixture.tables:
        return checkpoint
    model = NetworkWordModel(checkpoint, name="parts")
    found = [model.parts(unpack(rows)[:_MAX_MESSAGES]) for rows in clients]
    probabilities = np.concatenate([np.zeros((0, len(checkpoint.mixture.weights)), np.float32), *found])
    if not len(probabilities):
        return checkpoint
    weights = fit_weights(probabilities.astype(np.float64))
    return dataclasses.replace(checkpoint, mixture=checkpoint.mixture.with_weights(weights))
