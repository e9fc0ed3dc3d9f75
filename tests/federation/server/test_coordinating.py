"""The loop that moves rounds on, where a file cannot be written."""

import errno
import time
from pathlib import Path

import pytest

from federation.server import transparency
from federation.server.serving import coordinate
from federation.server.settings import RoundSettings
from tests.federation.server.phones import Clock, Phone, Server, phase_of, take_all_steps

SETTINGS = RoundSettings(goal=8, minimum=3, over_selection=1.0)


class PausedError(Exception):
    """The loop waits before it looks again."""


def test_a_mark_that_has_no_room_does_not_end_it_and_the_round_goes_on(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server, phones = Server(tmp_path, clock, SETTINGS), [Phone(number) for number in range(8)]
    for phone in phones:
        assert phone.check_in(server) is None

    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def pause(_: float) -> None:
        raise PausedError

    with monkeypatch.context() as patched:
        patched.setattr(transparency, "set_mark", no_room)
        patched.setattr(time, "sleep", pause)
        with pytest.raises(PausedError):
            coordinate(server.coordinator)
    assert "tries again: [Errno 28]" in caplog.text
    assert {phone.check_in(server) for phone in phones} == {1}
    clock.now += 61
    take_all_steps(server, 1, phones)
    assert phase_of(server, 1) == ("finished", None)
    server.database.close()
