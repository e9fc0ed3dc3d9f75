"""What a device tells its server of a round besides its part in it. None of it may cost the device its round."""

import contextlib

from federation.device.connection import Connection
from federation.device.errors import PhoneError
from federation.protocol.drop_reasons import DeviceEvent, DropReason


def report(connection: Connection, round_id: int, event: DeviceEvent, reason: DropReason = DropReason.NONE) -> None:
    """Tell the server how the device gets on."""
    with contextlib.suppress(PhoneError):  # a trail with a gap is better than a round lost
        connection.post_json(
            f"/v1/rounds/{round_id}/events",
            {"event": event.value, "reason": reason.value},
            what="report",
            round_id=round_id,
        )


def complain(connection: Connection, round_id: int, complaint: bytes) -> None:
    """Tell the server who dealt shares that are not authentic, so that it does without them."""
    with contextlib.suppress(PhoneError):
        if complaint:
            connection.post(f"/v1/rounds/{round_id}/complaint", complaint, what="complaint", round_id=round_id)
