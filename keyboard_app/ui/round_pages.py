"""The pages about rounds: what left the phone in each, how they went, and the models that came of them."""

import time
from collections.abc import Sequence
from dataclasses import replace

from kivy.metrics import dp
from kivy.uix.widget import Widget

from keyboard_app.settings import NO_LIMIT
from keyboard_app.status import ModelEntry, Outcome, RoundEntry
from keyboard_app.ui.charts import Curve, Meter, Picture
from keyboard_app.ui.pictures import masked_picture, update_picture
from keyboard_app.ui.screen import Screen
from keyboard_app.ui.theme import Colour, Palette
from keyboard_app.ui.widgets import Card, Column, PushButton, Row, Text, fact

_ROUNDS_PER_MESSAGE = (1, 3, 10, 100)
_ROUNDS_PER_WEEK = (1, 7, 30, NO_LIMIT)


def leaves(view: Screen) -> list[Widget]:
    """Return, for every round that something left in, what it was; newest first."""
    palette = view.palette
    joined = [entry for entry in view.phone.status().rounds if entry.masked.size]
    trust = view.phone.status().trust
    whom = [Card(palette, Text(trust, palette.on_surface), title="Whom this protects you from")] if trust else []
    if not joined:
        nothing = "Nothing has left this phone yet. After its first round you see here what the server got."
        return [Card(palette, Text(nothing, palette.on_surface), title="Nothing"), *whom]
    return [*whom, *(_left(entry, palette) for entry in joined)]


def _left(entry: RoundEntry, palette: Palette) -> Widget:
    yours, told = "Your update", ""
    if entry.counted is not None:
        yours, (found, length) = "Your counts", entry.counted
        told = (
            f"Of {length:,} word sequences, a list that came with the app, {found:,} were in your messages. How often "
            "each was is masked: only the sum over the phones of the round can be read."
        )
    elif entry.voted is not None:
        yours, (found, length) = "Your votes", entry.voted
        told = (
            f"Of {length:,} words that the shared model lacks, a list that came with the app, this phone voted for the "
            f"{found:,} that are in most of your messages. Which ones is masked: only the sum over the phones of the "
            "round can be read."
        )
    said = [Text(told, palette.on_surface, size=14)] if told else []
    pictures = Row(
        _titled(Picture(update_picture(entry.update)), yours, "stays here", palette),
        _titled(Picture(masked_picture(entry.masked)), "What left", "masked", palette),
        space=14,
    )
    return Card(
        palette,
        pictures,
        *said,
        fact(
            palette,
            "Privacy spent",
            "no bound: no noise was added" if entry.epsilon is None else f"{entry.epsilon:.2f}",
        ),
        fact(palette, "Sent", size_text(entry.bytes_up)),
        fact(palette, "Received", size_text(entry.bytes_down)),
        fact(palette, "Phones in the sum", str(entry.phones) if entry.phones else "not known"),
        title=f"Round {entry.round_id}, {_when(entry)}",
    )


def _titled(picture: Picture, title: str, detail: str, palette: Palette) -> Column:
    return Column(
        Text(title, palette.on_surface, size=15, bold=True, one_line=True),
        Text(detail, palette.muted, size=13, one_line=True),
        picture,
        space=4,
    )


def rounds(view: Screen) -> list[Widget]:
    """Return the accuracy from round to round, and what became of each, newest first."""
    palette, entries = view.palette, view.phone.status().rounds
    if not entries:
        return [Card(palette, Text("This phone has not been asked to a round yet.", palette.on_surface), title="None")]
    forward = entries[::-1]
    values = [None if entry.accuracy is None else 100 * entry.accuracy for entry in forward]
    colours = [outcome_colour(entry.outcome, palette) for entry in forward]
    joined = sum(entry.outcome is Outcome.JOINED for entry in entries)
    cards: list[Widget] = [
        Card(
            palette,
            Curve(values, colours, palette),
            Text("Right word first, on your own recent text", palette.muted, size=13),
            title=f"{joined} of {len(entries)} rounds joined",
        )
    ]
    return [*cards, Card(palette, *(_entry(entry, palette) for entry in entries), title="Every round")]


def models(view: Screen) -> list[Widget]:
    """Return every version of the shared weights and counts: how it did on the owner's text, and a way to it."""
    palette, phone = view.palette, view.phone
    cards: list[Widget] = []
    for model in phone.status().models:
        if model.top1 is None or model.top3 is None:
            measured = [Text("Not enough of your own recent text to compare yet.", palette.muted, size=14)]
        else:
            measured = [
                fact(palette, "Right word first", f"{100 * model.top1:.1f}\u00a0%"),
                Meter(model.top1, palette.primary, palette),
                fact(palette, "Among three", f"{100 * model.top3:.1f}\u00a0%"),
                Meter(model.top3, palette.primary, palette),
                Text(f"on {model.words} words of your own recent text, which stay here", palette.muted, size=13),
            ]
        use = (
            Text("In use", palette.good, size=15, bold=True)
            if model.in_use
            else PushButton("Use this one", view.act(phone.use_model, model.version, model.kind), palette, "primary")
        )
        cards.append(Card(palette, *measured, use, title=_model_title(model)))
    return cards or [Text("There is only the model that this phone came with.", palette.muted)]


def _model_title(model: ModelEntry) -> str:
    if model.kind == "model":
        return f"Shared model {model.version}"
    return f"Counted by all phones, version {model.version}" if model.version else "Nothing counted since the app came"


def _entry(entry: RoundEntry, palette: Palette) -> Widget:
    colour = outcome_colour(entry.outcome, palette)
    return Row(
        Text(entry.outcome.value, colour, size=14, bold=True, size_hint_x=None, width=dp(72)),
        Column(
            Text(f"Round {entry.round_id}, {_when(entry)}", palette.on_surface, size=15, bold=True),
            Text(entry.reason, palette.muted, size=13),
            space=1,
        ),
    )


def limits(view: Screen) -> Widget:
    """Return the owner's own limits of taking part."""
    palette, settings = view.palette, view.phone.settings

    def choices(name: str, numbers: Sequence[int]) -> Row:
        return Row(
            *(
                PushButton(
                    "As the app says" if number == NO_LIMIT else f"{number}",
                    view.act(view.phone.change, replace(settings, **{name: number})),  # type: ignore[arg-type]
                    palette,
                    "primary" if getattr(settings, name) == number else "",
                )
                for number in numbers
            ),
            space=8,
        )

    return Card(
        palette,
        Text("A message is learned from in this many rounds at most.", palette.muted, size=13),
        choices("max_rounds_per_message", _ROUNDS_PER_MESSAGE),
        Text("This phone sends something in this many rounds a week at most.", palette.muted, size=13),
        choices("max_rounds_per_week", _ROUNDS_PER_WEEK),
        title="Rounds",
    )


def outcome_colour(outcome: Outcome, palette: Palette) -> Colour:
    """Return the colour of a round's dot."""
    return {Outcome.JOINED: palette.good, Outcome.DROPPED: palette.personal, Outcome.REFUSED: palette.bad}[outcome]


def size_text(size_bytes: int) -> str:
    """Return a number of bytes as people say it."""
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= size:
            return f"{size_bytes / size:.1f} {unit}"
    return f"{size_bytes} bytes"


def _when(entry: RoundEntry) -> str:
    return time.strftime("%d %b %H:%M", time.localtime(entry.at))
