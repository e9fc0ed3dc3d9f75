"""Every command, each with every option that names a place, given what people get wrong: one sentence, no traceback."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from federation.enrolment.authority import AuthorityFolder
from federation.server.settings import ServerSettings
from fedkey.cli import main
from fedkey.cli.errors import sentence
from fedkey.cli.places import unusable
from model.checkpoint import Checkpoint
from model.layout import NetworkConfig, initial_weights
from model.vocabulary import Vocabulary
from tests.wording import has_words_of_python

GARBAGE = bytes(range(256)) * 4
KNOWN_FILES = (
    "server.toml",
    "server.key",
    "authority.pub",
    "config.json",
    "manifest.json",
    "network.json",
    "authority.key",
)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What commands need that is right, and what is wrong."""
    base = tmp_path_factory.mktemp("places")
    texts = ["hello there how are you", "i am fine and you", "see you tomorrow then"] * 20
    vocabulary = Vocabulary.train(texts, size=100)
    network = NetworkConfig(vocabulary.size, embedding=8, hidden=8)
    Checkpoint(network, initial_weights(network, 3), vocabulary).save(base / "model")
    AuthorityFolder.create(base / "authority")
    lines = (json.dumps({"user": f"u{i % 40}", "text": texts[i % 3]}) for i in range(480))
    (base / "corpus.jsonl").write_text("\n".join(lines))
    (base / "file").write_bytes(GARBAGE)
    (base / "key").write_bytes(bytes(32))
    (base / "folder").mkdir()
    (base / "garbage").mkdir()
    for name in KNOWN_FILES:
        (base / "garbage" / name).write_bytes(GARBAGE)
    closed = base / "closed"
    closed.mkdir()
    (closed / "server.key").write_bytes(b"k" * 32)
    (closed / "authority.pub").write_bytes(AuthorityFolder(base / "authority").authority.public_key)
    url = "postgresql://nobody@127.0.0.1:9/nothing"
    (closed / "server.toml").write_text(ServerSettings(database=url).to_toml())
    return {path.name: path for path in base.iterdir()}


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from leaves(found, (*path, name))
    else:
        yield path, command


COMMANDS = dict(leaves(main))
TAKE_LONG = {("keyboard",), ("enrol", "serve"), ("demo",), ("pretrain",), ("sweep",)}
"""Windows, servers, and what trains for minutes before it comes to what is wrong."""


NEVER_END = {"/dev/zero": "a device", "pipe": "a pipe that nobody writes to"}


@pytest.mark.parametrize("place", NEVER_END)
def test_what_never_ends_or_waits_for_a_writer_is_opened_by_no_command(tmp_path: Path, place: str) -> None:
    """For every command and every option that names a place; it is refused before anything is read."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / place)
    tried = 0
    for path, command in COMMANDS.items():
        for parameter in command.params:
            if isinstance(parameter.type, click.Path):
                said = runs(*path, *named(parameter, tmp_path / "link"))
                assert said.exit_code == 2, said.output
                assert "is a pipe, a socket or a device: name a file or a folder" in said.output
                tried += 1
    assert tried > 50
    for corpus in (tmp_path / place, tmp_path / "link"):
        said_in_one_sentence(runs("data", "stats", str(corpus)))


def test_places_that_a_shell_opens_for_a_command_and_nowhere_are_not_refused(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    for place in (f"/dev/fd/{reading}", "/dev/null", str(tmp_path), str(tmp_path / "new"), "a\0b"):
        assert unusable(place) == ""
    os.close(reading)
    os.close(writing)


def named(parameter: click.Parameter, place: Path) -> list[str]:
    return [str(place)] if isinstance(parameter, click.Argument) else [parameter.opts[0], str(place)]


def needed(command: click.Command, places: dict[str, Path], leave_out: str = "") -> list[str]:
    """Return arguments and options without which a command does nothing."""
    right = {"model": "model", "corpus": "corpus.jsonl", "authority": "authority", "request": "file", "sign": "key"}
    words: list[str] = []
    for parameter in command.params:
        name = parameter.name or ""
        signs = name == "sign" and leave_out == "server"  # or the server is not looked at
        if name == leave_out or not (parameter.required or signs or name in {"authority", "corpus"}):
            continue
        value = str(places[right[name]]) if name in right else "1" if parameter.type.name != "text" else "ab"
        if isinstance(parameter.type, click.Path) and name not in right:
            value = str(places["folder"].parent / "new")
        words += [value] if isinstance(parameter, click.Argument) else [parameter.opts[0], value]
    return words


def cases() -> Iterator[Any]:
    for path, command in COMMANDS.items():
        if path in TAKE_LONG or (path[0] == "data" and path[1] != "stats"):  # or fetches from the network
            continue
        for parameter in command.params:
            if isinstance(parameter.type, click.Path):
                right = "folder" if parameter.name == "out" else ""  # an empty folder is as good as a new one
                for wrong in sorted({"file", "folder", "garbage", "closed", "unwritable"} - {right}):
                    yield pytest.param(path, parameter, wrong, id=f"{' '.join(path)} {parameter.name} {wrong}")


def said_in_one_sentence(result: Result) -> None:
    assert result.exit_code != 0, result.output
    assert "Traceback" not in result.output
    assert "should not happen" not in result.output
    last = result.output.strip().splitlines()[-1]
    assert last.startswith("Error: "), result.output
    assert len(last) < 500


def runs(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


@pytest.fixture(autouse=True)
def nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A place may be right by accident: then no server is to run."""

    def refuse(*_: object, **__: object) -> None:
        raise click.ClickException("it would have started")

    for name in (
        "fedkey.cli.serve.run_server",
        "fedkey.cli.serve.run_coordinator",
        "fedkey.cli.dashboard.serve_dashboard",
    ):
        monkeypatch.setattr(name, refuse)


