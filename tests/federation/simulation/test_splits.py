import numpy as np
import pytest

from federation.fleet.scenario import Clients, Split
from federation.simulation.splits import spread
from model.batches import Rows

USERS = [np.full((size, 4), user, np.int32) for user, size in enumerate([5, 40, 1, 20, 12, 30, 8, 25])]


def owners(clients: list[Rows]) -> np.ndarray:
    """Return counts of rows [clients, users]."""
    return np.array([np.bincount(rows[:, 0], minlength=len(USERS)) for rows in clients])


@pytest.mark.parametrize("split", ["user", "dirichlet", "iid"])
def test_no_row_is_lost_or_doubled(split: Split) -> None:
    clients = spread(USERS, Clients(split=split), seed=1)
    assert len(clients) == len(USERS)
    assert owners(clients).sum(axis=0).tolist() == [len(rows) for rows in USERS]
    assert all(rows.shape[1] == 4 and rows.dtype == np.int32 for rows in clients)


def test_by_user_everyone_has_their_own() -> None:
    assert all(a is b for a, b in zip(spread(USERS, Clients(), 1), USERS, strict=True))


def test_iid_keeps_sizes_and_mixes_users() -> None:
    clients = spread(USERS, Clients(split="iid"), seed=1)
    assert [len(rows) for rows in clients] == [len(rows) for rows in USERS]
    assert np.count_nonzero(owners(clients)[1]) > 4


def test_concentration_decides_how_mixed_clients_are() -> None:
    def purity(concentration: float) -> float:
        found = [
            owners(spread(USERS, Clients(split="dirichlet", concentration=concentration), seed)) for seed in range(10)
        ]
        return float(np.mean([(counts.max(axis=0) / counts.sum(axis=0))[[1, 3, 5, 7]].mean() for counts in found]))

    alone, mixed, even = (purity(concentration) for concentration in (1e-4, 0.1, 100.0))
    assert alone > 0.99
    assert alone > mixed > even
    assert even < 0.35


def test_a_seed_decides_and_shares_are_the_same_for_later_rows() -> None:
    clients = Clients(split="dirichlet", concentration=1e-4)
    train, again, other = spread(USERS, clients, 1), spread(USERS, clients, 1), spread(USERS, clients, 2)
    assert all(np.array_equal(a, b) for a, b in zip(train, again, strict=True))
    assert not np.array_equal(owners(train), owners(other))
    later = spread([rows[: len(rows) // 2 + 1] for rows in USERS], clients, 1)
    assert np.array_equal(owners(train).argmax(axis=0), owners(later).argmax(axis=0))
