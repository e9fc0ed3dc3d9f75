"""What makes a folder a run's: its settings, and the secret that its noise is drawn from."""

import dataclasses
import json
import secrets
from pathlib import Path
from typing import Any

from federation.errors import ConfigError
from federation.simulation.config import SimulationConfig
from model import files, folders
from model.vocabulary import Vocabulary

JUDGED = "judged.json"
"""The evaluations of a demo."""

FOLDER = folders.Kind(
    "a run",
    "config.json",
    frozenset({"config", "vocabulary"}),
    (
        *("config.json", "warm_start", "states", "model", "metrics.csv", "tensorboard"),
        *("privacy.json", "noise_seed"),
        # Of a demo, which goes on from a run:
        *("server", "server.toml", "server.log", "public.txt", "authority", "phones", "phone-export"),
        *("export", "window", "after-*-rounds-of-*-phones", JUDGED),
    ),
)

_MAY_CHANGE = {"rounds", "evaluate_every", "keep_states", "workers", "allow_unauthenticated_network", "worker_limit_mb"}
"""Settings that say how long a run goes on and what is kept of it, not what a round does."""


def claim(directory: Path, config: SimulationConfig, vocabulary: Vocabulary) -> None:
    """Make the folder this run's, or check that it is; a run may go on for more rounds than it began with.

    Raises:
        ConfigError: it holds a run with other settings.
        FolderError: it holds something else.
    """
    # As JSON has it: lists where there are tuples.
    ours = json.loads(json.dumps({"config": dataclasses.asdict(config), "vocabulary": vocabulary.key}))
    if folders.check(directory, FOLDER):
        theirs = json.loads(files.read(directory / FOLDER.description))
        # A setting that an older run did not have yet was at its default.
        before = _merged(json.loads(json.dumps(dataclasses.asdict(SimulationConfig()))), theirs["config"])
        differing = [name for name, value in ours["config"].items() if before.get(name) != value]
        if theirs["vocabulary"] != ours["vocabulary"]:
            differing.append("vocabulary")
        for name in differing:
            if name not in _MAY_CHANGE:
                raise ConfigError(
                    f"{directory} holds a run with another {name}: "
                    "choose another folder with --out, or start over with --restart"
                )
        if not differing:
            return
    directory.mkdir(parents=True, exist_ok=True)
    files.write(directory / FOLDER.description, json.dumps(ours, indent=1))


def noise_seed(directory: Path) -> bytes:
    """Return the run's 32 secret random bytes, drawn when it begins and readable to its owner only."""
    path = directory / "noise_seed"
    if not path.exists():
        files.write(path, secrets.token_bytes(32), private=True)
    return files.read(path)


def _merged(defaults: Any, values: Any) -> Any:
    if not (isinstance(defaults, dict) and isinstance(values, dict)):
        return values
    return defaults | {name: _merged(defaults.get(name), value) for name, value in values.items()}
