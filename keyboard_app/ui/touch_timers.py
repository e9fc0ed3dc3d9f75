"""Timers of fingers that stay where they are: long presses and repeats."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from kivy.clock import Clock


class _Held(Protocol):
    timer: Any


_Holder = TypeVar("_Holder", bound=_Held)


def if_it_stays(finger: _Holder, seconds: float, do: Callable[[_Holder], object]) -> None:
    """Do something once a finger was where it is for so long, unless its timer is cancelled.

    After a frame that came late the finger may be gone already without the widget having heard of it: a short tap would
    become a long press. So what is due waits for the input of its frame, which the clock runs before.
    """

    def due(_: float) -> None:
        finger.timer = Clock.schedule_once(lambda _: do(finger), -1)

    finger.timer = Clock.schedule_once(due, seconds)
