"""A real window under an X server, typed into as by a keyboard, and the pictures of a whole demonstration."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from fedkey.cli import main
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.settings import Settings

pytestmark = pytest.mark.slow  # needs OpenGL

COMMAND = [sys.executable, "-m", "fedkey", "keyboard"]


@pytest.fixture
def display() -> Iterator[dict[str, str]]:
    """Return the environment of an X server of our own."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x1024x24", "-nolisten", "tcp"], pass_fds=[writing]
    )
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.readline().strip()
    yield {**os.environ, "DISPLAY": f":{number}", "SDL_VIDEODRIVER": "x11"}
    server.terminate()
    server.wait()


@pytest.fixture
def do(display: dict[str, str]) -> Callable[..., object]:
    """Return what xdotool does there."""
    return lambda *arguments: subprocess.run(
        ["xdotool", *arguments], env=display, check=True, timeout=120, stdout=subprocess.DEVNULL
    )


def logged(model: Path, profiles: Path) -> list[str]:
    """Return what Ada's phone has learned from."""
    phone = Phone(Profile.named("ada", profiles), model=model)
    try:
        assert phone.settle()
        return [message["text"] for message in json.loads(phone.export_data().read_text())["messages"]]
    finally:
        phone.close()


def test_a_window_is_typed_into_and_what_was_typed_is_kept(
    display: dict[str, str], do: Callable[..., object], model: Path, tmp_path: Path
) -> None:
    Profile.named("ada", tmp_path).keep(Settings(consent=True))
    command = [*COMMAND, "--model", str(model), "--profiles", str(tmp_path), "--profile", "ada"]
    window = subprocess.Popen(command, env=display)

    do("search", "--sync", "--onlyvisible", "--pid", str(window.pid), "windowfocus")
    do("type", "--delay", "100", "Thank you, my friend")
    do("key", "Return")
    do("type", "--delay", "100", "ab")
    do("key", "BackSpace")
    do("key", "Return")
    window.terminate()
    assert window.wait(timeout=120) == 0
    assert logged(model, tmp_path) == ["Thank you, my friend", "a"]


def test_text_is_selected_with_keys_and_a_mouse_and_goes_through_the_clipboard(
    display: dict[str, str], do: Callable[..., object], model: Path, tmp_path: Path
) -> None:
    Profile.named("ada", tmp_path).keep(Settings(consent=True))
    code = f"""
from pathlib import Path
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.ui.app import run

phone = Phone(Profile.named("ada", Path({str(tmp_path)!r})), model=Path({str(model)!r}), at_once=False)
run([phone])
print(*phone.session.sent, sep="|")
"""
    window = subprocess.Popen([sys.executable, "-c", code], env=display, stdout=subprocess.PIPE, text=True)

    def click(x: int, y: int, times: int) -> None:
        do("mousemove", "--window", found, str(x), str(y), "click", "--repeat", str(times), "--delay", "60", "1")

    search = ["xdotool", "search", "--sync", "--onlyvisible", "--pid", str(window.pid)]
    found = subprocess.run(search, env=display, check=True, timeout=120, capture_output=True, text=True).stdout.split()[
        0
    ]
    do("windowfocus", found)
    do("type", "--delay", "100", "see you today my friend")
    do("key", "--delay", "100", "ctrl+shift+Left", "BackSpace", "ctrl+Left", "shift+End", "ctrl+x", "Home")
    do("type", "--delay", "100", "the ")
    do("key", "--delay", "100", "ctrl+a", "ctrl+c", "End", "ctrl+v", "Return")
    do("type", "--delay", "100", "how are you")
    click(82, 481, times=2)  # "are", on the field's only line just above the strip and the keys
    do("type", "--delay", "100", "2")
    space, aside = (("mousemove", "--window", found, str(x), "783") for x in (206, 165))
    pause = ("sleep", "0.2")
    do(
        *space, "mousedown", "1", *pause, *aside, *pause, "mouseup", "1", *pause
    )  # four steps to the left, of which the first is none
    do("type", "--delay", "100", "x")
    do("key", "Return")
    window.terminate()
    told, _ = window.communicate(timeout=120)
    assert window.returncode == 0
    assert told.rstrip("\n").split("|") == ["the see you today the see you today ", "hoxw 2 you"]
    assert logged(model, tmp_path) == ["hoxw 2 you"], "what was pasted is not learned"


@pytest.mark.timeout(900)
def test_three_phones_and_a_server_make_pictures_of_every_screen(model: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--model", str(model), "--screenshot", str(tmp_path / "pictures")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pictures = list((tmp_path / "pictures").glob("*.png"))
    assert len(pictures) == 2 * (3 * 14 + 3)  # in three sizes; and sheets of screens, of phones together, of keys
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert len({picture.read_bytes() for picture in pictures}) == len(pictures), "no two pictures are alike"


def test_without_a_display_there_is_one_clear_sentence(model: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}
    command = [*COMMAND, "--model", str(model), "--profiles", str(tmp_path)]
    done = subprocess.run(
        command, env={**environment, "SDL_VIDEODRIVER": "x11"}, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert "no window can be opened" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_cannot_be_opened_is_said_in_a_sentence(model: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "small.jsonl"
    corpus.write_text('{"user": "u1", "text": "hello there"}\n')
    options = ["keyboard", "--model", str(model), "--profiles", str(tmp_path)]
    refused = CliRunner().invoke(main, [*options, "--profile", "a/b"])
    assert refused.exit_code == 1
    assert "cannot name a profile" in refused.output
    refused = CliRunner().invoke(main, [*options, "--corpus", str(corpus), "--corpus-user", "u2"])
    assert refused.exit_code == 2
    assert "has no user 'u2'" in refused.output
