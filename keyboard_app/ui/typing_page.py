"""The card with what one chooses about typing itself."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from keyboard_app.ui.screen import Screen
from keyboard_app.ui.widgets import Card, PushButton, Row, SwitchRow, Text
from model.suggestions import Autocorrection

_STRENGTHS = {
    Autocorrection.OFF: "Off",
    Autocorrection.CAUTIOUS: "Cautious",
    Autocorrection.EAGER: "Eager",
}


def typing_card(view: Screen) -> Card:
    """Return the card: autocorrection, suggestions, and learning for this phone alone."""
    palette, phone = view.palette, view.phone
    settings = phone.settings

    def change(**chosen: Any) -> Callable[[], None]:
        return view.act(lambda: phone.change(replace(phone.settings, **chosen)))

    strengths = [
        PushButton(
            caption,
            change(autocorrection=strength.value),
            palette,
            "primary" if settings.autocorrection == strength.value else "",
            size=13,
        )
        for strength, caption in _STRENGTHS.items()
    ]
    return Card(
        palette,
        Text("Autocorrection", palette.on_surface, size=15),
        Row(*strengths, space=8),
        SwitchRow("Suggestions", lambda on: change(suggestions=on)(), palette, active=settings.suggestions),
        SwitchRow(
            "Learn on this phone",
            lambda on: view.act(phone.learn_here if on else lambda: phone.agree(consent=False))(),
            palette,
            active=settings.learns,
            detail="Your words and habits, kept here; nothing leaves unless you contribute",
        ),
        title="Typing",
    )
