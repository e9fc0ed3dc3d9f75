"""Typing by itself, for demonstrations: a key at a time, and a word from the strip as soon as it is there."""

from collections.abc import Callable, Sequence

from keyboard_app.phone import Phone


class SelfTyping:
    """Somebody's messages, typed on a phone and sent.

    Args:
        phone: that is typed on.
        messages: in order.
    """

    def __init__(self, phone: Phone, messages: Sequence[str]) -> None:
        self._phone = phone
        self._messages = list(messages)
        self._rest = ""

    def step(self) -> bool:
        """Press one key; return whether there is more to type."""
        session = self._phone.session
        if self._rest:
            word = session.state.composing + self._rest.split(" ", maxsplit=1)[0]
            left = len(word) - len(session.state.composing)
            offered = [slot.text if slot else "" for slot in session.state.slots]
            if left > 1 and word in offered:
                session.accept(offered.index(word))
                self._rest = self._rest[left:].removeprefix(" ")
            else:
                session.type(self._rest[0])
                self._rest = self._rest[1:]
        elif session.state.text:
            session.send()
        elif self._messages:
            self._rest = self._messages.pop(0).strip()
        return bool(self._rest or session.state.text or self._messages)

    def all(self, look: Callable[[], object] = lambda: None) -> None:
        """Type everything, each key after the model said what it thinks, and after `look` looked at that."""
        while self.step():
            self._phone.settle()
            look()
        self._phone.settle()
