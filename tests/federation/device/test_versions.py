"""A phone and servers of several versions of the protocol."""

import json
from pathlib import Path

import pytest

from federation.device import DistrustError
from tests.federation.device.servers import Scripted, ScriptedPhone
from tests.federation.server.phones import Clock


def told(protocols: object) -> bytes:
    facts = json.loads(Scripted()._honest("/v1/server") or b"")
    return json.dumps(facts | {"protocols": protocols}).encode()


@pytest.mark.parametrize(("protocols", "talks"), [([1], True), ([7, 1], True), ([2], False)])
def test_a_phone_talks_to_servers_that_speak_its_version(
    protocols: list[int], talks: bool, tmp_path: Path, clock: Clock
) -> None:
    server = Scripted(instead=lambda path: told(protocols) if path == "/v1/server" else None)
    phone = ScriptedPhone(tmp_path, server, clock)
    if talks:
        phone.client.step()
        assert "/v1/check-in" in server.paths
        return
    with pytest.raises(DistrustError, match="update the app"):
        phone.client.step()
    assert "/v1/check-in" not in server.paths
