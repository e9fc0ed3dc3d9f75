"""The page with what one chooses about the keys and how everything looks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kivy.metrics import Metrics
from kivy.uix.widget import Widget

from keyboard_app.ui.screen import Screen
from keyboard_app.ui.widgets import LARGE, Card, PushButton, Row, SwitchRow, Text
from model.languages import layouts

_NAMES = {"qwerty": "QWERTY", "qwertz": "QWERTZ", "azerty": "AZERTY"}
_HEIGHTS = {0.85: "Low", 1.0: "Usual", 1.25: "High"}
_SCALES = {1.0: "Usual", 1.2: "Large", 1.45: "Largest"}
_HANDS = {"left": "Left", "": "Both", "right": "Right"}
_IN_A_ROW = 3


def keyboard(view: Screen) -> list[Widget]:
    """Return the page."""
    palette, settings = view.palette, view.phone.settings

    def change(name: str) -> Callable[[object], None]:
        def changed(value: object) -> None:
            chosen: dict[str, Any] = {name: value}
            view.act(view.phone.change, replace(view.phone.settings, **chosen))()

        return changed

    names = {name: _NAMES.get(name, name.capitalize()) for name in layouts()}
    return [
        Card(
            palette,
            *_choices(view, "layout", {"": "Language's own"} | names),
            Text("A key changes to this one and back:", palette.muted, size=14),
            *_choices(view, "second_layout", {"": "None"} | names, "second "),
            title="Layout",
        ),
        Card(
            palette,
            SwitchRow("Number row", change("number_row"), palette, active=settings.number_row),
            Text("Keys for one hand", palette.on_surface, size=15),
            *_choices(view, "one_handed", _HANDS, "hand "),
            Text("Height of the keys", palette.on_surface, size=15),
            *_choices(view, "key_height", _HEIGHTS, "height "),
            title="Keys",
        ),
        Card(
            palette,
            SwitchRow(
                "Dark theme",
                lambda on: change("theme")("dark" if on else "light"),
                palette,
                active=settings.theme == "dark",
            ),
            SwitchRow("High contrast", change("contrast"), palette, active=settings.contrast),
            Text("Size of letters", palette.on_surface, size=15),
            *_choices(view, "text_scale", _SCALES, "letters "),
            title="Look",
        ),
    ]


def _choices(view: Screen, name: str, captions: Mapping[Any, str], prefix: str = "") -> Sequence[Row]:
    """Return buttons of which one is chosen, three in a row; `prefix` tells those with one caption apart."""
    phone = view.phone
    chosen = getattr(phone.settings, name)
    buttons: list[Widget] = [
        PushButton(
            caption,
            view.act(lambda value=value: phone.change(replace(phone.settings, **{name: value}))),
            view.palette,
            "primary" if chosen == value else "",
            size=13,
            name=prefix + caption,
        )
        for value, caption in captions.items()
    ]
    beside = _IN_A_ROW - (Metrics.fontscale > LARGE)
    buttons += [Widget() for _ in range(-len(buttons) % beside)]
    return [Row(*buttons[start : start + beside], space=8) for start in range(0, len(buttons), beside)]
