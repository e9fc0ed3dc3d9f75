"""The `fedkey` command: a thin shell that wires the packages together."""

import difflib
import importlib
import os
import warnings
from typing import NamedTuple

import click

from fedkey.cli import output
from fedkey.cli.errors import UserErrors


class _Command(NamedTuple):
    """A subcommand.

    Attributes:
        module, attribute: where it is.
        help: what it does.
        begins: what a person is told while it is imported, if that takes a second or what follows is silent.
    """

    module: str
    attribute: str
    help: str
    begins: str = ""


_COMMANDS = {
    "audit": _Command(
        "fedkey.cli.audit", "audit", "Check a server's log, models and privacy account.", "reading the log"
    ),
    "conformance": _Command(
        "fedkey.cli.conformance",
        "conformance",
        "Test a server or a phone against the protocol.",
        "loading the protocol",
    ),
    "coordinate": _Command("fedkey.cli.serve", "coordinate", "Advance a server's rounds; `serve` starts it."),
    "dashboard": _Command(
        "fedkey.cli.dashboard", "dashboard", "Show a server or simulated runs in a browser.", "opening the dashboard"
    ),
    "data": _Command("fedkey.cli.data", "corpus", "Inspect corpora.", "reading the corpus"),
    "demo": _Command(
        "fedkey.cli.demo", "demo", "Train on real chat, evaluate the result, and try it out.", "beginning the demo"
    ),
    "doctor": _Command("fedkey.cli.doctor", "doctor", "Check this machine, and say how to fix what is missing."),
    "enrol": _Command(
        "fedkey.cli.enrol", "enrol", "Manage the authority that certifies devices.", "opening the authority's folder"
    ),
    "evaluate": _Command("fedkey.cli.evaluate", "evaluate", "Measure how well a model predicts.", "reading the model"),
    "export": _Command("fedkey.cli.export", "export", "Write what a phone downloads.", "reading the model"),
    "ibus": _Command("fedkey.cli.ibus", "ibus", "Type with the keyboard in every application.", "opening the keyboard"),
    "keyboard": _Command(
        "fedkey.cli.keyboard", "keyboard", "Open a phone's keyboard in a window.", "opening the keyboard"
    ),
    "mlflow": _Command("fedkey.cli.mlflow", "mlflow", "Write runs into a local store of MLflow.", "loading MLflow"),
    "models": _Command(
        "fedkey.cli.rounds", "models", "Inspect a server's models, and promote one.", "opening the server's folder"
    ),
    "phones": _Command(
        "fedkey.cli.phones", "phones", "Run headless phones that type and take part in rounds.", "starting phones"
    ),
    "pretrain": _Command(
        "fedkey.cli.pretrain", "pretrain", "Make a public start from public text.", "reading the settings"
    ),
    "privacy": _Command(
        "fedkey.cli.privacy", "privacy", "Plan, report and audit differential privacy.", "computing what privacy costs"
    ),
    "rounds": _Command(
        "fedkey.cli.rounds", "rounds", "Inspect a server's rounds, and roll one back.", "opening the server's folder"
    ),
    "serve": _Command("fedkey.cli.serve", "serve", "Run rounds with phones over HTTP.", "starting the server"),
    "sweep": _Command(
        "fedkey.cli.sweep", "sweep", "Train one run per combination of settings.", "reading the settings"
    ),
    "suggest": _Command("fedkey.cli.suggest", "suggest", "Suggest and learn for another keyboard, by JSON lines."),
    "simulate": _Command(
        "fedkey.cli.simulate",
        "simulate",
        "Train by federated averaging over simulated clients.",
        "reading the settings",
    ),
    "worker": _Command("fedkey.cli.worker", "worker", "Compute for a simulation on another machine."),
}


class _Lazy(UserErrors):
    """Imports a subcommand when it is asked for: TensorFlow takes seconds, and a phone does not have it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command = _COMMANDS[cmd_name]
        # Notices of TensorFlow and of what it imports are not for people who type a command.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)
        found: click.Command = getattr(importlib.import_module(command.module), command.attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a subcommand; one that does not exist is answered with those that are called alike."""
        alike = difflib.get_close_matches(args[0].lower(), _COMMANDS)
        if args[0] not in _COMMANDS and alike:
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean {' or '.join(map(repr, alike))}?", ctx)
        if args[0] in _COMMANDS and _COMMANDS[args[0]].begins and not {"-h", "--help"} & set(args):
            output.begin(_COMMANDS[args[0]].begins)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in sorted(_COMMANDS.items())])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("-q", "--quiet", is_flag=True, help="Print results only.")
@click.option("-v", "--verbose", is_flag=True, help="Print what libraries log, and where errors come from.")
@click.version_option(package_name="fedkey")
def main(*, quiet: bool, verbose: bool) -> None:
    """Keyboard prediction that learns across phones without seeing what anyone types."""
    if quiet and verbose:
        raise click.UsageError("choose one of --quiet and --verbose")
    output.set_level(quiet=quiet, verbose=verbose)
