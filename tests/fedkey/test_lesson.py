"""What the demonstration of three phones tells its viewer, and that the phrase arrives when nobody touches anything."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fedkey import demonstration, lesson
from fedkey.lesson import OWN, PHRASE, TIMES, Lesson
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from model import public_start
from model.engine import Export
from model.export import export
from tests.keyboard_app.conftest import checkpoint as checkpoint  # noqa: PLC0414
from tests.keyboard_app.conftest import exported as exported  # noqa: PLC0414 - a fixture

NAMES = demonstration.NAMES[:3]


@pytest.fixture
def phones(tmp_path: Path, exported: Export) -> Iterator[list[Phone]]:
    opened = []
    for name in NAMES:
        profile = Profile.named(name, tmp_path)
        profile.keep(lesson.settings(3))
        opened.append(Phone(profile, model=exported.directory))
    yield opened
    for phone in opened:
        phone.close()


def send(phone: Phone, text: str) -> None:
    phone.session.type(text)
    phone.session.send()


def test_each_step_says_what_to_do_until_it_is_done(phones: list[Phone]) -> None:
    guide = Lesson(phones, NAMES)
    assert "agree on every phone" in guide.text()
    assert "0 of 3 did" in guide.text()
    for number, phone in enumerate(phones, 1):
        phone.change(replace(phone.settings, consent=True))
        assert (f"{number} of 3 did" in guide.text()) == (number < 3)
    assert f"on {NAMES[2]}, write" in guide.text()
    send(phones[2], OWN[0])
    for phone, name in zip(phones[:2], NAMES, strict=False):
        for times in range(TIMES):
            assert f"on {name}, write" in guide.text()
            assert f"{times} of {TIMES} are sent" in guide.text()
            send(phone, PHRASE.capitalize() if times else PHRASE)
    assert "leave the phones alone" in guide.text()
    assert all(f"{name}: {phone.status().activity}" in guide.text() for name, phone in zip(NAMES, phones, strict=True))
    assert guide.seconds is None


def test_other_messages_teach_nothing(phones: list[Phone]) -> None:
    guide = Lesson(phones, NAMES)
    for phone in phones:
        phone.change(replace(phone.settings, consent=True))
    send(phones[2], OWN[0])
    send(phones[0], "the ferry leaves at noon")
    assert f"on {NAMES[0]}, write" in guide.text()
    assert f"0 of {TIMES}" in guide.text()


def test_the_phrase_has_arrived_once_the_third_phone_offers_its_last_word(phones: list[Phone]) -> None:
    now = 0.0
    guide = Lesson(phones, NAMES, lambda: now)
    for phone in phones:
        phone.change(replace(phone.settings, consent=True))
    send(phones[2], OWN[0])
    for phone in phones[:2]:
        for _ in range(TIMES):
            send(phone, PHRASE)
    guide.text()
    for _ in range(4):
        send(phones[2], PHRASE)  # as if it had learned it from the others
    assert phones[2].settle()
    now = 42.0
    while guide.seconds is None:  # the phone may be slow to answer
        guide.text()
    assert guide.seconds == 42.0
    assert "42 seconds" in guide.text()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_two_phones_are_taught_arrives_on_the_third_unattended(tmp_path: Path) -> None:
    model = export(public_start.load("small"), tmp_path / "model").directory
    told: list[str] = []
    with demonstration.local_server(tmp_path / "server", model, 3) as url:
        trust = demonstration.trust_of(tmp_path / "server")
        opened = demonstration.open_phones(tmp_path / "phones", 3, model, url, trust, settings=lesson.settings(3))
        try:
            seconds = lesson.play(opened, Lesson(opened, NAMES), told.append)
        finally:
            for phone in opened:
                phone.close()
    assert seconds <= lesson.ARRIVES_WITHIN_SECONDS
    assert told[0].startswith("1 of 5")
    assert told[-1].startswith("Done")
