"""Options that say which corpus, and how much of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

import data
from federation.simulation.config import SEED
from fedkey import paths
from fedkey.cli.values import Whole
from model import files
from model.languages import CODES

Command = TypeVar("Command", bound=Callable[..., Any])

HELP = "Corpus: `chitchat`, `stackoverflow`, `shakespeare`, a corpus file, or a TOML file that "
"describes one."


class Chosen(NamedTuple):
    """What of which corpus."""

    corpus: str
    min_messages: int = 0
    max_users: int = 0

    def select(self) -> data.Selection:
        """Read it, and say what was left out."""
        found = data.select(paths.corpus(self.corpus), min_messages=self.min_messages, max_users=self.max_users)
        say_left_out(found.split)
        return found


def sampling(command: Command) -> Command:
    """Add --min-messages and --max-users to a command."""
    for option in (
        click.option(
            "--max-users",
            type=Whole(min=1),
            help="Number of users to sample from each file; all if not given.",
        ),
        click.option(
            "--min-messages",
            type=Whole(min=1),
            help="Leave out users with fewer messages; 10 if neither this nor the corpus's description says otherwise.",
        ),
    ):
        command = option(command)
    return command


def speaking(command: Command) -> Command:
    """Add --language to a command."""
    return click.option(
        "--language",
        type=click.Choice(CODES),
        help="Language of the corpus; detected from its words if not given.",
    )(command)


def say_language(warning: str) -> None:
    """Say that a corpus does not look like its language, if it does not."""
    if warning:
        click.echo(warning, err=True)


def start_for(language: str | None, start: str | None) -> str | None:
    """Return what a run begins with: the corpus's seed in other languages, since the public start is English."""
    return SEED if start is None and language not in {None, "en"} else start


def say_left_out(split: data.Split) -> None:
    """Say what of a corpus nothing is made of, if that is something."""
    if any((split.left_out.users, split.left_out.beyond, split.left_out.not_sampled)):
        click.echo(f"left out of the corpus: {split.left_out}", err=True)


def of_run(model: Path) -> Chosen | None:
    """Return what the run that made a model was trained on, if its folder says so."""
    try:
        config = json.loads(files.read(model.resolve().parent / "config.json"))["config"]
        return Chosen(str(config["corpus"]), int(config.get("min_messages", 0)), int(config.get("max_users", 0)))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def chosen(corpus: str | None, min_messages: int | None, max_users: int | None, model: Path | None = None) -> Chosen:
    """Return what options say; what they leave open is as the model's run had it, or the default."""
    before = of_run(model) if model is not None else None
    if before is None or (corpus is not None and corpus != before.corpus):
        before = Chosen(corpus or "chitchat")
    return Chosen(before.corpus, min_messages or before.min_messages, max_users or before.max_users)
