"""A phone's processor computes what a desktop's does: Debian for arm64 under emulation, with the phone's install."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from federation.protocol.plan import Deadlines
from fedkey import demonstration
from keyboard_app.profile import Profile
from keyboard_app.settings import Settings
from keyboard_app.status import Outcome
from model.engine import Engine, Export
from tests.arm64.agreement import measure, painted
from tests.arm64.processor import ROOT, Processor
from tests.keyboard_app.conftest import checkpoint, exported  # noqa: F401 - pytest's way to share fixtures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PATIENT = Deadlines(60, 120, 300, 360, 420)
SECONDS = 600.0
MESSAGES = ("see you tomorrow then", "what are you doing", "hello there how are you", "i am fine and you")


@pytest.fixture(scope="module")
def processor() -> Processor:
    return Processor()


@pytest.mark.parametrize("engine", Engine)
def test_a_phones_processor_computes_what_a_desktops_does(
    processor: Processor,
    exported: Export,  # noqa: F811
    tmp_path: Path,
    engine: Engine,
) -> None:
    found = measure(processor, engine, exported.directory, tmp_path)
    assert found.machines == ("x86_64", "aarch64")
    assert found.same_strips == 1.0
    assert any(correction for (_, correction), _ in found.strips)
    assert found.differing == []
    assert found.relative("probabilities") < 1e-4
    assert found.relative("losses") < 1e-5
    assert found.here["losses"][1] < found.here["losses"][0]
    assert found.absolute("rotated") < 1e-6
    assert found.absolute("weights") < 1e-5


def test_litert_crashes_there_where_an_input_has_no_dimension(processor: Processor, tmp_path: Path) -> None:
    """If this fails, LiteRT was mended: docs/arm64.md has the report, and `model.litert_files` a way around it."""
    shown = ROOT / "tests/arm64/scalar_input.py"
    model = tmp_path / "scalar.tflite"
    subprocess.run([sys.executable, shown, "write", model], check=True, capture_output=True)
    for size, works in (("0", False), ("1", True)):
        here = subprocess.run([sys.executable, shown, size, model], capture_output=True, check=False)
        assert here.returncode == 0, here.stderr
        command = [processor.command, shown, size, model]
        there = subprocess.run(command, env=processor.environment(litert=True), capture_output=True, check=False)
        assert (there.returncode == 0) is works, there.stderr


class Typed:
    """A phone on the other processor, behind `fedkey suggest`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, **request: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer
        return answer


@pytest.fixture
def server(exported: Export, tmp_path: Path) -> Iterator[str]:  # noqa: F811
    with demonstration.local_server(tmp_path, exported.directory, 3, PATIENT) as url:
        yield url


def test_phones_of_both_processors_take_part_in_a_round(processor: Processor, server: str, tmp_path: Path) -> None:
    model = demonstration.trust_of(tmp_path).parent
    settings = Settings(consent=True, rest_seconds=0.0, min_examples=2, min_phones=3)
    profile = Profile.named("Arm", tmp_path / "phones")
    profile.keep(settings)
    for name in demonstration.NAMES[:2]:
        Profile.named(name, tmp_path / "phones").keep(settings)
    options = ["--server", server, "--model", model, "--profile", profile.name, "--profiles", tmp_path / "phones"]
    process = subprocess.Popen(
        [processor.command, "-m", "fedkey", "suggest", *options],
        env=processor.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    phones = demonstration.open_phones(tmp_path / "phones", 2, model, server, demonstration.trust_of(tmp_path))
    try:
        typed = Typed(process)
        for message in MESSAGES:
            typed(do="learn", text=message)
            for phone in phones:
                phone.learn(message)
        ends = time.monotonic() + SECONDS
        while not (status := typed(do="status"))["rounds"] or not all(
            any(entry.outcome is Outcome.JOINED for entry in phone.status().rounds) for phone in phones
        ):
            assert time.monotonic() < ends, (status, [phone.status().activity for phone in phones])
            time.sleep(0.5)
        assert typed(do="suggest", before="see you ", typed="tomorow")["strip"][0]["text"] == "tomorrow"
    finally:
        process.communicate(timeout=60)
        for phone in phones:
            phone.close()
    assert process.returncode == 0


def test_the_window_looks_the_same(processor: Processor, exported: Export, tmp_path: Path) -> None:  # noqa: F811
    colours, differing = painted(processor, exported.directory, tmp_path)
    assert colours > 10, "a picture of something"
    assert differing < 0.01
