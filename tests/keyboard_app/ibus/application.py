"""An application with one text field, as toolkits behave, and a phone without threads."""

from collections.abc import Callable, Sequence

from keyboard_app.editor.characters import character_before
from keyboard_app.editor.editor import After, Drafted, EditorState, FieldKind, Finished, Offer
from keyboard_app.ibus.field import Field, Told
from model.suggestions import Origin, Suggestion

SLOW = 10.0  # seconds between keys: two spaces make no full stop


class PurePhone:
    """`keyboard_app.ibus.field.Typed` over the editor alone.

    Args:
        words: returns what to suggest for the letters of a word, best first; the first corrects it if it ends with `!`.
    """

    def __init__(self, words: Callable[[str], Sequence[str]] = lambda _: ()) -> None:
        self.state = EditorState()
        self.slow = False  # the strip comes only when it is waited for
        self.learned: list[str] = []
        self.drafted = ""
        self._words = words
        self._now = 0.0
        self._ask()

    def type(self, characters: str, *, seconds: float = SLOW) -> None:
        self._now += seconds
        self._follow(self.state.type(characters, self._now))

    def backspace(self) -> None:
        self._follow(self.state.backspace())

    def accept(self, place: int) -> None:
        self._follow(self.state.accept(place))

    def await_strip(self) -> None:
        self._offer()

    def focus(self, field: FieldKind, context: str = "", following: str = "") -> None:
        self._follow(self.state.focus(field, context, following))

    def stands_between(self, context: str, following: str) -> None:
        self._follow(self.state.stands_between(context, following))

    def keep_as_typed(self) -> None:
        self._follow(After(self.state.kept_as_typed()))

    def keep_secret(self) -> None:
        self._follow(After(self.state.kept_secret(), (Drafted(""),)))

    def _follow(self, after: After) -> None:
        self.state = after.state
        for effect in after.effects:
            if isinstance(effect, Finished):
                self.learned.append(effect.text)
            if isinstance(effect, Drafted):
                self.drafted = effect.text
        self._ask()

    def _ask(self) -> None:
        if not self.slow:
            self._offer()

    def _offer(self) -> None:
        request = self.state.request
        if request is None:
            return
        found = [Suggestion(word.rstrip("!"), 0.5, Origin.SHARED) for word in self._words(request.typed)]
        first = next(iter(self._words(request.typed)), "")
        correction = found[0] if first.endswith("!") else None
        self.state = self.state.take(Offer(request, tuple(found), correction))


class Application:
    """A text field that a keyboard types into.

    Args:
        field: of the keyboard; without one every key is the application's.
        deletes: whether it lets the keyboard delete, and says what stands around the cursor.
        text: that it has already.
    """

    def __init__(self, field: Field | None, *, deletes: bool, text: str = "") -> None:
        self.field, self.deletes = field, deletes
        self.text, self.cursor, self.preedit = text, len(text), ""
        if field is not None:
            field.enter()
            field.can_delete(able=deletes)

    @property
    def shown(self) -> str:
        return self.text[: self.cursor] + self.preedit + self.text[self.cursor :]

    def key(self, character: str) -> None:
        self._told(self.field.character(character) if self.field else Told(handled=False), self.insert, character)

    def backspace(self) -> None:
        self._told(self.field.backspace() if self.field else Told(handled=False), self._delete)

    def choose(self, rank: int) -> None:
        assert self.field is not None
        self._told(self.field.choose(rank), lambda: None)

    def enter(self) -> None:
        self._told(self.field.finish() if self.field else Told(handled=False), self.insert, "\n")

    def move(self, steps: int) -> None:
        self._told(self.field.other() if self.field else Told(handled=False), self._move, steps)

    def paste(self, text: str) -> None:
        self._told(self.field.other() if self.field else Told(handled=False), self.insert, text)

    def accept(self, index: int) -> None:
        if self.field is not None and index < len(self.field.candidates):
            self._told(self.field.accept(self.field.candidates[index][0]), lambda: None)

    def click(self, at: int) -> None:
        """Click somewhere: toolkits commit the preedit, go there, and say that they were reset."""
        self.insert(self.preedit)
        self.preedit = ""
        self.cursor = min(at, len(self.text))
        if self.field is not None:
            self.field.was_reset()

    def tell(self) -> None:
        """Say what stands around the cursor."""
        if self.field is not None and self.deletes:
            self.field.stands_around(self.text[: self.cursor], self.text[self.cursor :])

    def insert(self, text: str) -> None:
        self.text = self.text[: self.cursor] + text + self.text[self.cursor :]
        self.cursor += len(text)

    def _told(self, told: Told, otherwise: Callable[..., None], *arguments: object) -> None:
        if told.delete:
            assert self.deletes
            self.text = self.text[: self.cursor - told.delete] + self.text[self.cursor :]
            self.cursor -= told.delete
        self.insert(told.commit)
        self.preedit = told.preedit
        if not told.handled:
            assert not self.preedit
            otherwise(*arguments)

    def _delete(self) -> None:
        start = character_before(self.text, self.cursor)
        self.text = self.text[:start] + self.text[self.cursor :]
        self.cursor = start
        if self.field is not None and self.deletes:
            self.field.was_reset()

    def _move(self, steps: int) -> None:
        self.cursor = max(0, min(self.cursor + steps, len(self.text)))
