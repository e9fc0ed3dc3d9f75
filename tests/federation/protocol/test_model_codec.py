import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.protocol import model_codec as codec
from federation.protocol.model_codec import DeltaError


def vector(seed: int, size: int = 5000) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(0, 0.1, size).astype(np.float32)


def test_weights_come_back_from_bytes() -> None:
    np.testing.assert_array_equal(codec.from_bytes(codec.to_bytes(vector(1))), vector(1))


def test_weights_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        codec.from_bytes(np.array([1, np.inf], np.float32).tobytes())


def test_a_delta_leads_from_one_version_to_the_next_exactly_and_is_smaller() -> None:
    old = codec.to_bytes(vector(1))
    new = codec.to_bytes(vector(1) + 1e-4 * vector(2))
    difference = codec.delta(old, new)
    assert codec.apply_delta(old, difference) == new
    assert len(difference) < 0.8 * len(new)


@pytest.mark.parametrize("size", [0, 4, 8, 396])
def test_a_delta_of_another_size_does_not_apply(size: int) -> None:
    old, new = bytes(400), bytes(range(200)) * 2
    with pytest.raises(DeltaError, match="whole model"):
        codec.apply_delta(bytes(size), codec.delta(old, new))


@given(st.binary(max_size=60))
def test_a_damaged_delta_raises_nothing_else(data: bytes) -> None:
    with pytest.raises(DeltaError):
        codec.apply_delta(bytes(4000), data)
