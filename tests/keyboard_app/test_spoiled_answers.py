"""What a proxy answers in a server's place, to the app with its threads."""

from pathlib import Path

from federation.server.settings import RoundSettings
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from model.engine import Export
from tests.federation.device.test_answers import MALFORMED
from tests.federation.server.http import URL, Site
from tests.federation.server.phones import Clock
from tests.keyboard_app.conftest import AGREED
from tests.keyboard_app.test_deletion import until
from tests.keyboard_app.test_participation import Network


def test_a_thread_outlives_whatever_a_proxy_answers_and_still_deletes(
    profile: Profile, exported: Export, tmp_path: Path
) -> None:
    """The app is enrolled and has checked in; from then on what comes between it and its server answers."""
    site = Site(tmp_path, exported.directory, Clock(), RoundSettings(goal=3, minimum=3))
    network, left = Network(site), list(MALFORMED)
    site.wire.tamper = lambda request, content: left.pop() if left and request.url.path == "/v1/check-in" else content
    profile.keep(AGREED)
    options = {"model": exported.directory, "server": URL, "trust": site.trust(), "transport": network}
    phone = Phone(profile, clock=site.clock, **options)  # type: ignore[arg-type]
    assert phone.settle()

    def all_answered() -> bool:
        site.clock.now += 100.0
        phone._rounds.wake()
        return not left

    until(all_answered)
    assert phone._rounds._thread.is_alive()
    assert not phone.status().problem
    assert any(profile.device.iterdir())
    site.wire.tamper = lambda *_: b"<html>Sign in</html>"
    phone.delete_everything()
    until(lambda: not profile.device.exists() and not (profile.folder / ".deleting").exists())
    phone.close()
