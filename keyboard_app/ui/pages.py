"""The pages: each is built from what the phone says at the moment."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from kivy.metrics import dp
from kivy.uix.widget import Widget

from keyboard_app.editor.editor import FieldKind
from keyboard_app.ui import keyboard_page, round_pages, words_page
from keyboard_app.ui.charts import Bars, Meter
from keyboard_app.ui.entry_screen import Question
from keyboard_app.ui.screen import Screen
from keyboard_app.ui.typing_page import typing_card
from keyboard_app.ui.widgets import Card, Column, PushButton, Row, SwitchRow, Text, Touchable, fact, ground

_CONSENT = {
    "What is learned": """
        Words and phrases that you type in ordinary fields. They are kept encrypted on this phone, expire, and can be
        read, forgotten one by one, or wiped. Password and no-learning fields and incognito are never learned from.
        """,
    "What leaves this phone": """
        Now and then a list of numbers: how your typing would change the shared model, how often it has each word
        sequence of a list that comes with the app, or which words of another such list you use. It is cut to a fixed
        size and masked, so that the server can read only the sum over many phones. You can look at the beginning of
        each list.
        """,
    "What does not leave": """
        Your messages, your words, your learned words, and your unmasked numbers. Nobody can ask this phone for them.
        """,
}
_LIMITS = (4.0, 8.0, 16.0, math.inf)


class Page(NamedTuple):
    """A page.

    Attributes:
        title: on its bar.
        widgets: makes its content, from top to bottom.
        detail: a line about it in the menu; nothing keeps it off the menu.
    """

    title: str
    widgets: Callable[[Screen], list[Widget]]
    detail: str = ""


def build(name: str, view: Screen) -> Column:
    """Return a page by its name."""
    return Column(*PAGES[name].widgets(view), space=12)


def _consent(view: Screen) -> list[Widget]:
    palette, phone = view.palette, view.phone
    cards: list[Widget] = [
        Card(palette, Text(" ".join(detail.split()), palette.on_surface), title=title)
        for title, detail in _CONSENT.items()
    ]
    if trust := phone.status().trust:
        cards.append(Card(palette, Text(trust, palette.on_surface), title="Whom this protects you from"))

    def answer(choose: Callable[..., None], **chosen: bool) -> Callable[[], None]:
        def answered() -> None:
            first = phone.settings.consent is None
            choose(**chosen)
            (view.start_typing if first else view.go("typing"))()

        return answered

    status = phone.status()
    note = "This is off until you turn it on, and one touch turns it off again. The keyboard works the same either way."
    if status.consent:
        note = "This is on: you agreed. One touch turns it off again. The keyboard works the same either way."
    elif not status.server:
        note = "This phone has no round server to take part with, so nothing can leave it. It can learn for itself."
    yes = PushButton("Yes, take part", answer(phone.agree, consent=True), palette, "contributing")
    here = PushButton("Learn on this phone only", answer(phone.learn_here), palette)
    no = PushButton("No, keep it off", answer(phone.agree, consent=False), palette)
    answers = [here, no] if not status.server else [yes, here, no]
    return [*cards, Text(note, palette.muted, size=14), Column(*answers, space=8)]


def _menu(view: Screen) -> list[Widget]:
    return [
        Column(
            *(_entry(view, name, page) for name, page in PAGES.items() if page.detail),
            space=8,
        )
    ]


def _entry(view: Screen, name: str, page: Page) -> Widget:
    palette = view.palette
    entry = Touchable(view.go(name), size_hint_y=None, padding=(dp(16), dp(8)))
    entry.name = f"open {name}"
    ground(entry, palette.surface, radius=14, border=palette.divider)
    words = Column(
        Text(page.title, palette.on_surface, size=16, bold=True), Text(page.detail, palette.muted, size=13), space=3
    )
    words.bind(height=lambda _, height: setattr(entry, "height", height + dp(18)))
    entry.add_widget(words)
    return entry


def _conditions(view: Screen) -> list[Widget]:
    palette, status = view.palette, view.phone.status()
    rows = []
    for condition in status.conditions:
        colour = palette.good if condition.holds else palette.bad
        mark = Text("yes" if condition.holds else "no", colour, size=15, bold=True, size_hint_x=None, width=dp(40))
        words = Column(
            Text(condition.name, palette.on_surface, size=15, bold=True),
            Text(condition.detail, palette.muted, size=13),
            space=1,
        )
        rows.append(Row(mark, words))
    missing = [condition.detail for condition in status.conditions if not condition.holds]
    why = "; ".join(detail[:1].lower() + detail[1:] for detail in missing)
    verdict = f"Not now: {why}." if missing else "All conditions hold."
    return [
        Card(palette, Text(status.activity, palette.on_surface), title=verdict),
        Card(palette, *rows, title="Every one of these must hold"),
        Text(
            "Training runs in a process of its own with the lowest priority and stops the moment you type.",
            palette.muted,
            size=13,
        ),
    ]


def _keystrokes(view: Screen) -> list[Widget]:
    palette, saved = view.palette, view.phone.status().keystrokes
    most = max((characters for _, characters, _ in saved.days), default=0)
    shares = [max(0.0, 1 - spent / characters) if characters else 0.0 for _, characters, spent in saved.days]
    highest = max([*shares, 0.01])
    bars = [(day[0], share / highest) for day, share in zip(saved.days, shares, strict=True)]
    return [
        Card(
            palette,
            Text(f"{100 * saved.saved:.0f}\u00a0%", palette.primary, size=40, bold=True),
            Text(
                f"{saved.characters - saved.spent} of {saved.characters} key presses saved this week"
                if most
                else "Nothing was sent this week yet.",
                palette.muted,
            ),
            title="Keystrokes saved",
        ),
        Card(palette, Bars(bars, palette), title="Day by day"),
    ]


_UNBOUNDED = "There is no share to show: the limit or what was spent has no bound."


def _budget(view: Screen) -> list[Widget]:
    palette, budget = view.palette, view.phone.status().budget
    most = view.phone.settings.epsilon_limit
    share = budget.spent / most if 0 < most < math.inf else 0.0
    colour = palette.bad if share > 0.8 else palette.contributing
    limit = f"{most:.3g}" if most < math.inf else "no limit"
    bounded = budget.spent < math.inf and 0 < most < math.inf
    meter = Meter(share, colour, palette) if bounded else Text(_UNBOUNDED, palette.muted, size=14)
    spent = f"{budget.spent:.3g}" if budget.spent < math.inf else "no bound: rounds without noise"
    return [
        Card(
            palette,
            meter,
            fact(palette, "Epsilon spent", spent),
            fact(palette, "Limit", limit),
            fact(palette, "At delta", f"{budget.delta:.0e}"),
            fact(palette, "Rounds joined", f"{budget.participations} of at most {budget.max_participations}"),
            title="Privacy budget",
        ),
        Text(
            "Epsilon bounds how much anyone could tell from the shared model about you having taken part; smaller is "
            "better. This phone counts for itself and refuses a round that would go over the limit.",
            palette.muted,
            size=14,
        ),
    ]


def _data(view: Screen) -> list[Widget]:
    palette, phone = view.palette, view.phone
    messages, words = phone.status().logged

    def export() -> None:
        view.say_where("Exported", phone.export_data, "Your data is in {}. It is not encrypted: keep it safe.")

    return [
        Card(
            palette,
            fact(palette, "Messages in the log", str(messages)),
            fact(palette, "Words in them", str(words)),
            fact(palette, "Learned words", str(len(phone.status().learned))),
            fact(palette, "Rounds on the timeline", str(len(phone.status().rounds))),
            title="What this phone keeps",
        ),
        Card(
            palette,
            Text("A readable copy of everything, in a file that only you can read.", palette.muted, size=14),
            PushButton("Export my data", export, palette, "primary"),
            title="Export",
        ),
        _moving(view),
        Card(
            palette,
            Text("Log, learned words, timeline, settings, and this phone's identity.", palette.muted, size=14),
            PushButton(
                "Delete my data",
                lambda: view.confirm(
                    "Delete all your data?",
                    "Everything that this phone keeps of you is deleted, and it no longer takes part. "
                    "It cannot be undone.",
                    "Delete everything",
                    phone.delete_everything,
                ),
                palette,
                "bad",
            ),
            title="Delete",
        ),
    ]


def _moving(view: Screen) -> Widget:
    palette, phone = view.palette, view.phone

    def write(passphrase: str) -> str:
        try:
            path = phone.write_copy(passphrase)
        except (OSError, ValueError) as error:
            return f"Nothing was written: {error}."
        view.show("data")
        view.ask("Written", Text(f"Bring {path} to the new phone, and remember the passphrase.", palette.on_surface))
        return ""

    def read(path: str) -> str:
        view.enter(
            Question(
                "Passphrase",
                "That of the phone that wrote it.",
                "Passphrase",
                lambda said: take(path, said),
                secret=True,
            )
        )
        return ""

    def take(path: str, passphrase: str) -> str:
        try:
            phone.read_copy(Path(path).expanduser(), passphrase)
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}."
        except ValueError as error:
            return f"{str(error)[:1].upper()}{str(error)[1:]}."
        view.show("words")
        return ""

    choose = Question("Passphrase", "It opens the copy. Nobody can help without it.", "", write, secret=True)
    find = Question("Copy of another phone", "Where is the file?", "Such as ~/fedkey.copy", read)
    return Card(
        palette,
        Text("Words, messages and settings, sealed with a passphrase. Rounds and their budget stay.", palette.muted),
        PushButton("Write a copy for a new phone", lambda: view.enter(choose), palette),
        PushButton("Read the copy of an old phone", lambda: view.enter(find), palette),
        title="Move to a new phone",
    )


def _settings(view: Screen) -> list[Widget]:
    palette, phone = view.palette, view.phone
    settings, status = phone.settings, phone.status()

    def change(name: str) -> Callable[[object], None]:
        def changed(value: object) -> None:
            chosen: dict[str, Any] = {name: value}
            view.act(phone.change, replace(phone.settings, **chosen))()

        return changed

    simulated = [
        SwitchRow(text, change(name), palette, active=getattr(settings, name))
        for name, text in (("charging", "Charging"), ("idle", "Idle"), ("unmetered", "On a network that costs nothing"))
    ]
    limits = [
        PushButton(
            "No limit" if limit == math.inf else f"{limit:g}",
            view.act(phone.change, replace(settings, epsilon_limit=limit)),
            palette,
            "primary" if settings.epsilon_limit == limit else "",
        )
        for limit in _LIMITS
    ]
    return [
        typing_card(view),
        Card(
            palette,
            SwitchRow(
                "Contribute to the shared model",
                lambda on: view.show("consent") if on else view.act(phone.agree, consent=False)(),
                palette,
                active=bool(status.consent),
                detail="What is learned and what leaves is said before you agree",
                colour=palette.contributing,
            ),
            SwitchRow(
                "Incognito",
                lambda on: view.act(phone.go_incognito, on=on)(),
                palette,
                active=phone.session.state.incognito,
                detail="Nothing is learned while this is on",
            ),
            title="Privacy",
        ),
        Card(
            palette,
            Text("Rounds stop when this much epsilon is spent.", palette.muted, size=13),
            Row(*limits, space=8),
            title="Privacy budget",
        ),
        round_pages.limits(view),
        Card(
            palette,
            Text("A desktop has no battery to ask: these stand in for a phone's own answers.", palette.muted, size=13),
            *simulated,
            title="Simulated phone",
        ),
        Card(
            palette,
            Text("What the field above the keys is taken for.", palette.muted, size=13),
            Row(*(_kind(view, kind) for kind in FieldKind), space=8),
            title="Field",
        ),
    ]


def _kind(view: Screen, kind: FieldKind) -> Widget:
    session = view.phone.session
    role = "primary" if session.state.field is kind else ""
    return PushButton(kind.value.capitalize(), view.act(session.focus, kind), view.palette, role, size=13)


PAGES: Mapping[str, Page] = {
    "consent": Page("Learn together?", _consent),
    "menu": Page("Privacy and learning", _menu),
    "leaves": Page(
        "What leaves this phone", round_pages.leaves, "Your update beside what the server got, for every round"
    ),
    "rounds": Page("Rounds", round_pages.rounds, "Joined, dropped and refused, and why; accuracy from round to round"),
    "words": Page("Learned words", words_page.words, "Review, add, forget, short forms, files of words, wipe"),
    "keyboard": Page("Keyboard and look", keyboard_page.keyboard, "Layout, keys for one hand, colours, letters"),
    "conditions": Page("Why not training now", _conditions, "What must hold before this phone trains"),
    "models": Page("Old and new model", round_pages.models, "Compared on your own text; roll back"),
    "budget": Page("Privacy budget", _budget, "What was spent, and the limit"),
    "keystrokes": Page("Keystrokes saved", _keystrokes, "This week"),
    "data": Page("My data", _data, "Export it, move it to a new phone, delete it"),
    "settings": Page("Settings", _settings, "Autocorrection, learning, incognito, limits, simulated switches"),
}
"""By name."""
