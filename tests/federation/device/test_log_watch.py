"""A phone that goes on from the log that it saw: what is rewritten, cut, forked or left out is refused."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from federation.protocol.drop_reasons import DropReason
from federation.protocol.log import Edge, LogEntry
from federation.protocol.trust import TRUSTED
from tests.federation.device.servers import ANCHORS, SHA256, TASK, Scripted, ScriptedPhone, signed_plan
from tests.federation.server.phones import Clock


def entry(version: int, sha256: str = SHA256, *, accepted: bool = True) -> bytes:
    return LogEntry(version=version, parent=version - 1 or None, sha256=sha256, accepted=accepted).to_bytes()


LOG = [entry(1), *[entry(version, f"{version:064x}") for version in range(2, 9)]]


class Rounds:
    """Calls a phone to one round after the other, each with a head of a log."""

    def __init__(self, folder: Path, clock: Clock, **options: object) -> None:
        self.server = Scripted()
        self.phone = ScriptedPhone(folder, self.server, clock, **options)  # type: ignore[arg-type]
        self._round_id = 0

    def joins(self, shown: Sequence[bytes], served: Sequence[bytes] | None = None, instance: int = 1) -> bool:
        self._round_id += 1
        edge = Edge.of(shown)
        commitments = replace(TASK.commitments, instance=bytes([instance]) * 16, log_size=edge.size, log_root=edge.root)
        self.server.log = list(shown if served is None else served)
        self.server.round_id = self._round_id
        self.server.plan = signed_plan(self._round_id, replace(TASK, commitments=commitments))
        for _ in range(4):
            self.phone.step()
        self.phone.client.leave()
        self.phone.clock.now += 60
        return f"/v1/rounds/{self._round_id}/advertise" in self.server.paths

    @property
    def reason(self) -> DropReason:
        return self.phone.store.rounds()[0].reason


@pytest.fixture
def rounds(tmp_path: Path, clock: Clock) -> Rounds:
    return Rounds(tmp_path, clock)


def test_a_log_that_only_grows_is_gone_on_with(rounds: Rounds) -> None:
    assert all(rounds.joins(LOG[:size]) for size in (1, 1, 2, 5, 8))
    assert rounds.joins(LOG[:8], served=[*LOG, b"added meanwhile"])


@pytest.mark.parametrize(
    ("then", "served"),
    [
        ([entry(1), entry(2, "ab" * 32), *LOG[2:5]], None),  # an entry that was seen is another
        ([entry(1), entry(2, "ab" * 32), *LOG[2:5]], LOG),  # and the true ones are served with it
        (LOG[:2], None),  # cut
        ([], None),  # gone
        (LOG[:6], LOG[:5]),  # its end is withheld
        ([*LOG[:5], b"nonsense"], None),
    ],
)
def test_a_log_that_was_changed_is_refused(
    rounds: Rounds, then: Sequence[bytes], served: Sequence[bytes] | None
) -> None:
    assert rounds.joins(LOG[:4])
    assert not rounds.joins(then, served)
    assert rounds.reason is DropReason.SIGNATURE
    assert rounds.joins(LOG[:5])  # the honest one goes on


def test_two_phones_with_forked_views_do_not_follow_one_another(tmp_path: Path, clock: Clock) -> None:
    fork = [*LOG[:2], entry(3, "cd" * 32)]
    first, second = (Rounds(tmp_path / name, clock) for name in ("first", "second"))
    assert first.joins(LOG[:3])
    assert second.joins(fork)
    assert not second.joins(LOG[:4])
    assert not first.joins([*fork, entry(4)])


@pytest.mark.parametrize("log", [[entry(1, "ab" * 32)], [entry(1, accepted=False)]])
def test_a_model_that_is_not_in_the_log_is_not_trained(rounds: Rounds, log: Sequence[bytes]) -> None:
    assert not rounds.joins(log)
    assert rounds.reason is DropReason.SIGNATURE


def test_another_instance_has_a_log_of_its_own(rounds: Rounds) -> None:
    assert rounds.joins(LOG[:4])
    assert rounds.joins(LOG[:1], instance=2)
    assert not rounds.joins(LOG[:3], instance=1)


def test_an_untrusted_operator_keeps_a_log(tmp_path: Path, clock: Clock) -> None:
    strict = Rounds(tmp_path, clock, anchors=replace(ANCHORS, profile=replace(TRUSTED, max_step=1.0)))
    assert not strict.joins([])
    assert strict.joins(LOG[:2])