@pytest.mark.slow
@pytest.mark.parametrize(("path", "parameter", "wrong"), cases())
def test_a_place_that_is_wrong_is_one_sentence(
    places: dict[str, Path],
    path: tuple[str, ...],
    parameter: click.Parameter,
    wrong: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(places["folder"].parent / "cache"))
    place = "/proc/fedkey/nothing" if wrong == "unwritable" else str(places[wrong])
    words = [*path, *needed(COMMANDS[path], places, parameter.name or "")]
    words += named(parameter, Path(place))
    before = sorted(places["garbage"].iterdir()), places["file"].read_bytes()
    result = runs(*words)
    if result.exit_code != 0:
        said_in_one_sentence(result)
    assert (sorted(places["garbage"].iterdir()), places["file"].read_bytes()) == before


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow, as where there is no room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("words", [("enrol", "init", "--authority"), ("models", "list", "--folder")])
def test_a_full_disk_is_one_sentence(tmp_path: Path, words: tuple[str, ...]) -> None:
    with full_disk():
        said_in_one_sentence(runs(*words, str(tmp_path / "new")))


def test_output_that_has_no_room_or_no_reader_ends_in_order() -> None:
    for target, code in (("> /dev/full", 1), ("| true", 0), (">&-", 0)):
        command = f"{sys.executable} -m fedkey --help {target}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        assert done.returncode == code


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file or directory", "x"),
        OSError(28, "No space left on device", "x"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        RecursionError("maximum recursion depth exceeded"),
        MemoryError(),
        ModuleNotFoundError("No module named 'flask'", name="flask"),
        RuntimeError("several\nlines"),
    ],
)
def test_every_error_is_one_line(error: Exception) -> None:
    assert sentence(error)
    assert "\n" not in sentence(error)


def test_links_that_lead_around_in_a_circle_are_a_persons_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(RuntimeError) as raised:
        (tmp_path / "loop" / "below").resolve()
    assert sentence(raised.value) == f"'{tmp_path / 'loop' / 'below'}': symbolic links lead around in a circle"


def test_a_server_whose_database_is_away_is_one_sentence(places: dict[str, Path]) -> None:
    for words in (("rounds", "list"), ("models", "list"), ("models", "show", "1"), ("rounds", "show", "1")):
        said_in_one_sentence(runs(*words, "--folder", str(places["closed"])))


def numbers() -> Iterator[Any]:
    for path, command in COMMANDS.items():
        if path == ("simulate",):  # its settings keep to the ranges of their fields, which have tests of their own
            continue
        for parameter in command.params:
            if isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType):
                yield pytest.param(path, parameter, id=f"{' '.join(path)} {parameter.name}")


@pytest.mark.parametrize(("path", "parameter"), numbers())
def test_a_number_that_is_none_or_beyond_all_is_refused(path: tuple[str, ...], parameter: click.Parameter) -> None:
    for wrong in ("nan", "inf", "1e400", "-1", "9" * 25, "true", "none"):
        if wrong[0] == "9" and isinstance(parameter.type, click.FloatRange) and parameter.type.max is None:
            continue  # it has that many
        with pytest.raises(click.BadParameter) as caught:
            parameter.type.convert(wrong, parameter, click.Context(COMMANDS[path]))
        assert not has_words_of_python(caught.value.format_message())


@pytest.mark.parametrize("option", ["--rounds", "--clip"])
def test_a_setting_of_a_simulation_that_is_no_number_is_refused_in_plain_words(option: str) -> None:
    result = runs("simulate", option, "none")
    assert result.exit_code == 2
    assert "number" in result.output
    assert not has_words_of_python(result.output)


@pytest.mark.parametrize("words", ["simulat", "evalaute model", "rounds lst", "enrol devcie", "--vresion"])
def test_a_slip_of_the_pen_is_answered_with_what_was_meant(words: str) -> None:
    result = runs(*words.split())
    assert result.exit_code == 2
    assert "Did you mean" in result.output


