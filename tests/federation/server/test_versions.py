"""A server and phones of several versions of the protocol."""

import json
from pathlib import Path

import pytest

from tests.federation.server.http import HttpPhone, Site
from tests.federation.server.phones import READY, Clock
from tests.federation.server.test_http import SETTINGS


@pytest.fixture
def phone(tmp_path: Path, exported: Path, clock: Clock) -> HttpPhone:
    return HttpPhone(Site(tmp_path, exported, clock, SETTINGS), tmp_path, 0)


def check_in(phone: HttpPhone, **more: object) -> dict[str, object]:
    phone.client.step()
    content = {"conditions": vars(READY), **more}
    answer: dict[str, object] = json.loads(phone.connection.post_json("/v1/check-in", content, what="check-in"))
    return answer


@pytest.mark.parametrize("more", [{}, {"protocols": [1]}, {"protocols": [9, 1], "mood": {"of": "the owner"}}])
def test_a_server_takes_phones_of_later_versions_that_still_speak_its_own(
    phone: HttpPhone, more: dict[str, object]
) -> None:
    assert check_in(phone, **more)["reason"] == "no round is open for this device now"


def test_a_phone_that_speaks_no_version_of_the_server_is_told_so_and_gets_no_round(phone: HttpPhone) -> None:
    answer = check_in(phone, protocols=[2, 3])
    assert answer["round_id"] is None
    assert "update the app" in str(answer["reason"])
    assert answer["retry_after_seconds"] == 86400


def test_a_condition_of_a_later_version_is_left_alone(phone: HttpPhone) -> None:
    conditions = vars(READY) | {"cool": False}
    assert check_in(phone, conditions=conditions)["reason"] == "no round is open for this device now"
