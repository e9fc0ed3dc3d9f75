import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.updates.transforms import Clip
from federation.updates.update import Tally, Update, clip
from model.layout import Layout

LAYOUT = Layout.of({"embedding": (3, 2), "bias": (4,), "scale": ()})


def _weights() -> list[np.ndarray]:
    return [np.arange(6, dtype=np.float32).reshape(3, 2), np.ones(4, np.float32), np.float32(7).reshape(())]


def test_weights_come_back_by_name() -> None:
    flat = LAYOUT.flatten(_weights())
    assert flat.dtype == np.float32
    assert flat.tolist() == [0, 1, 2, 3, 4, 5, 1, 1, 1, 1, 7]
    assert LAYOUT.dimension == 11
    named = LAYOUT.unflatten(flat)
    assert list(named) == ["embedding", "bias", "scale"]
    assert all(np.array_equal(named[name], weight) for (name, _), weight in zip(LAYOUT.shapes, _weights(), strict=True))


def test_weights_of_another_layout_are_named() -> None:
    with pytest.raises(ValueError, match=r"bias has shape \(4,\), not \(3,\)"):
        LAYOUT.flatten([_weights()[0], np.ones(3, np.float32), _weights()[2]])
    with pytest.raises(ValueError, match="3 weights, not 2"):
        LAYOUT.flatten(_weights()[:2])
    with pytest.raises(ValueError, match=r"\(11,\), not \(12,\)"):
        LAYOUT.unflatten(np.ones(12, np.float32))


@given(st.lists(st.floats(-(2.0**60), 2.0**60, width=32), max_size=20), st.floats(0.01, 100))
def test_clipping_bounds_the_norm_and_keeps_the_direction(values: list[float], bound: float) -> None:
    delta = np.array(values, np.float32)
    clipped = clip(delta, bound)
    norm = np.linalg.norm(delta.astype(np.float64))
    assert clipped.dtype == np.float32
    assert np.linalg.norm(clipped.astype(np.float64)) <= bound * (1 + 1e-6)
    assert np.allclose(clipped, delta * min(1, bound / norm) if norm else delta, rtol=1e-4, atol=1e-6 * bound)


def test_a_short_delta_is_not_changed() -> None:
    delta = np.array([3, 4], np.float32)
    assert clip(delta, 5.0) is delta
    assert np.allclose(clip(delta, 2.5), [1.5, 2])


def test_a_delta_whose_squares_overflow_is_clipped() -> None:
    assert np.allclose(clip(np.full(4, 1e30, np.float32), 2.0), 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_delta_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="training diverged"):
        clip(np.array([1, value], np.float32), 1.0)


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan")])
def test_bounds_are_positive(bound: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        clip(np.ones(2, np.float32), bound)


def test_tallies_add_up() -> None:
    assert Tally(1, 2, 3.5, 4) + Tally(10, 20, 30.0, 40) == Tally(11, 22, 33.5, 44)


@pytest.mark.parametrize("wrong", [(-1,), (1, -1), (1, 1, -0.5), (1, 1, float("nan")), (1, 1, 1.0, -1)], ids=str)
def test_impossible_tallies(wrong: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="not negative"):
        Tally(*wrong)  # type: ignore[arg-type]


def test_a_delta_is_flat_float32() -> None:
    for wrong in (np.ones((2, 2), np.float32), np.ones(4)):
        with pytest.raises(ValueError, match="flat float32"):
            Update(wrong, Tally(1))  # type: ignore[arg-type]


def test_a_clipped_update_says_whether_it_was_short_enough() -> None:
    update = Update(np.ones(4, np.float32), Tally(3))
    assert Clip(2.0)(update).tally == Tally(3, unclipped=1)
    assert Clip(1.9)(update).tally == Tally(3, unclipped=0)
