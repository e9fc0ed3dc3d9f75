import numpy as np
import pytest

from model.engine import ExportError
from model.engine.weight_files import packed, unpacked
from model.layout import Layout, NetworkConfig, initial_weights

NETWORK = NetworkConfig(30, embedding=5, hidden=7)
WEIGHTS = initial_weights(NETWORK, 2)


def test_float32_comes_back_to_the_bit() -> None:
    found = unpacked(packed(WEIGHTS, "float32"), NETWORK, "float32")
    np.testing.assert_array_equal(found, Layout.of(NETWORK.layout).flatten(WEIGHTS))


def test_eight_bits_are_half_a_level_off_at_most() -> None:
    found = Layout.of(NETWORK.layout).unflatten(unpacked(packed(WEIGHTS, "int8"), NETWORK, "int8"))
    for (name, own), weight in zip(found.items(), WEIGHTS, strict=True):
        if weight.ndim == 1:
            np.testing.assert_array_equal(own, weight)
            continue
        channels = 1 if name == "embedding" else 0
        levels = np.abs(weight).max(axis=channels, keepdims=True) / 127
        assert (np.abs(own - weight) <= levels * 0.5001).all()
        assert not np.array_equal(own, weight)


def test_a_channel_of_zeros_stays_zero() -> None:
    weights = [weight.copy() for weight in WEIGHTS]
    weights[0][4] = 0
    weights[2][:, 3] = 0
    found = Layout.of(NETWORK.layout).unflatten(unpacked(packed(weights, "int8"), NETWORK, "int8"))
    assert not found["embedding"][4].any()
    assert not found["input_kernel"][:, 3].any()


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_what_is_no_such_file_is_refused(kind: str) -> None:
    whole = packed(WEIGHTS, kind)
    for damaged in (b"", whole[:-1], whole + b"\0"):
        with pytest.raises(ExportError, match="download or export the model again"):
            unpacked(damaged, NETWORK, kind)
    weights = [weight.copy() for weight in WEIGHTS]
    weights[1][0] = np.inf
    with pytest.raises(ExportError, match="not finite"):
        unpacked(packed(weights, kind), NETWORK, kind)


def test_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="float32 or int8"):
        packed(WEIGHTS, "int4")
