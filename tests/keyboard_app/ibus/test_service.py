"""The keyboard by IBus's own protocol: what fields are for, and the panel's menu."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from keyboard_app.ibus.engine import CONSENT, INCOGNITO
from tests.keyboard_app.ibus.conftest import Typing
from tests.keyboard_app.ibus.desktop import PROGRAMS, PYTHON, until

pytestmark = pytest.mark.slow  # needs a screen and IBus

PASSWORD, PIN, TERMINAL, URL, NAME, PRIVATE = 8, 9, 10, 5, 7, 2048
OFF, ON = 0, 1


class Client:
    """An application that is told what to do."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, *command: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def type(self, text: str) -> dict[str, Any]:
        return self("type", text, 0.1)


@pytest.fixture
def client(typing: Typing) -> Iterator[Client]:
    address = typing.desktop.run("ibus", "address").strip()
    environment = {**typing.desktop.environment, "IBUS_ADDRESS": address}
    process = subprocess.Popen(
        [PYTHON, PROGRAMS / "client.py"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield Client(process)
    process.communicate(timeout=60)


def test_a_word_is_preedit_and_has_candidates(client: Client) -> None:
    client("begin", "test")
    found = client.type("hel")
    assert found["preedit"] == "hel"
    assert "hello" in found["candidates"]
    found = client.type("o there")
    assert found["preedit"] == "hello there"  # a correction can be taken back, and this application deletes nothing
    assert client.type(" ")["committed"] == "hello there"
    client("leave")


@pytest.mark.parametrize(
    ("purpose", "hints"), [(PASSWORD, 0), (PIN, 0), (TERMINAL, 0), (URL, 0), (0, PRIVATE), (NAME, PRIVATE)]
)
def test_fields_that_are_nobodys_business_are_left_alone(
    typing: Typing, client: Client, purpose: int, hints: int
) -> None:
    client("begin", "test")
    client("content", purpose, hints)
    found = client.type("hel vorpalt ")
    assert found["handled"] is False
    assert found["committed"] == "hel vorpalt "
    assert found["preedit"] == ""
    assert found["candidates"] == []
    client("key", "Return")
    client("content", 0, 0)
    assert client.type("hel")["preedit"] == "hel"
    client("leave")
    assert "vorpalt" not in " ".join(typing.learned())


def test_a_field_that_turns_into_a_password_shows_nothing_more(client: Client) -> None:
    client("begin", "test")
    assert client.type("hel")["candidates"]
    found = client("content", PASSWORD, 0)
    assert (found["committed"], found["preedit"], found["candidates"]) == ("hel", "", [])
    client("leave")


def test_applications_that_cannot_say_what_a_field_is_for_are_left_alone(client: Client) -> None:
    client("begin", "xim")
    found = client.type("hel")
    assert (found["committed"], found["preedit"], found["candidates"]) == ("hel", "", [])
    client("leave")


def test_names_are_typed_and_not_learned(typing: Typing, client: Client) -> None:
    client("begin", "test")
    client("content", NAME, 0)
    assert client.type("grobnak")["preedit"] == "grobnak"
    client("key", "Return")
    client("leave")
    assert "grobnak" not in " ".join(typing.learned())


def said(typing: Typing, client: Client, text: str) -> Sequence[str]:
    """Type a message and send it; return the last of what was learned."""
    client("begin", "test")
    client.type(text)
    client("key", "Return")
    client("leave")
    return typing.learned()[-1:]


def test_the_menu_turns_incognito_and_learning_on_and_off(typing: Typing, client: Client) -> None:
    until(lambda: said(typing, client, "nothing much") == ["nothing much"], lambda: f"learning: {typing.learned()}", 20)
    client("begin", "test")
    found = client("property", INCOGNITO, ON)
    assert found["properties"] == {CONSENT: ON, INCOGNITO: ON, "leaves": OFF, "settings": OFF}
    assert said(typing, client, "snozzle one") == ["nothing much"]
    client("begin", "test")
    client("property", INCOGNITO, OFF)
    found = client("property", CONSENT, OFF)
    assert found["properties"][CONSENT] == OFF
    assert said(typing, client, "snozzle two") == ["nothing much"]
    client("begin", "test")
    client("property", CONSENT, ON)
    until(lambda: said(typing, client, "what are you doing") == ["what are you doing"], "learning", 20)
    assert "snozzle" not in " ".join(typing.learned())


def test_a_profile_has_one_keyboard(typing: Typing) -> None:
    folder, name = str(typing.profile.folder.parent), typing.profile.name
    with pytest.raises(AssertionError, match="is in use: close the keyboard that has it"):
        typing.desktop.fedkey("keyboard", "--profile", name, "--profiles", folder)


def opened(typing: Typing) -> Sequence[str]:
    """Return the application's windows; it has the class of Python's program, and a name that xdotool does not read."""
    return typing.desktop.windows("^python3", by="class")


@pytest.mark.parametrize("page", ["leaves", "settings"])
def test_the_menu_opens_the_applications_screens(typing: Typing, client: Client, page: str) -> None:
    client("begin", "test")
    assert client.type("hel")["preedit"] == "hel"
    found = client("property", page, OFF)
    assert (found["committed"], found["candidates"]) == ("hel", [])
    until(lambda: opened(typing), "the application's window")
    assert client.type("hel")["handled"] is False, "the profile is the application's"
    process = typing.desktop.run("xdotool", "getwindowpid", opened(typing)[-1])
    os.kill(int(process), signal.SIGTERM)  # without a window manager there is nothing to close it by
    client("leave")
    client("begin", "test")
    until(lambda: client.type("hello ")["preedit"], "the keyboard")
    client("leave")
