"""The application: one phone in a window, or several beside each other with a dashboard."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from kivy.clock import Clock
from kivy.metrics import dp
from kivy.uix.boxlayout import BoxLayout

from keyboard_app.phone import Phone
from keyboard_app.self_typing import SelfTyping
from keyboard_app.ui.dashboard import Dashboard
from keyboard_app.ui.edit_bar import Clipboard, SystemClipboard
from keyboard_app.ui.phone_view import PhoneView
from keyboard_app.ui.typing_screen import TypingScreen
from keyboard_app.ui.window import Frames, deliver_touches, open_window

PHONE_SIZE = (412, 815)
"""Of a window with one phone, in pixels."""

_KEY_SECONDS = 0.12  # between the keys of a phone that types by itself
_SEVERAL_PHONE, _DASHBOARD, _HEIGHT = 372, 340, 780

_BACKSPACE, _RETURN, _ENTER, _ESCAPE, _DELETE = 8, 13, 271, 27, 127
_UP, _DOWN, _RIGHT, _LEFT, _HOME, _END = 273, 274, 275, 276, 278, 279
_NO_LETTERS = frozenset({"ctrl", "alt", "meta"})


class Phones(BoxLayout):
    """All phones of the window; a physical keyboard types on the one that was touched last.

    Args:
        phones: to show.
        clipboard: that they share; by default the device's.
        guide: says what to do next, for the dashboard.
    """

    def __init__(
        self, phones: Sequence[Phone], clipboard: Clipboard | None = None, guide: Callable[[], str] | None = None
    ) -> None:
        super().__init__(spacing=dp(8) if len(phones) > 1 else 0)
        clipboard = clipboard or SystemClipboard()
        self.views = [PhoneView(phone, clipboard) for phone in phones]
        self.active = self.views[0]
        for view in self.views:
            self.add_widget(view)
        if len(phones) > 1:
            self.dashboard = Dashboard(phones, guide, size_hint_x=None, width=dp(_DASHBOARD))
            self.add_widget(self.dashboard)

    def on_touch_down(self, touch: Any) -> bool:
        """Remember which phone was touched."""
        self.active = next((view for view in self.views if view.collide_point(*touch.pos)), self.active)
        handled: bool = super().on_touch_down(touch)
        return handled

    def listen(self, window: Any) -> None:
        """Type what a physical keyboard says."""
        window.bind(on_key_down=self._key, on_textinput=self._text)

    def _text(self, _: object, text: str) -> None:
        deliver_touches()
        writes = self.active.entry or self.active.typing
        if writes is not None:
            writes.type(text)

    def _key(self, _: object, key: int, __: int, ___: str | None, modifiers: Sequence[str]) -> bool:
        deliver_touches()
        typing = self.active.typing
        if key == _ESCAPE:
            if typing is None or not typing.back():
                self.active.back()
            return True
        entry = self.active.entry
        if entry is not None and key in {_BACKSPACE, _RETURN, _ENTER}:
            (entry.backspace if key == _BACKSPACE else entry.finish)()
            return True
        if typing is None:
            return False
        do = self._keys(typing, control=not _NO_LETTERS.isdisjoint(modifiers), shift="shift" in modifiers).get(key)
        if do is None:
            return False
        do()
        self.active.refresh()
        return True

    def _keys(self, typing: TypingScreen, *, control: bool, shift: bool) -> Mapping[int, Callable[[], object]]:
        """Return what the keys do that type nothing."""
        session, field, edits = self.active.phone.session, typing.field, typing.edits
        ends = (0, len(session.state.text)) if control else field.line_ends
        enter = partial(session.type, "\n") if shift else session.send
        keys: dict[int, Callable[[], object]] = {
            _LEFT: partial(session.move, -1, words=control, selecting=shift),
            _RIGHT: partial(session.move, 1, words=control, selecting=shift),
            _UP: lambda: session.place(field.beside(-1), selecting=shift),
            _DOWN: lambda: session.place(field.beside(1), selecting=shift),
            _HOME: partial(session.place, ends[0], selecting=shift),
            _END: partial(session.place, ends[1], selecting=shift),
            _BACKSPACE: session.delete_word if control else typing.backspace,
            _DELETE: session.delete,
            _RETURN: enter,
            _ENTER: enter,
        }
        letters: dict[str, Callable[[], object]] = {
            "a": edits.select_all,
            "c": edits.copy,
            "x": edits.cut,
            "v": edits.paste,
            "z": session.redo if shift else session.undo,
            "y": session.redo,
        }
        return keys | ({ord(letter): do for letter, do in letters.items()} if control else {})


def run(
    phones: Sequence[Phone],
    messages: Sequence[str] = (),
    *,
    page: str | None = None,
    guide: Callable[[], str] | None = None,
) -> None:
    """Show phones until the window is closed, then close them.

    Args:
        phones: one or several.
        messages: that the first one types by itself.
        page: that the first one begins with.
        guide: says what to do next, where there are several.

    Raises:
        WindowError: there is no display.
    """
    try:
        window = open_window(PHONE_SIZE if len(phones) == 1 else several_size(len(phones)))
        root = Phones(phones, guide=guide)
        root.listen(window)
        if page is not None and phones[0].settings.consent is not None:
            root.views[0].show(page)
        if messages:
            _type_by_itself(root.views[0], messages)
        frames = Frames(root)
        frames.one()  # before the phones take the interpreter to read their models
        for phone in phones:
            phone.begin()
        frames.until_closed()
    finally:
        for phone in phones:
            phone.close()


def several_size(count: int) -> tuple[int, int]:
    """Return the size of a window with several phones and their dashboard."""
    return count * (_SEVERAL_PHONE + 8) + _DASHBOARD, _HEIGHT


def _type_by_itself(view: PhoneView, messages: Sequence[str]) -> None:
    typing = SelfTyping(view.phone, messages)

    def one(_: float) -> bool:
        if view.typing is None:
            return True
        more = typing.step()
        view.refresh()
        return more

    Clock.schedule_interval(one, _KEY_SECONDS)
