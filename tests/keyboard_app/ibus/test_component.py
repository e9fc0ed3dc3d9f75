import shlex
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from keyboard_app.ibus import bindings
from keyboard_app.ibus.bindings import IBusError
from keyboard_app.ibus.component import Component


@pytest.fixture
def component(tmp_path: Path) -> Component:
    return Component.of_user({"HOME": str(tmp_path)})


def test_ibus_is_told_what_to_start(component: Component) -> None:
    command = ["/opt/a folder/python", "-m", "fedkey", "ibus", "run", "--profile", "a<b>&'c'"]
    component.install(command)
    described = ET.parse(component.description).getroot()
    assert shlex.split(described.findtext("exec", "")) == command
    assert [engine.findtext("name") for engine in described.iter("engine")] == ["fedkey"]


def test_the_session_is_told_where_to_look_beside_the_systems_folder(component: Component) -> None:
    component.install(["fedkey"])
    assert (
        f"IBUS_COMPONENT_PATH=/usr/share/ibus/component:{component.description.parent}"
        in component.variable.read_text()
    )


def test_the_users_own_folders_are_used(tmp_path: Path) -> None:
    component = Component.of_user(
        {"HOME": "/nowhere", "XDG_DATA_HOME": str(tmp_path / "d"), "XDG_CONFIG_HOME": str(tmp_path)}
    )
    component.install(["fedkey"])
    assert component.description.is_relative_to(tmp_path / "d")
    assert component.variable.is_relative_to(tmp_path)


def test_installing_twice_is_installing_anew_and_removing_twice_is_removing(component: Component) -> None:
    component.install(["one"])
    component.install(["two"])
    assert "two" in component.description.read_text()
    assert component.remove()
    assert not component.remove()


@pytest.mark.parametrize("which", ["description", "variable"])
def test_files_of_others_are_left_alone(component: Component, which: str) -> None:
    path: Path = getattr(component, which)
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    for attempt in (lambda: component.install(["fedkey"]), component.remove):
        with pytest.raises(IBusError, match="was not written by fedkey: move it away first"):
            attempt()
    assert path.read_text() == "mine"
    assert sum(file.is_file() for file in component.data.parent.parent.rglob("*")) == 1


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bindings, "_DEBIAN", tmp_path / "gi")
    monkeypatch.setitem(bindings.sys.modules, "gi", None)
    with pytest.raises(IBusError, match="apt install ibus"):
        bindings.load()
