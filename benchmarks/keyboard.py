"""What typing feels like: from a press to the changed pixel, beside a bare Kivy window with one button.

    uv run python -m benchmarks.keyboard EXPORT

EXPORT is a folder that `fedkey export` wrote. Needs Xvfb. Presses are those of an X server (XTEST) and the pixel is
read back from it, so that everything in between is in the figure: SDL, Kivy, our keyboard, software OpenGL. The
keyboard types English with suggestions after every key; training is the real training process, over and over.
`--presses 5 --blocks 1 --idle-seconds 1` is over in a minute.
"""

import argparse
import contextlib
import ctypes
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.arguments import real, whole
from benchmarks.results import Figure, write

SIZE = (412, 815)
PRESSES = 120
BLOCKS = 3
IDLE_SECONDS = 10.0
AIM_MS = 1000 / 60 + 20

_TEXT = "the quick brown fox jumps over the lazy dog and then we go home to see what there is for dinner "
_LONGEST_WAIT_SECONDS = 2.0
_HELD_SECONDS = 0.04
_COMPILER = ("libLLVM", "libz3")
_TRAINED = [f"we go home at {hour} and then there is dinner for all of us" for hour in range(200)]


def main() -> None:
    """Run both windows under one X server, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--presses", type=whole, default=PRESSES, help="At a time; fewer for a quick look.")
    parser.add_argument("--blocks", type=whole, default=BLOCKS, help="Times with training and without it, in turn.")
    parser.add_argument("--idle-seconds", type=real, default=IDLE_SECONDS)
    parser.add_argument("--part", choices=["bare", "keyboard"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        bare() if arguments.part == "bare" else keyboard(arguments.model)
        return
    with _x_server() as display:
        for part in ("bare", "keyboard"):
            with _child(display, part, arguments.model):
                pass  # compiles what Python compiles at the first start of anything
        with _child(display, "bare", arguments.model) as (child, ready):
            reference = ready | _measured(display, child, ready, arguments.presses, training=False) | _memory(child)
        with _child(display, "keyboard", arguments.model) as (child, ready):
            found = ready | {"idle_cpu_percent": _idle_cpu(child, arguments.idle_seconds)}
            off, on = [], []
            for _ in range(arguments.blocks):
                off.append(_measured(display, child, ready, arguments.presses, training=False))
                on.append(_measured(display, child, ready, arguments.presses, training=True))
            found |= _memory(child)
    still, busy = _together(off), _together(on)
    bare_ms = _together([reference])
    write(
        "keyboard",
        [
            Figure("press_to_pixel_p50_ms", still[0], "ms", "bare Kivy window", bare_ms[0]),
            Figure("press_to_pixel_p99_ms", still[1], "ms", "bare Kivy window", bare_ms[1]),
            Figure("press_to_pixel_frame_and_20_ms", still[0], "ms", "aim", AIM_MS),
            Figure("press_to_pixel_training_p50_ms", busy[0], "ms", "not training", still[0]),
            Figure("press_to_pixel_training_p99_ms", busy[1], "ms", "not training", still[1]),
            Figure("press_to_pixel_training_ratio", busy[0] / still[0], "x", "aim", 1.2),
            Figure("first_frame_s", found["first_frame_s"], "s", "bare Kivy window", reference["first_frame_s"]),
            Figure("rss_mb", found["rss_mb"], "MB", "bare Kivy window", reference["rss_mb"]),
            Figure("rss_aim_mb", found["rss_mb"], "MB", "aim", 200.0),
            Figure("rss_compiler_mb", found["compiler_mb"], "MB", "bare Kivy window", reference["compiler_mb"]),
            Figure(
                "rss_without_compiler_mb",
                found["rss_mb"] - found["compiler_mb"],
                "MB",
                "bare Kivy window",
                reference["rss_mb"] - reference["compiler_mb"],
            ),
            Figure("idle_cpu_percent", found["idle_cpu_percent"], "%", "aim", 3.0),
        ],
    )


def _together(parts: list[dict[str, Any]]) -> tuple[float, float]:
    """Return median and 99th percentile of all presses, in ms."""
    import numpy as np  # noqa: PLC0415 - not in the bare window, which has no use for it

    seconds = np.concatenate([part["seconds"] for part in parts])
    return 1e3 * float(np.percentile(seconds, 50)), 1e3 * float(np.percentile(seconds, 99))


# The windows, each in a process of its own.


def bare() -> None:
    """Show Kivy's own button in Kivy's own loop."""
    from kivy.config import Config  # noqa: PLC0415

    import keyboard_app.ui  # noqa: F401, PLC0415 - what Kivy may read

    for key, value in {"width": SIZE[0], "height": SIZE[1], "multisamples": 0}.items():
        Config.set("graphics", key, str(value))
    from kivy.base import EventLoop, runTouchApp  # noqa: PLC0415
    from kivy.clock import Clock  # noqa: PLC0415
    from kivy.core.window import Window  # noqa: PLC0415
    from kivy.uix.button import Button  # noqa: PLC0415

    _when_painted(Window, lambda: {"a": (SIZE[0] // 2, SIZE[1] // 2)})
    threading.Thread(target=_obey, args=({"end": lambda: Clock.schedule_once(lambda _: EventLoop.close())},)).start()
    runTouchApp(Button())


def keyboard(model: Path) -> None:
    """Show the keyboard with a model, and train when told to."""
    from dataclasses import replace  # noqa: PLC0415

    from keyboard_app.phone import Phone  # noqa: PLC0415
    from keyboard_app.profile import Profile  # noqa: PLC0415
    from keyboard_app.ui.app import Phones  # noqa: PLC0415
    from keyboard_app.ui.window import Frames, open_window  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        phone = Phone(Profile.named("benchmark", Path(folder)), model=model, at_once=False)
        phone.change(replace(phone.settings, consent=False))
        window = open_window(SIZE)
        root = Phones([phone])
        training = _Training(model)
        ended = threading.Event()

        def keys() -> dict[str, tuple[float, float]]:
            typing = root.views[0].typing
            assert typing is not None
            pad = typing.keypad
            return {letter: pad.cell(pad.find(letter)) for letter in sorted(set(_TEXT))}

        _when_painted(window, keys)
        orders = {"train": training.start, "rest": training.stop, "end": ended.set}
        threading.Thread(target=_obey, args=(orders,)).start()
        from kivy.base import EventLoop  # noqa: PLC0415

        frames = Frames(root, each=lambda: EventLoop.close() if ended.is_set() else None)
        frames.one()
        phone.begin()
        frames.until_closed()
        training.stop()
        phone.close()


class _Training:
    """The app's training process, over and over until it is stopped."""

    def __init__(self, model: Path) -> None:
        self._model = model
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        from federation.base import child_processes  # noqa: PLC0415
        from federation.protocol.conditions import Conditions  # noqa: PLC0415
        from federation.protocol.task import ComputeBudget, TrainingTask  # noqa: PLC0415
        from federation.protocol.training_settings import TrainingSettings  # noqa: PLC0415
        from keyboard_app import long_work  # noqa: PLC0415

        budget = ComputeBudget(steps=100_000, seconds=3600)
        task = TrainingTask(
            nonce=bytes(32),
            model_version=1,
            training=TrainingSettings(learning_rate=0.1, epochs=10_000, gradient_norm=1.0, dropout=0.25),
            budgets={"low": budget, "middle": budget, "high": budget},
            needed=Conditions(),
            separation_seconds=0,
        )
        with contextlib.suppress(child_processes.InterruptedWorkError):
            first = child_processes.run(self._stop.is_set, first_weights, self._model)
            child_processes.run(self._stop.is_set, long_work.train, self._model, first, task, _TRAINED, "middle")


