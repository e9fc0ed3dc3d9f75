"""The first minute on a new phone: what there is to try on the keyboard, one thing after the other."""

from collections.abc import Callable
from typing import NamedTuple

from keyboard_app.editor.editor import EditorState


class Step(NamedTuple):
    """Something to try.

    Attributes:
        text: what to do and what comes of it.
        tried: whether a state of the keyboard shows that it was done.
        predicts: whether it needs a model that predicts, with suggestions and autocorrection on.
    """

    text: str
    tried: Callable[[EditorState], bool]
    predicts: bool = True


STEPS = (
    Step(
        "Write a few letters. The strip above the keys offers words, the likeliest in the middle: tap one.",
        lambda state: state.strip_space or state.phantom_space,
    ),
    Step(
        "Mistype a word, and a space: it is corrected where the keyboard is sure. One backspace takes that back, "
        "and the word stays as you typed it from then on.",
        lambda state: bool(state.kept),
    ),
    Step("Slide over the letters of a word without lifting the finger: it is written whole.", lambda s: bool(s.glided)),
    Step(
        "Touch Incognito above before you write what nothing should remember; Leave ends it.",
        lambda state: state.incognito,
        predicts=False,
    ),
    Step(
        "That is all. The menu has your words, the keys and what leaves this phone, if anything.",
        lambda _: False,
        predicts=False,
    ),
)


class FirstMinute:
    """Where somebody is in the first minute.

    Args:
        predicts: whether this phone suggests and corrects; otherwise there is nothing of that to try.
    """

    def __init__(self, *, predicts: bool) -> None:
        self._steps = [step for step in STEPS if predicts or not step.predicts]
        self._at = 0

    @property
    def text(self) -> str:
        """What to try now, and how much there is of it; nothing once it is over."""
        if self._at >= len(self._steps):
            return ""
        return f"{self._at + 1} of {len(self._steps)}: {self._steps[self._at].text}"

    @property
    def is_last(self) -> bool:
        """Whether nothing comes after this."""
        return self._at >= len(self._steps) - 1

    def next(self) -> None:
        """Go on, tried or not."""
        self._at += 1

    def follow(self, state: EditorState) -> None:
        """Go on if a state of the keyboard shows that it was tried."""
        if self._at < len(self._steps) and self._steps[self._at].tried(state):
            self.next()
