from pathlib import Path

import numpy as np
import pytest

from federation.simulation import central
from federation.simulation.central_training import CentralTraining
from model.batches import pack
from model.layout import NetworkConfig, initial_weights

NETWORK = NetworkConfig(12, embedding=4, hidden=6)
ROWS = pack([[3, 4, 5], [6, 7], [8, 9, 10, 11]] * 12, 8)
OPTIONS = CentralTraining(epochs=3, learning_rate=0.01, batch_rows=4, dropout=0.1)


class _StoppedError(Exception):
    pass


def test_a_training_that_was_killed_ends_as_if_it_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(central, "SAVE_EVERY", 4)
    whole = central.train(NETWORK, ROWS, OPTIONS, seed=1)
    seen = []

    def kill(step: int, _loss: float) -> None:
        seen.append(step)
        if step == 10:
            raise _StoppedError

    path = tmp_path / "state.npz"
    with pytest.raises(_StoppedError):
        central.train(NETWORK, ROWS, OPTIONS, seed=1, progress=kill, resume=path)
    resumed = central.train(NETWORK, ROWS, OPTIONS, seed=1, progress=lambda step, _: seen.append(step), resume=path)
    assert seen[10] == 9
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not path.exists()


def test_a_state_of_another_training_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(central, "SAVE_EVERY", 1)
    path = tmp_path / "state.npz"

    def stop(_step: int, _loss: float) -> None:
        raise _StoppedError

    for seed in (1, 2):
        with pytest.raises(_StoppedError):
            central.train(
                NETWORK,
                ROWS,
                OPTIONS,
                seed=seed,
                progress=lambda step, _: stop(step, _) if step == 3 else None,
                resume=path,
            )
    steps: list[int] = []
    central.train(NETWORK, ROWS, OPTIONS, seed=1, progress=lambda step, _: steps.append(step), resume=path)
    assert steps[0] == 1
    path.write_bytes(b"torn")
    central.train(NETWORK, ROWS, OPTIONS, seed=1, progress=lambda step, _: steps.append(step), resume=path)
    assert steps.count(1) == 2


def test_training_goes_on_from_given_weights() -> None:
    start = initial_weights(NETWORK, 5)
    still = CentralTraining(epochs=1, learning_rate=1e-30, dropout=0.0)
    for given, kept in zip(start, central.train(NETWORK, ROWS, still, seed=1, start=start), strict=True):
        np.testing.assert_allclose(given, kept, rtol=0, atol=1e-20)
