"""`fedkey sweep`: runs that differ in some settings."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from federation.server.dashboard.runs import StoredRun
from federation.simulation.sweep import Sweep, Trial
from fedkey import paths
from fedkey.cli.output import JSON, print_json, say
from fedkey.cli.places import Place


@click.command()
@click.argument("file", type=Place(exists=True, dir_okay=False), metavar="FILE")
@click.option(
    "--out",
    type=Place(),
    default=paths.RUNS / "sweep",
    show_default=True,
    help="Folder of the runs.",
)
@JSON
def sweep(file: Path, out: Path, *, as_json: bool) -> None:
    """Train a run for each combination of settings that FILE asks for, one after the other.

    FILE is TOML with a [grid] and a [random] table; see `federation.simulation.sweep`. The same command
    resumes where it was stopped.
    """
    wanted = Sweep.load(file)
    for number, trial in enumerate(wanted.trials, 1):
        click.echo(
            f"{trial.name}, {number} of {len(wanted.trials)}: {', '.join(trial.assignments) or 'as it is'}",
            err=as_json,
        )
        command = [sys.executable, "-m", "fedkey", "simulate", "--out", str(out / trial.name)]
        if wanted.config is not None:
            command += ["--config", str(wanted.config)]
        for assignment in trial.assignments:
            command += ["--set", assignment]
        output = sys.stderr.fileno() if as_json else None
        if subprocess.run(command, check=False, stdout=output).returncode:  # noqa: S603 - this program
            raise click.ClickException(f"{trial.name} failed: mend {file}, and run the same command again")
    ranked = _ranked(out, wanted.trials)
    if as_json:
        print_json(ranked)
        return
    for each in ranked:
        click.echo(f"{each.validation_loss:8.4f}  {each.name}  {', '.join(each.assignments)}")
    say(f"side by side in a browser: fedkey dashboard {out}/*")


@dataclass(frozen=True)
class _Ranked:
    name: str
    assignments: tuple[str, ...]
    validation_loss: float


def _ranked(out: Path, trials: tuple[Trial, ...]) -> list[_Ranked]:
    """Return all runs, the best first."""
    found = []
    for trial in trials:
        loss = StoredRun.load(out / trial.name).latest("validation_loss")
        found.append(_Ranked(trial.name, tuple(trial.assignments), float("inf") if loss is None else loss))
    return sorted(found, key=lambda each: each.validation_loss)
