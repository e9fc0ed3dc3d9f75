"""What several phones did together, at a glance."""

from collections.abc import Callable, Sequence
from typing import Any

from kivy.clock import Clock
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget

from keyboard_app.phone import Phone
from keyboard_app.status import Outcome, Status
from keyboard_app.ui.charts import Curve
from keyboard_app.ui.round_pages import outcome_colour, size_text
from keyboard_app.ui.theme import Palette, palette_of
from keyboard_app.ui.widgets import Card, Column, Scrolled, Text, fact, ground

_GUIDE_SECONDS = 1.0


class Dashboard(BoxLayout):
    """A card for each phone and one for all.

    Args:
        phones: whose cards these are; this listens to them.
        guide: says what to do next, in a card of its own; looked at every second.
    """

    def __init__(self, phones: Sequence[Phone], guide: Callable[[], str] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._phones, self._guide = phones, guide
        self._seen: object = None
        refresh_soon = Clock.create_trigger(lambda _: self.refresh())
        for phone in phones:
            phone.listen(refresh_soon)
        if guide is not None:
            Clock.schedule_interval(lambda _: self.refresh(), _GUIDE_SECONDS)
        self.refresh()

    def refresh(self) -> None:
        """Show what changed."""
        seen = [phone.status() for phone in self._phones]
        told = self._guide() if self._guide else ""
        if (seen, told, self._palette) == self._seen:
            return
        self._seen = seen, told, self._palette
        self.clear_widgets()
        self.canvas.before.clear()
        ground(self, self._palette.background)
        guide = (
            [Card(self._palette, Text(told, self._palette.on_surface, size=15), title="What to do now")] if told else []
        )
        self.add_widget(Scrolled(Column(*guide, self._together(seen), *map(self._card, seen), space=12), self._palette))

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