def first_weights(model: Path) -> bytes:
    """Return the weights of an export, as rounds send them; in a process of its own, since a trainer is large."""
    from federation.protocol import model_codec  # noqa: PLC0415
    from model.engine import Export  # noqa: PLC0415

    return model_codec.to_bytes(Export.load(model).trainer().weights())


def _when_painted(window: Any, keys: Callable[[], dict[str, tuple[float, float]]]) -> None:
    """Say when the first frame was painted and, a little later, where the keys are, from the screen's top left."""
    import psutil  # noqa: PLC0415
    from kivy.clock import Clock  # noqa: PLC0415

    painted: list[float] = []

    def say(_: float) -> None:
        places = {name: (window.left + x, window.top + window.height - y) for name, (x, y) in keys().items()}
        _say({"first_frame_s": painted[0], "keys": places})

    def flipped(_: object) -> None:
        if not painted:
            painted.append(time.time() - psutil.Process().create_time())
            Clock.schedule_once(say, 1)

    window.bind(on_flip=flipped)


def _say(told: dict[str, Any]) -> None:
    print(json.dumps(told), flush=True)


def _obey(orders: dict[str, Callable[[], object]]) -> None:
    for line in sys.stdin:
        orders[line.strip()]()
        _say({"done": line.strip()})
        if line.strip() == "end":
            return


# The one who presses and looks.


