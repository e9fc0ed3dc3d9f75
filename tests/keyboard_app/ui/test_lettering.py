"""Text in several fonts on one line."""

import numpy as np
import pytest

from keyboard_app.ui.lettering import ChainLabel, written
from keyboard_app.ui.theme import LIGHT
from model.text import CLUSTERS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("screen")]  # needs OpenGL


def pixels(text: str, size: float = 32) -> np.ndarray:
    texture = written(text, size, LIGHT.on_surface)
    return np.frombuffer(texture.pixels, np.uint8).reshape(texture.height, texture.width, 4)


@pytest.mark.parametrize("text", ["😀", "क", "⌫", "é", "👍🏽"])
def test_what_is_written_is_no_box(text: str) -> None:
    shown, box = pixels(text), pixels("\U0010fffd")
    assert shown.shape != box.shape or not np.array_equal(shown, box)
    assert shown[..., 3].any()


def test_letters_of_devanagari_are_joined_and_ordered() -> None:
    label = ChainLabel(font_size=40)
    assert label.get_extents("क्ष")[0] < label.get_extents("क\u200c्\u200cष")[0]
    hindi, letter = pixels("हि")[..., 3], pixels("ह")[..., 3]
    height, width = min(hindi.shape[0], letter.shape[0]), letter.shape[1] // 2
    assert not np.array_equal(hindi[:height, :width], letter[:height, :width]), "the vowel stands left"


def test_a_line_is_as_wide_as_its_parts_and_emoji_as_high_as_letters() -> None:
    label = ChainLabel(font_size=30)
    parts = [label.get_extents(part)[0] for part in ("hello ", "😀", " you")]
    assert label.get_extents("hello 😀 you")[0] == sum(parts)
    assert label.get_extents("😀😀")[1] <= 1.6 * label.get_extents("h")[1]


def test_a_shortened_text_keeps_characters_whole() -> None:
    flags = "🇮🇳🇩🇪🏴󠁧󠁢󠁥󠁮󠁧󠁿👨‍👩‍👧" * 8
    label = ChainLabel(font_size=20, text_size=(150, None))
    shown = label.shorten(flags)
    assert shown.endswith("…")
    assert CLUSTERS.findall(flags)[: len(CLUSTERS.findall(shown)) - 1] == CLUSTERS.findall(shown)[:-1]
    assert label.get_extents(shown)[0] <= 150


def test_the_colour_is_that_asked_for() -> None:
    ink = pixels("l", 60)
    solid = ink[ink[..., 3] == 255][..., :3]
    assert np.array_equal(np.unique(solid, axis=0), [[0x1A, 0x1C, 0x1E]])
