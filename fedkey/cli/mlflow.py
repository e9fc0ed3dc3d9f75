"""`fedkey mlflow`: runs for MLflow."""

from pathlib import Path

import click

from federation.server.dashboard.runs import StoredRun
from federation.simulation.mlflow_store import MlflowStore
from fedkey import paths
from fedkey.cli.output import say
from fedkey.cli.places import Place


@click.command()
@click.argument("folders", nargs=-1, required=True, type=Place(exists=True, file_okay=False))
@click.option(
    "--store",
    type=Place(dir_okay=False),
    default=paths.RUNS / "mlflow.db",
    show_default=True,
    help="SQLite file of MLflow's, made if there is none.",
)
def mlflow(folders: tuple[Path, ...], store: Path) -> None:
    """Write simulated runs in FOLDERS into a local store of MLflow: their settings, and the figures of their rounds.

    Rounds that are there already are left out: the same command follows a run that goes on. Nothing is sent anywhere.
    """
    for folder in folders:
        StoredRun.load(folder)
    kept = MlflowStore(store)
    for folder in folders:
        click.echo(f"{folder}: {kept.add(folder)} new rounds")
    say(f"look at them: uvx mlflow ui --backend-store-uri sqlite:///{store}")
