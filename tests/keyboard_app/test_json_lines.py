import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyboard_app.json_lines import MAX_CHARACTERS, JsonLines, RequestError, _parsed
from keyboard_app.profile import Profile
from keyboard_app.settings import Settings
from model.engine import Export
from tests.keyboard_app.conftest import AGREED, Open

DOCUMENT = (Path(__file__).parents[2] / "docs/suggest.md").read_text()


@pytest.fixture
def lines(open_phone: Open) -> JsonLines:
    return JsonLines(open_phone())


def ask(lines: JsonLines, **request: Any) -> dict[str, Any]:
    """Ask as another process does, and read what it would read."""
    (answer,) = lines.answers([json.dumps(request) + "\n"])
    assert "\n" not in answer
    found: dict[str, Any] = json.loads(answer)
    return found


def test_a_context_comes_in_and_a_strip_goes_out(lines: JsonLines) -> None:
    answer = ask(lines, do="suggest", before="see you ", typed="tomorow")
    assert answer["correction"]["text"] == "tomorrow"
    assert answer["strip"][0]["text"] == "tomorrow"
    assert len(answer["strip"]) <= 3
    for suggestion in answer["strip"]:
        assert suggestion["origin"] in {"shared", "personal", "correction"}
        assert 0 < suggestion["probability"] <= 1
    assert ask(lines, do="suggest", before="", typed="")["correction"] is None


def test_an_id_comes_back(lines: JsonLines) -> None:
    for value in (7, "a", None, [1]):
        assert ask(lines, id=value, do="status")["id"] == value
        assert ask(lines, id=value, do="nothing")["id"] == value
    assert "id" not in ask(lines, do="status")


def test_messages_are_learned_suggested_and_forgotten(lines: JsonLines) -> None:
    for _ in range(3):
        assert ask(lines, do="learn", text="meet me at the quayside") == {"learned": True}
    assert ask(lines, do="status")["messages"] == 3
    answer = ask(lines, do="suggest", before="meet me at the ", typed="quay")
    assert ("quayside", "personal") in [(each["text"], each["origin"]) for each in answer["strip"]]
    assert ask(lines, do="forget", word="quayside") == {"done": True}
    assert ask(lines, do="status")["messages"] == 0
    answer = ask(lines, do="suggest", before="meet me at the ", typed="quay")
    assert "quayside" not in [each["text"] for each in answer["strip"]]


def test_nothing_is_learned_without_consent_or_incognito(open_phone: Open) -> None:
    lines = JsonLines(open_phone(Settings()))
    assert ask(lines, do="status")["consent"] is None
    assert ask(lines, do="learn", text="a secret")["learned"] is False
    ask(lines, do="consent", agree=True)
    ask(lines, do="incognito", on=True)
    assert "incognito" in ask(lines, do="learn", text="a secret")["because"]
    ask(lines, do="incognito", on=False)
    assert ask(lines, do="learn", text="  ")["learned"] is False
    assert ask(lines, do="status")["messages"] == 0
    assert ask(lines, do="learn", text="no secret") == {"learned": True}
    assert ask(lines, do="status")["messages"] == 1
    ask(lines, do="consent", agree=False)
    assert ask(lines, do="learn", text="a secret")["learned"] is False


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("no JSON", "one JSON object"),
        ("[1, 2]", "one JSON object"),
        ("[" * 50_000, "one JSON object"),
        ("{}", '"do" must be one of suggest, learn'),
        ('{"do": 3}', '"do" must be one of'),
        ('{"do": "suggest"}', '"before" must be text'),
        ('{"do": "suggest", "before": "", "typed": 1}', '"typed" must be text'),
        ('{"do": "learn", "text": ["a"]}', '"text" must be text'),
        ('{"do": "consent", "agree": 1}', '"agree" must be true or false'),
        ('{"do": "learn", "text": "' + "a" * MAX_CHARACTERS + '"}', "at most 100000 characters"),
    ],
)
def test_what_is_no_request_is_said_so(lines: JsonLines, line: str, why: str) -> None:
    assert why in lines.answer(line)["error"]
    assert ask(lines, do="status")["messages"] == 0


def test_half_a_character_does_no_harm(lines: JsonLines) -> None:
    assert ask(lines, do="learn", text="see you \ud800 then") == {"learned": True}
    assert "strip" in ask(lines, do="suggest", before="\udfff", typed="\ud800a")


@given(st.text())
def test_any_line_is_a_request_or_refused(line: str) -> None:
    try:
        assert isinstance(_parsed(line), dict)
    except RequestError as error:
        assert "JSON object" in str(error)  # noqa: PT017 - a request is well, too


def test_the_document_names_what_can_be_asked_for(lines: JsonLines) -> None:
    assert set(re.findall(r'"do": "(\w+)"', DOCUMENT)) == set(lines._does)
    for member in ask(lines, do="status"):
        assert f"`{member}`" in DOCUMENT


def test_the_command_answers_until_its_input_ends(profile: Profile, exported: Export) -> None:
    profile.keep(AGREED)
    command = [sys.executable, "-m", "fedkey", "suggest", "--model", exported.directory, "--profile", profile.name]
    requests = [
        {"do": "suggest", "before": "hello ", "typed": "th"},
        {"do": "learn", "text": "naïve café"},
        {"do": "status"},
    ]
    done = subprocess.run(
        [*command, "--profiles", profile.folder.parent],
        input="".join(json.dumps(request, ensure_ascii=False) + "\n\n" for request in requests),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    strip, learned, status = map(json.loads, done.stdout.splitlines())
    assert strip["strip"]
    assert learned == {"learned": True}
    assert (status["messages"], status["profile"]) == (1, profile.name)


def test_a_profile_that_is_in_use_is_left_alone(profile: Profile, exported: Export) -> None:
    command = [sys.executable, "-m", "fedkey", "suggest", "--model", exported.directory, "--profile", profile.name]
    with profile.held():
        done = subprocess.run(
            [*command, "--profiles", profile.folder.parent], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert "is in use: close the keyboard that has it" in done.stderr
    assert "Traceback" not in done.stderr
