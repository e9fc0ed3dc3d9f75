"""Chromium without a window, driven over its debugging pipe: pages are loaded, keys pressed, buttons clicked."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LONGEST_SECONDS = 120


class Page:
    """The one page of a browser.

    Args:
        read, write: Ends of the pipe.
    """

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write, self._number, self._left = os.fdopen(read, "rb", 0), write, 0, b""
        self.complaints: list[str] = []
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """Do what the DevTools protocol calls by this name; return the result."""
        told = self._answer(method, params)
        assert "error" not in told, told
        return told["result"]

    def _answer(self, method: str, params: dict[str, Any]) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        os.write(self._write, json.dumps(message | ({"sessionId": self._session} if self._session else {})).encode())
        os.write(self._write, b"\0")
        while True:
            told = self._next()
            if told.get("method") == "Log.entryAdded":
                self.complaints.append(told["params"]["entry"]["text"])
            if told.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(told["params"]["exceptionDetails"]["text"])
            if told.get("id") == self._number:
                return told

    def _next(self) -> Any:
        while b"\0" not in self._left:
            data = self._read.read(1 << 16)
            assert data, "Chromium has ended"
            self._left += data
        message, _, self._left = self._left.partition(b"\0")
        return json.loads(message)

    def value(self, expression: str) -> Any:
        """Return what JavaScript gives, by value; nothing while a page is on its way."""
        told = self._answer("Runtime.evaluate", {"expression": expression, "returnByValue": True})
        return told.get("result", {}).get("result", {}).get("value")

    def until(self, expression: str) -> None:
        """Wait until JavaScript gives something true."""
        ends = time.monotonic() + LONGEST_SECONDS
        while not self.value(expression):
            assert time.monotonic() < ends, f"{expression} does not come true: {self.value('document.body.innerText')}"
            time.sleep(0.1)

    def show(
        self, address: str, *, width: int = 1200, dark: bool = False, loaded: str = "document.body?.dataset.drawn"
    ) -> None:
        """Load a page, and wait until its charts are drawn, or for what `loaded` says."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=address)
        self.until(loaded)

    def click(self, selector: str) -> None:
        """Press and let go of the mouse's button over the middle of an element."""
        place = f"document.querySelector({json.dumps(selector)})"
        self.until(f"{place} !== null")
        self.value(f"{place}.scrollIntoView({{block: 'center'}})")
        box = (
            f"(({{left, top, width, height}}) => [left + width / 2, top + height / 2])({place}.getBoundingClientRect())"
        )
        x, y = self.value(box)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press_enter_on(self, selector: str) -> None:
        """Move the focus to an element and press Enter."""
        place = f"document.querySelector({json.dumps(selector)})"
        self.until(f"{place} !== null")
        self.value(f"{place}.focus()")
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13
            )

    def picture(self, path: Path) -> None:
        """Keep what it shows, all of its height."""
        told = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(told["data"]))


@contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    """Start a browser whose profile is in a folder.

    Raises:
        FileNotFoundError: it is not installed.
    """
    program = shutil.which("chromium")
    if program is None:
        raise FileNotFoundError("this test needs Chromium: apt-get install chromium")
    commands, own_write = os.pipe()
    own_read, answers = os.pipe()
    # Chromium reads from descriptor 3 and writes to 4.
    shell = ["bash", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "bash", program]
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        [*shell, *options], pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(commands)
    os.close(answers)
    try:
        yield Page(own_read, own_write)
    finally:
        process.terminate()
        process.wait(30)
        os.close(own_write)
