"""What several phones did together, at a glance."""

from collections.abc import Sequence
from typing import Any

from kivy.clock import Clock
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget

from keyboard_app.phone import Phone
from keyboard_app.status import Outcome, Status
from keyboard_app.ui.round_pages import outcome_colour, size_text
from keyboard_app.ui.theme import Palette, palette_of
from keyboard_app.ui.widgets import Card, Column, Curve, Scrolled, Text, fact, ground


class Dashboard(BoxLayout):
    """A card for each phone and one for all.

    Args:
        phones: whose cards these are; this listens to them.
    """

    def __init__(self, phones: Sequence[Phone], **options: Any) -> None:
        super().__init__(**options)
        self._phones = phones
        self._seen: object = None
        refresh_soon = Clock.create_trigger(lambda _: self.refresh())
        for phone in phones:
            phone.listen(refresh_soon)
        self.refresh()

    def refresh(self) -> None:
        """Show what changed."""
        seen = [phone.status() for phone in self._phones]
        if (seen, self._palette) == self._seen:
            return
        self._seen = seen, self._palette
        self.clear_widgets()
        self.canvas.before.clear()
        ground(self, self._palette.background)
        self.add_widget(Scrolled(Column(self._together(seen), *map(self._card, seen), space=12), self._palette))

    @property
    def _palette(self) -> Palette:
        return palette_of(self._phones[0].settings)

    def _together(self, seen: Sequence[Status]) -> Widget:
        palette = self._palette
        entries = [entry for status in seen for entry in status.rounds]
        joined = {entry.round_id for entry in entries if entry.outcome is Outcome.JOINED}
        sent = sum(entry.bytes_up for entry in entries)
        return Card(
            palette,
            fact(palette, "Rounds", str(len(joined))),
            fact(palette, "Phones that contribute", f"{sum(bool(status.consent) for status in seen)} of {len(seen)}"),
            fact(palette, "Sent by all", size_text(sent)),
            title="Learning together",
        )

    def _card(self, status: Status) -> Widget:
        palette = self._palette
        measured = [entry for entry in reversed(status.rounds) if entry.accuracy is not None]
        curve: list[Widget] = []
        if measured:
            values = [100 * entry.accuracy if entry.accuracy is not None else None for entry in measured]
            curve = [Curve(values, [outcome_colour(entry.outcome, palette) for entry in measured], palette)]
        version = next((str(model.version) for model in status.models if model.in_use), "")
        return Card(
            palette,
            Text(status.activity, palette.contributing if status.consent else palette.muted, size=14),
            fact(palette, "Shared model", version),
            fact(palette, "Rounds joined", str(sum(entry.outcome is Outcome.JOINED for entry in status.rounds))),
            *curve,
            title=status.profile,
        )
