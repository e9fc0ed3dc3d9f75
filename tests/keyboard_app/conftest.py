"""A phone with a small model, and time that tests move."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.settings import Settings
from model.checkpoint import Checkpoint
from model.engine import Export
from model.export import export
from model.layout import NetworkConfig, initial_weights
from model.vocabulary import Vocabulary

TEXT = ["hello there how are you", "i am fine and you", "see you tomorrow then", "what are you doing", "nothing much"]
AGREED = Settings(consent=True, rest_seconds=0.0, min_examples=3, min_phones=3)


class Clock:
    """Time that tests move."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    vocabulary = Vocabulary.train(TEXT * 20, size=120)
    network = NetworkConfig(vocabulary.size, embedding=16, hidden=24)
    return Checkpoint(network, initial_weights(network, 3), vocabulary)


@pytest.fixture(scope="session")
def exported(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Export:
    return export(checkpoint, tmp_path_factory.mktemp("export") / "phone", version=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile.named("anna", tmp_path)


Open = Callable[..., Phone]


@pytest.fixture
def open_phone(profile: Profile, exported: Export, clock: Clock) -> Iterator[Open]:
    """Return what opens a phone of the profile, ready to suggest; what it opened is closed after the test."""
    opened = []

    def opener(settings: Settings | None = AGREED, **options: object) -> Phone:
        if settings is not None:
            profile.keep(settings)
        chosen: dict[str, object] = {"model": exported.directory, "clock": clock, "monotonic": clock} | options
        phone = Phone(profile, **chosen)  # type: ignore[arg-type]
        opened.append(phone)
        assert phone.settle()
        return phone

    yield opener
    for phone in opened:
        phone.close()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the screens to the long run: Kivy cannot even be imported where there is no OpenGL."""
    return True if collection_path.name == "ui" and config.getoption("markexpr") == "not slow" else None
