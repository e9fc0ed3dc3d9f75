"""The parts of `benchmarks.ondevice` that need a desktop: a key through a real IBus, and the size of an install."""

import json
import os
import subprocess
from pathlib import Path

TEXT = "how are you doing tomorow i am going home now and see you then what is the wether like "
KEYS = 400
KEY_SECONDS = 0.05  # between two keys: a fast typist


def ibus_keys(model: Path, folder: Path) -> list[float]:
    """Return for how many seconds an application waits for each of many keys."""
    from tests.keyboard_app.ibus.desktop import PROGRAMS, PYTHON, desktop, with_keyboard  # noqa: PLC0415

    options = ("--model", str(model.resolve()), "--profiles", str(folder / "profiles"))
    with desktop(folder / "desktop") as made, with_keyboard(made, *options) as here:
        environment = {**here.environment, "IBUS_ADDRESS": here.run("ibus", "address").strip()}
        text = (TEXT * (KEYS // len(TEXT) + 1))[:KEYS]
        commands = [["begin", "benchmark"], ["type", TEXT, KEY_SECONDS], ["type", text, KEY_SECONDS]]
        done = subprocess.run(
            [PYTHON, PROGRAMS / "client.py"],
            env=environment,
            input="".join(json.dumps(command) + "\n" for command in commands),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])["seconds"]
    return seconds


def install_bytes(folder: Path) -> int:
    """Return the size of a Linux phone's install, with what its first use compiles."""
    root = Path(__file__).parent.parent
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([root / "devices/install", folder], check=True, stdout=subprocess.DEVNULL)
    use = "import keyboard_app.ui.app, keyboard_app.participation, fedkey.cli.keyboard, fedkey.cli.suggest"
    quiet = environment | {"SDL_VIDEODRIVER": "offscreen"}
    subprocess.run([folder / "bin/python", "-c", use], check=True, env=quiet, cwd=folder)
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
