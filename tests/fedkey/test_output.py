"""What every command has in common: defaults in its help, JSON where it reports, quiet and verbose."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from federation.enrolment.authority import AuthorityFolder
from fedkey.cli import main, output
from fedkey.cli.errors import TRACEBACK

ACTS = {
    "coordinate",
    "dashboard",
    "data public",
    "demo",
    "enrol device",
    "enrol init",
    "enrol revoke",
    "enrol serve",
    "export",
    "ibus install",
    "ibus remove",
    "ibus run",
    "ibus uninstall",
    "keyboard",
    "mlflow",
    "models export",
    "models promote",
    "phones",
    "pretrain",
    "privacy renew",
    "rounds rollback",
    "serve",
    "simulate",
    "suggest",
    "worker",
}
"""Commands that do something or run on; all others report."""


def commands(group: click.Group, context: click.Context, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, click.Context(command, parent=context), f"{name} ")
        else:
            yield f"{path}{name}", command


ALL = dict(commands(main, click.Context(main, **main.context_settings)))


def fedkey(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize("name", ALL)
def test_help_shows_the_default_of_every_option_that_has_one(name: str) -> None:
    context = click.Context(ALL[name], parent=click.Context(main, **main.context_settings))
    for option in ALL[name].params:
        if not isinstance(option, click.Option) or option.is_flag or option.multiple:
            continue
        told = option.get_help_record(context)
        if told is not None and isinstance(option.default, str | int | float | Path) and option.default != "":
            assert f"[default: {option.default}" in told[1], told


def test_options_of_a_run_show_what_the_settings_are_without_them() -> None:
    told = " ".join(fedkey("simulate", "--help").stdout.split())
    for option, default in (("--rounds", 200), ("--cohort", 20), ("--local-epochs", 1), ("--mechanism", "none")):
        assert f"[default: ({default})" in told[told.index(option) :].split(" --", maxsplit=1)[0], option


def test_what_reports_can_print_json_and_nothing_else_pretends_to() -> None:
    with_json = {name for name, command in ALL.items() if any("--json" in each.opts for each in command.params)}
    assert with_json == set(ALL) - ACTS


@pytest.mark.parametrize(
    "arguments",
    [
        "doctor",
        "privacy report --mechanism gaussian --noise-multiplier 4 --rounds 10 --participations 2",
        "privacy plan --target-epsilon 5 --population 100000 --rounds 500",
        "privacy plan --target-epsilon 5 --population 10000000 --what counts --length 1000",
    ],
)
def test_json_is_all_that_is_printed(arguments: str) -> None:
    found = fedkey(*arguments.split(), "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)


def test_devices_of_an_authority_are_printed_as_json(tmp_path: Path) -> None:
    AuthorityFolder.create(tmp_path)
    assert json.loads(fedkey("enrol", "list", "--authority", str(tmp_path), "--json").stdout) == []


def test_json_has_no_numbers_that_are_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"a": float("nan"), "b": (float("inf"), 1.5, b"\x0f")})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5, "0f"]}


def test_a_quiet_command_says_results_only(capsys: pytest.CaptureFixture[str]) -> None:
    output.set_level(quiet=True, verbose=False)
    output.say("by the way")
    assert capsys.readouterr().out == ""
    output.set_level(quiet=False, verbose=False)
    with output.quietly(when=True):
        output.say("by the way")
    output.say("good to know")
    assert capsys.readouterr().out == "good to know\n"


def test_a_verbose_command_shows_where_an_error_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRACEBACK, "")
    wrong = ["rounds", "list", "--folder", str(tmp_path)]
    assert "Traceback" not in fedkey(*wrong).stderr
    assert "Traceback" in fedkey("--verbose", *wrong).stderr
    assert os.environ[TRACEBACK] == "1"


def test_quiet_and_verbose_contradict_each_other() -> None:
    assert fedkey("--quiet", "--verbose", "doctor").exit_code == 2


def test_a_person_who_waits_is_told_what_for_before_anything_is_imported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    imported: list[str] = []

    def refuse(name: str) -> None:
        imported.append(capsys.readouterr().err)
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("fedkey.cli.importlib.import_module", refuse)
    for words in (["privacy", "plan"], ["rounds", "list"], ["data", "stats"]):
        with pytest.raises(ModuleNotFoundError):
            main.resolve_command(click.Context(main), words)
        with pytest.raises(ModuleNotFoundError):
            main.resolve_command(click.Context(main), [*words, "--help"])
    assert all(imported[::2])
    assert not any(imported[1::2])
