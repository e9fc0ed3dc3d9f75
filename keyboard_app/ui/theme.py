"""Colours and sizes, light and dark, after Material Design's roles. Nothing here needs Kivy.

Contrast is that of WCAG 2.2 (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio).
"""

from dataclasses import dataclass, fields, replace
from functools import cache
from typing import NewType

from keyboard_app.settings import Settings

Colour = NewType("Colour", str)
"""`#rrggbb`."""

TEXT_CONTRAST = 4.5
"""Least contrast of text with what is behind it (WCAG AA)."""

HIGH_CONTRAST = 7.0
"""Least contrast of text where it is to be high (WCAG AAA)."""

SHAPE_CONTRAST = 3.0
"""Least contrast of a control's shape with what is around it (WCAG AA)."""


@dataclass(frozen=True)
class Palette:
    """The colours of one theme; `on_x` is text upon `x`.

    Attributes:
        name: `light` or `dark`.
        background: behind everything.
        surface: cards and the text area.
        on_surface: text on either.
        muted: text of less weight on either.
        outline: borders and switches.
        divider: lines that only decorate.
        keyboard: between keys.
        key: a key that writes.
        key_special: any other key.
        key_pressed: a key under a finger.
        on_key: what stands on keys.
        selected: behind selected text.
        primary: what invites a touch.
        on_primary: on it.
        contributing: while this phone takes part in rounds, and nowhere else.
        on_contributing: on it.
        incognito: while nothing is learned.
        on_incognito: on it.
        personal: the badge of what this phone learned by itself.
        shared: the badge of what all phones learned together.
        good: all is well.
        bad: something is wrong, or cannot be taken back.
        on_bad: on it.
    """

    name: str
    background: Colour
    surface: Colour
    on_surface: Colour
    muted: Colour
    outline: Colour
    divider: Colour
    keyboard: Colour
    key: Colour
    key_special: Colour
    key_pressed: Colour
    on_key: Colour
    selected: Colour
    primary: Colour
    on_primary: Colour
    contributing: Colour
    on_contributing: Colour
    incognito: Colour
    on_incognito: Colour
    personal: Colour
    shared: Colour
    good: Colour
    bad: Colour
    on_bad: Colour


def _palette(name: str, **colours: str) -> Palette:
    return Palette(name, **{field: Colour(colour) for field, colour in colours.items()})


LIGHT = _palette(
    "light",
    background="#f5f7fb",
    surface="#ffffff",
    on_surface="#1a1c1e",
    muted="#4d535c",
    outline="#70767f",
    divider="#dde2ea",
    keyboard="#dfe4ec",
    key="#ffffff",
    key_special="#c3ccda",
    key_pressed="#a8c2ee",
    on_key="#15171a",
    selected="#bdd3f8",
    primary="#0b57c4",
    on_primary="#ffffff",
    contributing="#7a1fa2",
    on_contributing="#ffffff",
    incognito="#3a3f47",
    on_incognito="#ffffff",
    personal="#8a4b00",
    shared="#0b57c4",
    good="#11672b",
    bad="#b3261e",
    on_bad="#ffffff",
)

DARK = _palette(
    "dark",
    background="#111318",
    surface="#1c1f25",
    on_surface="#e4e3e8",
    muted="#b6bbc6",
    outline="#8c929d",
    divider="#343842",
    keyboard="#15171c",
    key="#363a43",
    key_special="#262a32",
    key_pressed="#4a6596",
    on_key="#f1f1f4",
    selected="#37517f",
    primary="#a8c7fa",
    on_primary="#062e6f",
    contributing="#dca8ff",
    on_contributing="#3a0058",
    incognito="#c8ccd4",
    on_incognito="#1b1d21",
    personal="#ffb870",
    shared="#a8c7fa",
    good="#8fd9a0",
    bad="#f6b4ae",
    on_bad="#60100b",
)

