"""Vectors as pictures."""

import numpy as np
import pytest

from keyboard_app.ui.pictures import SIDE, masked_picture, update_picture

pytestmark = pytest.mark.slow  # needs OpenGL


def test_rising_weights_are_blue_falling_red_and_others_white() -> None:
    update = np.zeros(SIDE * SIDE, np.float32)
    update[0], update[1] = 1, -1
    picture = update_picture(update)
    assert picture.shape == (SIDE, SIDE, 3)
    red, _, blue = picture[0, 0].astype(int)
    assert blue > red
    red, _, blue = picture[0, 1].astype(int)
    assert red > blue
    assert picture[1:].min() > 240


def test_a_long_vector_is_sampled_from_end_to_end() -> None:
    words = np.arange(SIDE * SIDE * 7, dtype=np.uint64)
    picture = masked_picture(words)
    assert picture[0, 0, 0] == 0
    assert picture[-1, -1, 0] == 255
    assert (np.diff(picture[..., 0].ravel().astype(int)) >= 0).all()


def test_a_short_or_empty_vector_is_a_picture_too() -> None:
    assert update_picture(np.zeros(0, np.float32)).shape == masked_picture(np.ones(3, np.uint64)).shape
