"""Colours that can be told apart."""

from dataclasses import replace

import pytest

from keyboard_app.ui.theme import DARK, LIGHT, PALETTES, Colour, contrast, poor

pytestmark = pytest.mark.slow  # needs OpenGL


@pytest.mark.parametrize("palette", PALETTES.values(), ids=lambda palette: palette.name)
def test_text_and_shapes_have_the_contrast_of_wcag_aa(palette: object) -> None:
    assert poor(palette) == []  # type: ignore[arg-type]


def test_contrast_is_that_of_wcag() -> None:
    assert contrast(Colour("#000000"), Colour("#ffffff")) == pytest.approx(21)
    assert contrast(Colour("#777777"), Colour("#ffffff")) == pytest.approx(4.48, abs=0.01)
    assert contrast(Colour("#ffffff"), Colour("#777777")) == contrast(Colour("#777777"), Colour("#ffffff"))


def test_a_grey_too_light_is_found() -> None:
    found = poor(replace(LIGHT, muted=Colour("#999999")))
    assert {pair[:2] for pair in found} == {
        ("muted", ground) for ground in ("background", "surface", "key", "keyboard")
    }


def test_contributing_looks_like_nothing_else() -> None:
    for palette in (LIGHT, DARK):
        others = (palette.primary, palette.good, palette.bad, palette.incognito, palette.personal, palette.surface)
        assert palette.contributing not in others
