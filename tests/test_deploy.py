"""The deployment files name commands, options and files that exist."""

import re
import shlex
import sqlite3
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import click
import pytest
import yaml

from fedkey.cli import main

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"


def options_of(words: list[str]) -> None:
    """Fail unless the options of a `fedkey` command line are ones that it has."""
    command: click.Command | None = main
    context = click.Context(main)
    while isinstance(command, click.Group):
        command = command.get_command(context, words.pop(0))
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    given = {word.split("=", maxsplit=1)[0] for word in words if word.startswith("--")}
    assert given <= known


def test_the_container_runs_a_command_that_there_is() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    (default,) = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
    options_of(yaml.safe_load(default))
    for source in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        for name in source.split():
            assert (ROOT / name).exists(), name
    assert set(re.findall(r"^COPY (\w+) \1$", text, re.MULTILINE)) == {
        "data",
        "federation",
        "fedkey",
        "keyboard_app",
        "model",
    }


def test_the_compose_file_fits_together() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    options_of(list(services["server"]["command"]))
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        for volume in service.get("volumes", []):
            name = re.sub(r"\$\{[^}]*\}", "/variable", volume).split(":")[0]
            assert name.startswith("/") or name in compose["volumes"] or (DEPLOY / name).exists()
        assert "latest" not in service.get("image", "")


@pytest.mark.parametrize("unit", sorted(DEPLOY.glob("*.service")), ids=lambda unit: unit.name)
def test_units_start_what_there_is(unit: Path) -> None:
    parser = RawConfigParser(strict=False)
    parser.read(unit)
    program, *words = shlex.split(parser["Service"]["ExecStart"])
    if program.endswith("/fedkey"):
        options_of(words)
    else:
        assert (ROOT / program.removeprefix("/opt/fedkey/")).stat().st_mode & 0o100


def test_the_proxys_blocks_are_closed_and_it_logs_no_address() -> None:
    text = re.sub(r"#.*", "", (DEPLOY / "nginx.conf").read_text())
    assert text.count("{") == text.count("}")
    assert "access_log off;" in text
    assert all(line.strip().endswith((";", "{", "}")) for line in text.splitlines() if line.strip())


def test_a_backup_of_a_running_server_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    (folder / "blobs" / "models").mkdir(parents=True)
    (folder / "blobs" / "rounds" / "1").mkdir(parents=True)
    (folder / "blobs" / "models" / "m").write_text("weights")
    (folder / "server.key").write_bytes(b"k" * 32)
    database = sqlite3.connect(folder / "server.sqlite")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE t (x)")
    database.execute("INSERT INTO t VALUES (1)")
    database.commit()
    done = subprocess.run([DEPLOY / "backup", folder, tmp_path / "copies"], capture_output=True, text=True, check=True)
    copy = Path(done.stdout.strip())
    with sqlite3.connect(copy / "server.sqlite") as copied:
        assert copied.execute("SELECT x FROM t").fetchall() == [(1,)]
    assert (copy / "blobs" / "models" / "m").read_text() == "weights"
    assert (copy / "server.key").read_bytes() == b"k" * 32
    assert not (copy / "blobs" / "rounds").exists()
    assert copy.stat().st_mode & 0o077 == 0
    database.close()
