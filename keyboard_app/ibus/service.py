"""The process that IBus starts: one phone, and an engine for every input context."""

import contextlib
import itertools
import sys
from collections.abc import Callable, Sequence
from typing import Any

from keyboard_app.ibus.bindings import IBusError, load
from keyboard_app.ibus.component import ENGINE, NAME
from keyboard_app.ibus.engine import Engine
from keyboard_app.phone import Phone

IBus, GLib = load()


_SWITCH_SECONDS = 0.0005
"""How long the thread that predicts keeps the interpreter from the one that answers a key; a tenth of the usual."""


class Service:
    """The keyboard on a bus, until IBus ends.

    While one of the application's screens is open, the phone is there: two processes do not share one.

    Args:
        open_phone: opens the phone, and closes it again.
        screens: command that opens the application; the name of a page follows it.

    Raises:
        IBusError: IBus does not run.
    """

    def __init__(
        self, open_phone: Callable[[], contextlib.AbstractContextManager[Phone]], screens: Sequence[str]
    ) -> None:
        self._open_phone, self._screens = open_phone, screens
        sys.setswitchinterval(_SWITCH_SECONDS)
        IBus.init()
        self._bus = IBus.Bus()
        if not self._bus.is_connected():
            raise IBusError("IBus does not run here: start it with `ibus-daemon -drx`")
        self._loop = GLib.MainLoop()
        self._bus.connect("disconnected", lambda _: self._loop.quit())
        self._engines: list[Engine] = []
        self._numbers = itertools.count(1)
        self._phone: Phone | None = None
        self._held = contextlib.ExitStack()
        self._take_back()
        self._factory = IBus.Factory.new(self._bus.get_connection())
        self._factory.connect("create-engine", self._create)

    def run(self, *, started_by_ibus: bool) -> None:
        """Serve until IBus ends.

        Args:
            started_by_ibus: it knows the component; otherwise it is told, and the keyboard taken into use.
        """
        if started_by_ibus:
            self._bus.request_name(NAME, 0)
        else:
            component = IBus.Component.new(NAME, "fedkey", "0.1.0", "", "", "", "", "fedkey")
            component.add_engine(IBus.EngineDesc.new(ENGINE, ENGINE, ENGINE, "en", "", "", "", "default"))
            self._bus.register_component(component)
            self._bus.set_global_engine_async(ENGINE, -1, None, None)
        try:
            self._loop.run()
        finally:
            self._held.close()

    def stop(self) -> None:
        """End, from a signal's handler."""
        self._loop.quit()

    def _create(self, _: Any, __: str) -> Engine:
        path = f"/org/fedkey/IBus/Engine/{next(self._numbers)}"
        engine = Engine(self._bus.get_connection(), path, lambda: self._phone, self._open_page)
        self._engines.append(engine)
        engine.connect("destroy", self._engines.remove)  # with its input context
        return engine

    def _changed(self) -> None:
        """Called in any thread."""
        GLib.idle_add(self._refresh)

    def _refresh(self) -> bool:
        for engine in self._engines:
            engine.refresh()
        return bool(GLib.SOURCE_REMOVE)

    def _open_page(self, name: str) -> None:
        """Give the phone to the application until its window is closed."""
        if self._phone is None:
            return
        for engine in self._engines:
            engine.leave()
        self._phone = None
        self._held.close()
        flags = GLib.SpawnFlags.DO_NOT_REAP_CHILD | GLib.SpawnFlags.SEARCH_PATH
        process, *_ = GLib.spawn_async([*self._screens, name], flags=flags)
        GLib.child_watch_add(GLib.PRIORITY_DEFAULT, process, lambda *_: self._take_back())

    def _take_back(self) -> None:
        self._phone = self._held.enter_context(self._open_phone())
        self._phone.listen(self._changed)
