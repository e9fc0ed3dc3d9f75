"""`fedkey simulate`: train a model with simulated clients."""

from pathlib import Path
from typing import Any

import click

from federation.fleet.scenario import Scenario
from federation.simulation.config import SimulationConfig
from federation.simulation.prepare import prepared
from federation.simulation.run import Run
from federation.simulation.run_folder import FOLDER
from federation.simulation.start import start_of
from fedkey import paths
from fedkey.cli.corpora import HELP, sampling, say_language, say_left_out, speaking, start_for
from fedkey.progress import TrainingProgress, megabytes
from model import folders


@click.command()
@click.option("--config", "file", type=click.Path(path_type=Path), help="TOML file with any of the settings.")
@click.option("--scenario", type=click.Path(path_type=Path), help="TOML file with the phones there are.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=paths.RUNS / "simulation",
    show_default=True,
    help="The run's folder.",
)
@click.option("--restart", is_flag=True, help="Delete a run that is in the folder and begin again.")
@click.option("--corpus", help=HELP)
@click.option(
    "--start",
    help="What the first round begins with: public, which comes with fedkey (the default); seed, the corpus's public "
    "users alone; or the folder of a model or of a public start.",
)
@click.option(
    "--public",
    "files",
    multiple=True,
    help="File of public text that extends a public start; may be given several times.",
)
@sampling
@speaking
@click.option("--size", help="Network: small or gboard.")
@click.option("--rounds", type=int, help="Rounds of federated averaging.")
@click.option("--cohort", type=int, help="Clients in a round.")
@click.option("--local-epochs", type=int, help="Passes of a client over its data in a round.")
@click.option("--client-rows", type=int, help="At most so many rows of a client in a round; 0 is no limit.")
@click.option("--client-learning-rate", "client__learning_rate", type=float, help="Of the clients' SGD.")
@click.option("--weighting", "client__weighting", help="examples or uniform.")
@click.option("--proximal-strength", "client__proximal_strength", type=float, help="FedProx's mu.")
@click.option("--server-optimizer", "server__name", help="sgd, adam, yogi or adagrad.")
@click.option("--server-learning-rate", "server__learning_rate", type=float, help="At the first round.")
@click.option(
    "--mechanism",
    "privacy__mechanism",
    help="Noise: none, gaussian or blt (server), skellam or discrete_gaussian (clients).",
)
@click.option(
    "--noise-multiplier", "privacy__noise_multiplier", type=float, help="Of the noise on a sum, over the clip."
)
@click.option(
    "--noise-cohort",
    "privacy__noise_cohort",
    type=int,
    help="Size of a larger cohort whose noise is simulated: shows what it would learn, and protects nobody.",
)
@click.option("--clip", "privacy__clip", type=float, help="L2 bound of a client's update.")
@click.option("--seed", type=int, help="Everything random follows from it.")
@click.option(
    "--set", "extra", multiple=True, metavar="NAME=VALUE", help="Any other setting, such as server.momentum=0."
)
def simulate(
    file: Path | None,
    scenario: Path | None,
    out: Path,
    restart: bool,
    start: str | None,
    files: tuple[str, ...],
    extra: tuple[str, ...],
    **options: Any,
) -> None:
    """Train a model by federated averaging over simulated clients.

    The run is saved after every round; the same command goes on where it was stopped.
    """
    config = SimulationConfig.beginning(start if file else start_for(options["language"], start), file)
    if scenario:
        config = config.with_scenario(Scenario.from_toml(scenario))
    config = config.with_options(
        {name.replace("__", "."): value for name, value in options.items() if value is not None}
    )
    config = config.with_assignments(extra)
    if files:
        config = config.with_options({"public": list(files)})
    folders.check(out, FOLDER)
    model = start_of(config, out, restart=restart)
    ready = prepared(
        paths.corpus(config.corpus),
        paths.cache(),
        min_messages=config.min_messages,
        max_users=config.max_users,
        vocabulary=model.vocabulary if model else None,
        language=config.language,
    )
    say_left_out(ready.split)
    say_language(ready.warning)
    if restart:
        folders.clear(out, FOLDER)
    run = Run(out, config, ready.vocabulary, ready.rows(config.row_length))
    if model:
        run.begin_with(model)
    click.echo(f"{len(ready.tables['train'].users)} clients, network {config.size}: {run.network.parameters:,} weights")
    click.echo(
        f"in a round a phone would send {megabytes(run.traffic.up)} and receive at most "
        f"{megabytes(run.traffic.down)}, with the whole model"
    )
    if run.noise_over_clip:
        click.echo(
            f"noise on a round's mean is {run.noise_over_clip:.2g} times as long as the longest update; "
            "well above 1 it hides what a round learns"
        )
    with TrainingProgress(config.rounds, run.rounds_done) as progress:
        run.train(progress.watcher)
    if config.privacy.mechanism != "none":
        click.echo(f"what it cost: uv run fedkey privacy report {out}")
    click.echo(
        f"model in {run.model_path}\n"
        f"judge it: uv run fedkey evaluate {run.model_path} --corpus {config.corpus} --against ngram"
    )
