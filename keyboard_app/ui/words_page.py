"""The page of the owner's words: learned ones, added ones, short forms, files of words."""

from collections.abc import Callable
from pathlib import Path

from kivy.metrics import Metrics, dp, sp
from kivy.uix.widget import Widget

from keyboard_app.ui.entry_screen import Question
from keyboard_app.ui.screen import Screen
from keyboard_app.ui.widgets import LARGE, Card, Column, PushButton, Row, Text
from model.text import CLASSES, tokenise

_KINDS = {"plain": "Plain text", "gboard": "Gboard", "aosp": "AOSP"}


def words(view: Screen) -> list[Widget]:
    """Return what is known of the owner's words, and what can be done about it."""
    status = view.phone.status()
    cards: list[Widget] = [_learned(view), _shortcuts(view)]
    if status.never:
        cards.append(_never(view))
    return [*cards, _files(view), _all(view)]


def _learned(view: Screen) -> Card:
    palette, phone = view.palette, view.phone
    learned = phone.status().learned
    rows: list[Widget] = [
        _entry(
            Column(
                Text(shown, palette.on_surface, size=16, bold=True),
                Text(f"in {messages} messages" if messages > 2 else "in 2 messages, or added", palette.muted, size=12),
                space=0,
            ),
            _small("Forget", view.act(phone.forget, word), view, name=f"forget {word}"),
            _small("Never", view.act(phone.never_suggest, word), view, name=f"never {word}"),
        )
        for word, shown, messages in learned
    ]
    if not rows:
        learns = phone.settings.learns
        none = "None yet. A new word is learned once two messages had it." if learns else _LEARNS_NOTHING
        rows.append(Text(none, palette.muted))

    def add(word: str) -> str:
        tokens = tokenise(word)
        if len(tokens) != 1 or not tokens[0].is_word or tokens[0].symbol in CLASSES:
            return "Type one word: letters without spaces or marks."
        phone.add_word(word)
        view.show("words")
        return ""

    question = Question("Add a word", "It is suggested from now on, and never corrected.", "A word", add)
    rows.append(PushButton("Add a word", lambda: view.enter(question), palette, "primary"))
    return Card(palette, *rows, title=f"Learned words ({len(learned)})")


_LEARNS_NOTHING = "None. Learning is off, so nothing that you type is kept; words that you add yourself are."


def _shortcuts(view: Screen) -> Card:
    palette, phone = view.palette, view.phone
    rows: list[Widget] = [
        _entry(
            Column(
                Text(short, palette.on_surface, size=16, bold=True),
                Text(text, palette.muted, size=13, one_line=True),
                space=0,
            ),
            _small("Remove", view.act(phone.remove_shortcut, short), view, name=f"remove {short}"),
        )
        for short, text in sorted(phone.status().shortcuts.items())
    ]

    def name(short: str) -> str:
        tokens = tokenise(short)
        if len(tokens) != 1 or not tokens[0].is_word:
            return "Type one short form: letters without spaces or marks."
        view.enter(
            Question(f"“{short}” stands for", "Written in its place.", "Any text", lambda text: add(short, text))
        )
        return ""

    def add(short: str, text: str) -> str:
        if not text:
            return "Type what it stands for."
        phone.add_shortcut(short, text)
        view.show("words")
        return ""

    question = Question("New short form", "Typed as a word it offers the text.", "Such as omw", name)
    rows.append(PushButton("Add a short form", lambda: view.enter(question), palette))
    return Card(palette, *rows, title="Short forms")


def _never(view: Screen) -> Card:
    palette, phone = view.palette, view.phone
    rows = [
        Row(
            Text(word, palette.on_surface, size=16, pos_hint={"center_y": 0.5}),
            PushButton(
                "Allow again",
                view.act(phone.allow, word),
                palette,
                name=f"allow {word}",
                size_hint_x=None,
                width=sp(128),
            ),
        )
        for word in phone.status().never
    ]
    return Card(palette, *rows, title="Never suggested")


def _files(view: Screen) -> Card:
    palette, phone = view.palette, view.phone

    def export(kind: str) -> Callable[[], None]:
        return lambda: view.say_where("Written", lambda: phone.export_words(kind), "Your words are in {}.")

    def read(path: str) -> str:
        try:
            count = phone.import_words(Path(path).expanduser())
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}."
        except ValueError as error:
            return f"{path} cannot be used: {error}."
        view.show("words")
        view.ask("Words added", Text(f"{count} words and short forms were read.", palette.on_surface))
        return ""

    question = Question(
        "Add words of a file", "Plain text with a word a line, or a file of Gboard or AOSP.", "Where the file is", read
    )
    kinds = [PushButton(caption, export(kind), palette, size=13) for kind, caption in _KINDS.items()]
    return Card(
        palette,
        Text("Write your words and short forms into a file.", palette.muted, size=14),
        Row(*kinds, space=8),
        PushButton("Add words of a file", lambda: view.enter(question), palette),
        title="Files of words",
    )


def _all(view: Screen) -> Card:
    palette, phone = view.palette, view.phone
    messages, count = phone.status().logged
    wipe = view.confirm
    return Card(
        palette,
        Text(
            f"The encrypted log holds {counted(messages, 'message')} with {counted(count, 'word')}.", palette.on_surface
        ),
        PushButton(
            "Wipe everything learned",
            lambda: wipe(
                "Wipe everything learned?",
                "Your words, your phrases and the log are deleted from this phone. It cannot be undone.",
                "Wipe everything",
                phone.wipe,
            ),
            palette,
            "bad",
        ),
        title="All of it",
    )


def counted(number: int, thing: str) -> str:
    """Return a number with what it counts."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _entry(text: Widget, *buttons: Widget) -> Widget:
    """Return a text with its buttons beside it, or below where letters are large."""
    if Metrics.fontscale > LARGE:
        return Column(text, Row(*buttons, space=8), space=4)
    return Row(text, *buttons, space=8)


def _small(text: str, action: Callable[[], object], view: Screen, name: str) -> PushButton:
    return PushButton(text, action, view.palette, name=name, size_hint_x=None, width=max(dp(88), sp(88)))
