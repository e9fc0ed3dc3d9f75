"""A server that was killed goes on from the messages it stored, and asks for nothing twice."""

from typing import Any

from federation.secure_aggregation import server
from tests.federation.secure_aggregation.cohort import AUTHORITY, DEVICES, Session, equal, parameters

STEPS = ("advertise", "share", "mask", "confirm", "unmask")
WHO = {"advertise": range(6), "share": range(6), "mask": range(1, 6), "confirm": range(1, 6), "unmask": range(1, 6)}


def _replayed(stored: list[list[bytes]], closed: int) -> Any:
    """Return a new server that took the stored messages of each step and closed the first steps."""
    phase: Any = server.CollectAdvertisements(parameters(), AUTHORITY.authority)
    for number, messages in enumerate(stored):
        for message in reversed(messages):  # the order in which messages came does not matter
            phase.receive(message)
        if number < closed:
            phase = phase.close()
    return phase


def test_a_server_restarted_at_any_step_goes_on_with_the_same_session() -> None:
    session = Session(6, parameters())
    stored: list[list[bytes]] = []
    for number, step in enumerate(STEPS):
        getattr(session, step)(WHO[step], close=False)
        stored.append(list(session.messages.values()))
        # Killed before the step was closed, and after.
        session.server = _replayed(stored, closed=number)
        assert session.server.received == len(WHO[step])
        closed = session.server.close()
        session.server = _replayed(stored, closed=number + 1)
        _same_messages(closed, session.server)
    assert equal(session.aggregate().vector, session.expected(range(1, 6)))


def _same_messages(left: Any, right: Any) -> None:
    for name in ("roster_message", "survivors_message", "signatures_message"):
        assert getattr(left, name, None) == getattr(right, name, None)
    if isinstance(left, server.CollectMaskedInputs):
        for device in DEVICES[:6]:
            assert left.inbox_message(device.key.device_id) == right.inbox_message(device.key.device_id)
