"""What each part of a mixture brings: the public start, counts on top of it, training on top of it, and both."""

import dataclasses
from collections.abc import Sequence

from federation.simulation.mixing import with_fitted_mixture
from model.batches import Rows
from model.checkpoint import Checkpoint
from model.mixture import Mixture

PUBLIC_NETWORK, PUBLIC, COUNTED, TRAINED, BOTH = (
    "public network",
    "public mixture",
    "public + counts",
    "public + training",
    "public + counts + training",
)


def ablation(start: Checkpoint, federated: Checkpoint, validation: Sequence[Rows]) -> dict[str, Checkpoint]:
    """Return models by name, each with weights fitted to the same text.

    Args:
        start: the public network with the public n-gram beside it.
        federated: the network after rounds, with the counts beside it.
        validation: clients' later messages, which no part was made from.
    """
    counted, public = federated.mixture, start.mixture
    models = {
        PUBLIC_NETWORK: dataclasses.replace(start, mixture=Mixture()),
        PUBLIC: start,
        COUNTED: dataclasses.replace(start, mixture=counted),
        TRAINED: dataclasses.replace(federated, mixture=public),
        BOTH: federated,
    }
    return {name: with_fitted_mixture(model, validation) for name, model in models.items()}
