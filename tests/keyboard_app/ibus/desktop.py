"""A desktop of one's own: a screen in memory, a session bus, IBus with the installed keyboard, and applications."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"
PYTHON = "/usr/bin/python3"  # with Debian's toolkits
TITLE = "fedkey test"
SECONDS = 60.0
KEY_SECONDS = 0.2
"""Between two keys."""

WORD_SECONDS = 1.0
"""Before a word is ended: a prediction takes a few milliseconds, but on a busy machine the keyboard has to wait."""

Content = dict[str, str]


def until(holds: Callable[[], object], what: str | Callable[[], str], seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited in vain for {what if isinstance(what, str) else what()}"
        time.sleep(0.1)


@dataclass(frozen=True)
class Application:
    """A window with a field, a password field and a longer text, between which Tab goes.

    Attributes:
        desktop: that it is on.
        window: number of its window.
        content: returns what is in its fields.
    """

    desktop: "Desktop"
    window: str
    content: Callable[[], Content]

    def type(self, text: str) -> None:
        """Type as a person does."""
        names = {" ": "space", ".": "period", "'": "apostrophe"}
        for character in text:
            if not character.isalnum():
                time.sleep(WORD_SECONDS)
            self.press(names.get(character, character))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.desktop.run("xdotool", "key", key)
            time.sleep(KEY_SECONDS)

    def click(self, x: int, y: int) -> None:
        """Click at a point of the window."""
        self.desktop.run("xdotool", "mousemove", "--window", self.window, str(x), str(y), "click", "1")
        time.sleep(0.5)

    def has(self, name: str, text: str) -> None:
        """Wait until a field has a text."""
        until(lambda: self.content()[name] == text, lambda: f"{name} to be {text!r}: it is {self.content()[name]!r}")


@dataclass(frozen=True)
class Desktop:
    """See the module.

    Attributes:
        environment: of what runs on it.
        folder: of what it writes.
    """

    environment: Mapping[str, str]
    folder: Path

    def run(self, *command: str | Path) -> str:
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=SECONDS
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def running(self, *command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / f"{Path(command[0]).name}.log").open("ab") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextlib.contextmanager
    def application(self, toolkit: str) -> Iterator[Application]:
        """Open the test's window in GTK 3, GTK 4, Qt or Chromium, with the focus in its first field."""
        out = self.folder / f"{toolkit}.json"
        out.unlink(missing_ok=True)
        commands: Mapping[str, tuple[str | Path, ...]] = {
            "gtk3": (PYTHON, PROGRAMS / "gtk.py", "3.0", out),
            "gtk4": (PYTHON, PROGRAMS / "gtk.py", "4.0", out),
            "qt": (PYTHON, PROGRAMS / "qt.py", out),
            "chromium": (
                "chromium",
                "--no-sandbox",  # which root must leave out
                "--no-first-run",
                "--disable-gpu",
                "--disable-features=Translate",
                "--password-store=basic",
                f"--user-data-dir={self.folder / 'chromium'}",
                f"--app=file://{PROGRAMS / 'page.html'}",
            ),
        }
        with self.running(*commands[toolkit]):
            windows: list[str] = []

            def find() -> list[str]:
                windows[:] = self.windows(f"^{TITLE}")
                return windows

            until(find, "the window")
            window = windows[-1]

            def written() -> Content:
                content: Content = json.loads(out.read_text())
                return content

            def titled() -> Content:
                name = self.run("xdotool", "getwindowname", window).strip().removeprefix(TITLE).strip()
                content: Content = json.loads(name)
                return content

            content = titled if toolkit == "chromium" else written
            until(lambda: toolkit == "chromium" or out.exists(), "the application")
            time.sleep(2)
            self.run("xdotool", "windowfocus", window)
            time.sleep(1)
            yield Application(self, window, content)

    def windows(self, pattern: str, *, by: str = "name") -> list[str]:
        """Return the numbers of the windows that are seen, whose name or class fits."""
        done = subprocess.run(
            ["xdotool", "search", "--onlyvisible", f"--{by}", pattern],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.split()

    def fedkey(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "fedkey", *arguments)


@contextlib.contextmanager
def desktop(folder: Path) -> Iterator[Desktop]:
    """Start a screen and a session bus; `with_keyboard` adds IBus."""
    home = folder / "home"
    home.mkdir(parents=True)
    (folder / "run").mkdir(mode=0o700)
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("XDG_", "IBUS_", "DBUS_", "WAYLAND"))
        },
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "GTK_IM_MODULE": "ibus",
        "QT_IM_MODULE": "ibus",
        "XMODIFIERS": "@im=ibus",
        "GDK_BACKEND": "x11",
        "QT_QPA_PLATFORM": "xcb",
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "GSK_RENDERER": "cairo",
        "NO_AT_BRIDGE": "1",
        "GTK_A11Y": "none",
        "GSETTINGS_BACKEND": "memory",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    with contextlib.ExitStack() as stack:
        reader, writer = os.pipe()
        screen = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1000x700x24", "-nolisten", "tcp"],
            pass_fds=[writer],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(_end, screen)
        os.close(writer)
        with os.fdopen(reader) as number:
            environment["DISPLAY"] = f":{number.readline().strip()}"
        bus = subprocess.Popen(
            ["dbus-daemon", "--session", "--nofork", "--print-address"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(_end, bus)
        assert bus.stdout is not None
        environment["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
        stack.callback(bus.stdout.close)
        yield Desktop(environment, folder)


@contextlib.contextmanager
def with_keyboard(made: Desktop, *options: str) -> Iterator[Desktop]:
    """Install the keyboard with `fedkey ibus install`, start IBus, and take it into use."""
    made.fedkey("ibus", "install", *options)
    variable = Path(made.environment["HOME"]) / ".config/environment.d/60-fedkey-ibus.conf"
    name, path = variable.read_text().splitlines()[-1].split("=")
    here = Desktop({**made.environment, name: path}, made.folder)
    daemon = (
        "ibus-daemon",
        "--xim",
        "--panel=/usr/libexec/ibus-ui-gtk3",
        "--emoji-extension=disable",
        "--config=disable",
    )
    with here.running(*daemon):
        until(lambda: _in_use(here), "IBus to take the keyboard into use")
        yield here


def _in_use(here: Desktop) -> bool:
    """Ask for the keyboard, which says that it failed whenever the keyboard is not there at once, and look again."""
    for command in (["ibus", "engine", "fedkey"], ["ibus", "engine"]):
        done = subprocess.run(
            command, env=here.environment, capture_output=True, text=True, check=False, timeout=SECONDS
        )
    return done.stdout.strip() == "fedkey"


def _end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(60)
