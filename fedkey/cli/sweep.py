"""`fedkey sweep`: runs that differ in some settings."""

import subprocess
import sys
from pathlib import Path

import click

from federation.server.dashboard.runs import StoredRun
from federation.simulation.sweep import Sweep, Trial
from fedkey import paths


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=paths.RUNS / "sweep",
    show_default=True,
    help="Their folder.",
)
def sweep(file: Path, out: Path) -> None:
    """Train a run for each combination of settings that FILE asks for, one after the other.

    FILE is TOML with a [grid] and a [random] table; see `federation.simulation.sweep`. The same command goes on where
    it was stopped.
    """
    wanted = Sweep.load(file)
    for number, trial in enumerate(wanted.trials, 1):
        click.echo(f"{trial.name}, {number} of {len(wanted.trials)}: {', '.join(trial.assignments) or 'as it is'}")
        command = [sys.executable, "-m", "fedkey", "simulate", "--out", str(out / trial.name)]
        if wanted.config is not None:
            command += ["--config", str(wanted.config)]
        for assignment in trial.assignments:
            command += ["--set", assignment]
        if subprocess.run(command, check=False).returncode:  # noqa: S603 - this program
            raise click.ClickException(f"{trial.name} failed: mend {file}, and run the same command again")
    for line in _ranked(out, wanted.trials):
        click.echo(line)
    click.echo(f"side by side in a browser: fedkey dashboard {out}/*")


def _ranked(out: Path, trials: tuple[Trial, ...]) -> list[str]:
    """Return a line for each run, the best first."""
    found = []
    for trial in trials:
        loss = StoredRun.load(out / trial.name).latest("validation_loss")
        found.append((float("inf") if loss is None else loss, trial))
    found.sort(key=lambda each: each[0])
    return [f"{loss:8.4f}  {trial.name}  {', '.join(trial.assignments)}" for loss, trial in found]