def test_no_authority_is_made_of_a_folder_that_is_something_else(tmp_path: Path) -> None:
    theirs = tmp_path / "server"
    theirs.mkdir()
    (theirs / "authority.pub").write_bytes(b"p" * 32)
    (theirs / "server.key").write_bytes(b"k" * 32)
    said_in_one_sentence(runs("enrol", "init", "--authority", str(theirs)))
    assert {path.name: path.read_bytes() for path in theirs.iterdir()} == {
        "authority.pub": b"p" * 32,
        "server.key": b"k" * 32,
    }


def test_an_authority_whose_making_was_cut_off_is_completed(tmp_path: Path) -> None:
    made = AuthorityFolder.create(tmp_path / "authority")
    whole = {path.name for path in (tmp_path / "authority").iterdir()}
    for path in (tmp_path / "authority").iterdir():
        if path.name != "authority.key":
            path.unlink()
    again = AuthorityFolder.create(tmp_path / "authority")
    assert again.authority.public_key == made.authority.public_key
    assert {path.name for path in (tmp_path / "authority").iterdir()} == whole
    assert (tmp_path / "authority" / "authority.pub").read_bytes() == made.authority.public_key


def test_no_keyboard_is_opened_with_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    said_in_one_sentence(runs("suggest", "--model", str(tmp_path / "model"), "--profiles", str(tmp_path / "phones")))
    assert not (tmp_path / "phones").exists()


def test_what_is_written_at_the_end_of_long_work_has_its_place_looked_at_before(
    places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedkey.cli.demo.loading_tensorflow", lambda: pytest.fail("it began"))
    (tmp_path / "mine.html").write_text("precious")
    (tmp_path / "link.html").symlink_to("mine.html")
    out = ("--out", str(tmp_path / "run"))
    corpus = ("--corpus", str(places["corpus.jsonl"]))
    for report in ("mine.html", "link.html", ".", "mine.html/below"):
        said_in_one_sentence(runs("demo", *out, *corpus, "--report", str(tmp_path / report)))
    said_in_one_sentence(runs("demo", *out, "--corpus", str(tmp_path / "nowhere.jsonl")))
    said_in_one_sentence(runs("demo", "--out", str(tmp_path), *corpus))
    assert (tmp_path / "mine.html").read_text() == "precious"
    assert not (tmp_path / "run").exists()


def test_a_dashboard_leaves_nothing_in_a_folder_that_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    said_in_one_sentence(runs("dashboard", str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_options_that_are_possible_together_are_taken_together(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere.jsonl")
    assert "weighting" in runs("simulate", "--mechanism", "gaussian", "--set", "privacy.clip=1").output
    both = ("--set", "privacy.clip=1", "--set", "client.weighting=uniform", "--corpus", nowhere)
    assert "no such file" in runs("simulate", "--mechanism", "gaussian", *both).output


def test_settings_are_read_with_a_byte_order_mark_and_not_as_other_text(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_bytes(b"\xef\xbb\xbfrounds = 0\r\n")
    assert "rounds must be at least 1" in runs("simulate", "--config", str(settings)).output
    settings.write_bytes(GARBAGE)
    for words in (("simulate", "--config"), ("simulate", "--scenario"), ("sweep",)):
        result = runs(*words, str(settings))
        said_in_one_sentence(result)
        assert f"{settings} is not text in UTF-8" in result.output


def test_a_terminal_that_cannot_show_a_letter_shows_the_rest(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    words = [sys.executable, "-m", "fedkey", "enrol", "init", "--authority", str(tmp_path / "ü“")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "public key" in done.stdout


def test_ctrl_c_in_the_garbage_collector_is_not_lost() -> None:
    code = """
import gc, signal
from fedkey.__main__ import keep_interrupts
signal.signal(signal.SIGINT, signal.default_int_handler)
keep_interrupts()
left = [1]
gc.callbacks.append(lambda *_: left and left.pop() and signal.raise_signal(signal.SIGINT))
try:
    gc.collect()
    while True:
        pass
except KeyboardInterrupt:
    print("kept")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert (done.stdout, done.stderr) == ("kept\n", "")


@pytest.mark.slow
def test_ctrl_c_at_any_moment_is_one_line_and_exit_130() -> None:
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); sys.argv[0] = 'fedkey'; "
    code += "from fedkey.__main__ import run; print(flush=True); run()"  # what comes before is Python's own start
    for seconds in (0.1, 0.25, 0.5, 1.0, 2.0, 4.0):
        words = [sys.executable, "-c", code, "simulate", "--start", "seed"]
        with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            running.stdout.readline()
            time.sleep(seconds)
            running.send_signal(signal.SIGINT)
            _, errors = running.communicate(timeout=60)
        assert "Traceback" not in errors
        assert running.returncode == 130
