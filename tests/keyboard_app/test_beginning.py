"""What happens before the first frame, and what waits until after it."""

import subprocess
import sys

from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from model.engine import Export
from tests.keyboard_app.conftest import AGREED


def test_one_types_before_anything_is_read(profile: Profile, exported: Export) -> None:
    profile.keep(AGREED)
    phone = Phone(profile, model=exported.directory, at_once=False)
    phone.session.type("see you")
    phone.session.send()
    assert not phone.settle(timeout_seconds=0.3)
    assert phone.session.sent == ["see you"]
    assert phone.session.state.slots == (None, None, None)
    assert not profile.log.exists()
    phone.begin()
    assert phone.settle()
    assert all(phone.session.state.slots)
    assert phone.status().logged == (1, 2)
    phone.close()


def test_what_was_typed_is_logged_even_if_it_never_began(profile: Profile, exported: Export) -> None:
    profile.keep(AGREED)
    phone = Phone(profile, model=exported.directory, at_once=False)
    phone.session.type("see you")
    phone.session.send()
    phone.close()
    again = Phone(profile, model=exported.directory)
    assert again.settle()
    assert again.status().logged == (1, 2)
    again.close()


def test_a_phone_without_server_loads_nothing_of_rounds() -> None:
    rounds = ("http.client", "httpx", "federation.device", "federation.secure_aggregation", "federation.updates")
    code = "import sys, keyboard_app.phone, federation.base.child_processes\n"
    code += f"print(set({rounds}) & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