LIGHT_CONTRAST = replace(
    LIGHT,
    name="light, high contrast",
    background=Colour("#ffffff"),
    on_surface=Colour("#000000"),
    muted=Colour("#000000"),
    outline=Colour("#000000"),
    divider=Colour("#000000"),
    keyboard=Colour("#d0d0d0"),
    key_special=Colour("#ececec"),
    key_pressed=Colour("#ffd400"),
    on_key=Colour("#000000"),
    selected=Colour("#ffe97a"),
    primary=Colour("#003a8c"),
    contributing=Colour("#5a0080"),
    incognito=Colour("#000000"),
    personal=Colour("#5c2f00"),
    shared=Colour("#00357f"),
    good=Colour("#004d1a"),
    bad=Colour("#8a0000"),
)

DARK_CONTRAST = replace(
    DARK,
    name="dark, high contrast",
    background=Colour("#000000"),
    surface=Colour("#000000"),
    on_surface=Colour("#ffffff"),
    muted=Colour("#ffffff"),
    outline=Colour("#ffffff"),
    divider=Colour("#ffffff"),
    keyboard=Colour("#000000"),
    key=Colour("#333333"),
    key_special=Colour("#1f1f1f"),
    key_pressed=Colour("#0042ad"),
    on_key=Colour("#ffffff"),
    selected=Colour("#00409e"),
    primary=Colour("#ffe600"),
    on_primary=Colour("#000000"),
    contributing=Colour("#f0a8ff"),
    on_contributing=Colour("#000000"),
    incognito=Colour("#ffffff"),
    on_incognito=Colour("#000000"),
    personal=Colour("#ffc266"),
    shared=Colour("#9ecbff"),
    good=Colour("#7dff9b"),
    bad=Colour("#ffb3ad"),
    on_bad=Colour("#000000"),
)

PALETTES = {palette.name: palette for palette in (LIGHT, DARK, LIGHT_CONTRAST, DARK_CONTRAST)}


def palette_of(settings: Settings) -> Palette:
    """Return the colours that an owner chose."""
    plain, high = (LIGHT, LIGHT_CONTRAST) if settings.theme == "light" else (DARK, DARK_CONTRAST)
    return high if settings.contrast else plain


READ = (
    *((text, ground) for text in ("on_surface", "muted") for ground in ("background", "surface")),
    ("on_surface", "selected"),
    *((text, "surface") for text in ("primary", "good", "bad", "personal", "shared", "contributing")),
    *((text, "background") for text in ("on_surface", "muted", "primary", "personal", "shared")),
    *(("on_key", ground) for ground in ("key", "key_special", "key_pressed", "keyboard")),
    *((badge, "keyboard") for badge in ("muted", "personal", "shared")),
    ("muted", "key"),
    *((f"on_{ground}", ground) for ground in ("primary", "contributing", "incognito", "bad")),
)
"""Which colour is read as text upon which."""

SEEN = (
    *(("outline", ground) for ground in ("surface", "background")),
    *((shape, "surface") for shape in ("primary", "contributing", "good", "bad", "personal", "shared")),
    *((shape, "background") for shape in ("primary", "contributing", "incognito")),
)
"""Which colour must be told from which as a shape."""


@cache
def rgba(colour: Colour, alpha: float = 1.0) -> tuple[float, float, float, float]:
    """Return red, green, blue and alpha from 0 to 1."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue, alpha


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast ratio of two colours, 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Colour) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in rgba(colour)[:3]]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def poor(palette: Palette) -> list[tuple[str, str, float]]:
    """Return the pairs of `READ` and `SEEN` that have less contrast than they need."""
    colours = {field.name: getattr(palette, field.name) for field in fields(palette)}
    least_of_text = HIGH_CONTRAST if palette in {LIGHT_CONTRAST, DARK_CONTRAST} else TEXT_CONTRAST
    needed = [(pair, least_of_text) for pair in READ] + [(pair, SHAPE_CONTRAST) for pair in SEEN]
    found = [(*pair, contrast(colours[pair[0]], colours[pair[1]]), least) for pair, least in needed]
    return [(one, other, ratio) for one, other, ratio, least in found if ratio < least]
