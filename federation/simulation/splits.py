"""Who has which rows: everyone their own, a Dirichlet mixture of users, or all alike."""

from collections.abc import Sequence

import numpy as np

from federation.fleet.scenario import Clients
from model.batches import Rows

_SHARES, _ROWS = range(2)


def spread(users: Sequence[Rows], clients: Clients, seed: int) -> list[Rows]:
    """Return as many clients as there are users, who have the same rows between them.

    Args:
        users: rows of each user, at least one user.
        clients: how rows are spread. By `dirichlet` a client may be left without any.
        seed: of the spread. The same users' shares are the same for other rows, such as later ones.
    """
    if clients.split == "user":
        return list(users)
    rows = np.concatenate(users)
    random = np.random.default_rng([seed, _ROWS])
    sizes = [len(own) for own in users]
    if clients.split == "iid":
        return np.split(rows[random.permutation(len(rows))], np.cumsum(sizes)[:-1])
    shares = np.random.default_rng([seed, _SHARES]).dirichlet(np.full(len(users), clients.concentration), len(users))
    owners = np.concatenate([random.choice(len(users), size, p=own) for size, own in zip(sizes, shares, strict=True)])
    return [rows[owners == client] for client in range(len(users))]
