"""What people see: real applications of four toolkits, typed into by key presses."""

import pytest

from keyboard_app.ibus.component import Component
from model.engine import Export
from tests.keyboard_app.canaries import Search
from tests.keyboard_app.ibus.conftest import Typing
from tests.keyboard_app.ibus.desktop import Desktop, until

pytestmark = pytest.mark.slow  # needs a screen, IBus, and browsers

TOOLKITS = ("gtk3", "gtk4", "qt", "chromium")
SLIPS = {
    "gtk3": ("tomorow", "tomorrow"),
    "gtk4": ("nothung", "nothing"),
    "qt": ("doibg", "doing"),
    "chromium": ("thete", "there"),
}
"""Others in each, since a word that one insists on is one's own."""

SECRETS = {"gtk3": "zyvexolan", "gtk4": "quorbatish", "qt": "drimgouvas", "chromium": "wolmefritz"}


@pytest.mark.parametrize("toolkit", TOOLKITS)
def test_people_type_into_applications(typing: Typing, toolkit: str) -> None:
    slip, word = SLIPS[toolkit]
    with typing.desktop.application(toolkit) as application:
        application.type(f"see you {slip} then")
        application.press("Return")
        application.has("field", f"see you {word} then")
        application.press("Tab")
        application.type(SECRETS[toolkit] + " ")
        application.has("password", SECRETS[toolkit] + " ")
        application.press("Tab")
        application.type(f"hello {slip} ")
        application.press("BackSpace")
        application.type("ar")
        application.press("alt+1")
        application.type(".")
        application.press("Return")
        application.has("text", f"hello {slip} are.\n")
    until(lambda: typing.learned()[-2:] == [f"see you {word} then", f"hello {slip} are."], "what is learned", 20)
    assert SECRETS[toolkit] not in " ".join(typing.learned())


@pytest.mark.parametrize("toolkit", TOOLKITS)
def test_a_click_elsewhere_keeps_what_was_typed(typing: Typing, toolkit: str) -> None:
    with typing.desktop.application(toolkit) as application:
        application.type("what are yo")
        application.click(200, 250)
        application.type("nothing")
        application.press("Return")
        application.has("field", "what are yo")
        application.has("text", "nothing\n")


def test_no_file_has_what_was_typed(typing: Typing) -> None:
    """Comes after all others: the search is for every secret, and for what may be learned as plain text."""
    search = Search(typing.profile.folder.parent, (*SECRETS.values(), "tomorrow"), here=False)
    search.look_at_files()
    folder = typing.desktop.folder
    for path in (*folder.glob("*.log"), *(folder / "home").rglob("*")):
        search.look(str(path), path.read_bytes() if path.is_file() else b"")
    assert search.found == set()
    assert "typing.sqlite" in search.files


class TestInstalling:
    def test_is_taken_back_by_removing(self, typing: Typing, exported: Export) -> None:
        here = Desktop(
            typing.desktop.environment | {"HOME": str(typing.desktop.folder / "other")}, typing.desktop.folder
        )
        component = Component.of_user(here.environment)
        said = here.fedkey("ibus", "install", "--model", str(exported.directory), "--profile", "other")
        assert str(component.description) in said
        assert component.description.exists()
        here.fedkey("ibus", "install", "--model", str(exported.directory), "--profile", "other")  # once more
        assert "removed" in here.fedkey("ibus", "remove")
        assert not component.description.exists()
        assert not component.variable.exists()
        assert "not installed" in here.fedkey("ibus", "remove")