@contextlib.contextmanager
def _x_server() -> Iterator[str]:
    """Run an X server; yield its name."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as told:
            yield f":{told.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


Child = subprocess.Popen[str]


@contextlib.contextmanager
def _child(display: str, part: str, model: Path) -> Iterator[tuple[Child, dict[str, Any]]]:
    """Run a window in a process of its own; yield it and what it says when it is painted."""
    command = [sys.executable, "-m", "benchmarks.keyboard", str(model), "--part", part]
    environment = {**os.environ, "DISPLAY": display, "SDL_VIDEODRIVER": "x11"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as child:
        try:
            yield child, _answer(child)
            _order(child, "end")
            child.wait(timeout=30)
        finally:
            child.kill()


def _answer(child: Child) -> dict[str, Any]:
    assert child.stdout is not None
    told: dict[str, Any] = json.loads(child.stdout.readline())
    return told


def _order(child: Child, order: str) -> None:
    assert child.stdin is not None
    child.stdin.write(order + "\n")
    child.stdin.flush()
    _answer(child)


def _measured(display: str, child: Child, ready: dict[str, Any], presses: int, *, training: bool) -> dict[str, Any]:
    """Press keys; return the seconds from each press to the changed pixel."""
    if training:
        _order(child, "train")
        time.sleep(5)  # until it trains
    finger = _Finger(display)
    moments = random.Random(1)
    letters = [letter for letter in _TEXT if letter in ready["keys"]] or ["a"]
    seconds = []
    for number in range(presses):
        x, y = ready["keys"][letters[number % len(letters)]]
        seconds.append(finger.press(round(x) - 9, round(y) + 14))
        time.sleep(moments.uniform(0.08, 0.12))
    finger.close()
    if training:
        _order(child, "rest")
    return {"seconds": seconds}


class _Finger:
    """Presses the mouse's button through the X server, and looks at one pixel."""

    def __init__(self, display: str) -> None:
        self._x, self._test = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXtst.so.6")
        for name in ("XOpenDisplay", "XGetImage"):
            getattr(self._x, name).restype = ctypes.c_void_p
        self._x.XDefaultRootWindow.restype = self._x.XGetPixel.restype = ctypes.c_ulong
        self._display = ctypes.c_void_p(self._x.XOpenDisplay(display.encode()))
        self._root = ctypes.c_ulong(self._x.XDefaultRootWindow(self._display))

    def press(self, x: int, y: int) -> float:
        """Press and release; return the seconds until the pixel had changed."""
        self._test.XTestFakeMotionEvent(self._display, -1, x, y, 0)
        self._x.XSync(self._display, 0)
        before = self._pixel(x, y)
        started = time.perf_counter()
        self._button(down=True)
        seconds = self._until(lambda: self._pixel(x, y) != before, started)
        time.sleep(_HELD_SECONDS)
        self._button(down=False)
        self._until(lambda: self._pixel(x, y) == before, time.perf_counter())
        return seconds

    def close(self) -> None:
        self._x.XCloseDisplay(self._display)

    def _button(self, *, down: bool) -> None:
        self._test.XTestFakeButtonEvent(self._display, 1, int(down), 0)
        self._x.XFlush(self._display)

    def _until(self, reached: Callable[[], bool], started: float) -> float:
        while not reached():
            if time.perf_counter() - started > _LONGEST_WAIT_SECONDS:
                raise RuntimeError("the pixel does not change: is something else on this X server?")
        return time.perf_counter() - started

    def _pixel(self, x: int, y: int) -> int:
        image = ctypes.c_void_p(self._x.XGetImage(self._display, self._root, x, y, 1, 1, ctypes.c_ulong(0xFFFFFFFF), 2))
        colour: int = self._x.XGetPixel(image, 0, 0)
        self._x.XDestroyImage(image)
        return colour


def _idle_cpu(child: Child, seconds: float) -> float:
    """Return the share of one core that a window takes while nothing happens, in %."""
    import psutil  # noqa: PLC0415

    process = psutil.Process(child.pid)
    time.sleep(2)
    process.cpu_percent()
    return float(process.cpu_percent(interval=seconds))


def _memory(child: Child) -> dict[str, float]:
    """Return what is resident of a window's process, in MB, and of it the compiler that software OpenGL runs on.

    Of the compiler, which a phone does not have, only pages of its own files count, not what it allocated.
    """
    import psutil  # noqa: PLC0415

    process = psutil.Process(child.pid)
    compiler = sum(part.rss for part in process.memory_maps() if Path(part.path).name.startswith(_COMPILER))
    return {"rss_mb": process.memory_info().rss / 1e6, "compiler_mb": compiler / 1e6}


if __name__ == "__main__":
    main()
