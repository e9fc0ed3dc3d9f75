"""Three whole phones, with their threads and training processes, and the round server's application."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from federation.protocol.training_settings import TrainingSettings
from federation.server.settings import RoundSettings
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.status import Outcome
from model.engine import Export
from tests.federation.server.http import URL, Site
from tests.keyboard_app.conftest import AGREED
from tests.keyboard_app.test_participation import CANARY, Network

SETTINGS = RoundSettings(
    goal=3,
    minimum=3,
    over_selection=1.0,
    clip=20.0,
    training=TrainingSettings(epochs=10, dropout=0.0),
    meeting_seconds=1,
    separation_seconds=1,
)
SECONDS = 240


@pytest.fixture
def site(tmp_path: Path, exported: Export) -> Site:
    return Site(tmp_path, exported.directory, time.time, SETTINGS)  # type: ignore[arg-type]


@pytest.fixture
def network(site: Site) -> Network:
    return Network(site)


@pytest.fixture
def phones(tmp_path: Path, exported: Export, site: Site, network: Network) -> Iterator[list[Phone]]:
    opened = []
    for name in ("anna", "ben", "cleo"):
        profile = Profile.named(name, tmp_path / "phones")
        profile.keep(AGREED)
        opened.append(Phone(profile, model=exported.directory, server=URL, trust=site.trust(), transport=network))
    yield opened
    for phone in opened:
        phone.close()


def type_and_send(phone: Phone, *messages: str) -> None:
    for message in messages:
        phone.session.type(message)
        phone.session.send()
    assert phone.settle()


def probability(phone: Phone, before: str, word: str) -> float:
    suggester = phone._learner._suggester
    assert suggester is not None
    found = {suggestion.text: suggestion.probability for suggestion in suggester.suggest(before, "", count=30)}
    return found.get(word, 0.0)


@pytest.mark.slow
def test_what_two_phones_were_taught_reaches_the_third(
    site: Site, phones: list[Phone], network: Network, tmp_path: Path
) -> None:
    anna, ben, cleo = phones
    changed = threading.Event()
    cleo.listen(changed.set)
    assert cleo.settle()
    before = probability(cleo, "hello ", "tomorrow")
    for phone in (anna, ben):
        type_and_send(phone, *["hello tomorrow"] * 40, f"so {CANARY} it is", f"{CANARY} again")
    type_and_send(cleo, *["nothing much"] * 5)
    ends = time.monotonic() + SECONDS
    while all(entry.version == 1 or not entry.in_use for entry in cleo.status().models):
        assert time.monotonic() < ends, (site.story, [phone.status().activity for phone in phones])
        site.coordinator.tick()
        changed.wait(0.05)
        changed.clear()
    assert cleo.settle()
    assert probability(cleo, "hello ", "tomorrow") > 3 * before
    for phone in phones:
        assert any(entry.outcome is Outcome.JOINED and entry.update.size for entry in phone.status().rounds)
        phone.close()
    assert not any(CANARY.encode() in body.lower() for body in network.bodies)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes().lower(), path
