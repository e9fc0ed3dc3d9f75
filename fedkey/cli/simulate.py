"""`fedkey simulate`: train a model with simulated clients."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from federation.fleet.scenario import Scenario
from federation.simulation.config import SimulationConfig
from federation.simulation.prepare import prepared
from federation.simulation.run_folder import FOLDER
from fedkey import paths
from fedkey.cli.corpora import HELP, Command, sampling, say_language, say_left_out, speaking, start_for
from fedkey.cli.output import loading_tensorflow, say
from fedkey.progress import TrainingProgress, megabytes
from model import folders

_DEFAULTS = SimulationConfig.beginning(None)


def _setting(option: str, name: str, **rest: Any) -> Callable[[Command], Command]:
    """Return an option that sets `name` of the settings, and shows what it is if nobody says so."""
    value: Any = _DEFAULTS
    for part in name.split("."):
        value = getattr(value, part)
    shown = ",".join(value) if isinstance(value, tuple) else str(value)
    return click.option(option, name.replace(".", "__"), show_default=shown, **rest)


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
@_setting("--size", "size", help="Network: small or gboard.")
@_setting("--rounds", "rounds", type=int, help="Rounds of federated averaging.")
@_setting("--cohort", "cohort", type=int, help="Clients in a round.")
@_setting("--local-epochs", "client.epochs", type=int, help="Passes of a client over its data in a round.")
@_setting("--client-rows", "client_rows", type=int, help="At most so many rows of a client in a round; 0 is no limit.")
@_setting("--client-learning-rate", "client.learning_rate", type=float, help="Of the clients' SGD.")
@_setting("--weighting", "client.weighting", help="examples or uniform.")
@_setting("--proximal-strength", "client.proximal_strength", type=float, help="FedProx's mu.")
@_setting("--server-optimizer", "server.name", help="sgd, adam, yogi or adagrad.")
@_setting("--server-learning-rate", "server.learning_rate", type=float, help="At the first round.")
@_setting(
    "--mechanism",
    "privacy.mechanism",
    help="Noise: none, gaussian or blt (server), skellam or discrete_gaussian (clients).",
)
@_setting("--noise-multiplier", "privacy.noise_multiplier", type=float, help="Of the noise on a sum, over the clip.")
@_setting(
    "--noise-cohort",
    "privacy.noise_cohort",
    type=int,
    help="Size of a larger cohort whose noise is simulated: shows what it would learn, and protects nobody.",
)
@_setting("--clip", "privacy.clip", type=float, help="L2 bound of a client's update.")
@_setting(
    "--workers",
    "workers",
    callback=lambda _context, _option, value: value.split(",") if value else None,
    metavar="PLACE,...",
    help="Where clients are computed: local, a process of this machine, or HOST:PORT of a `fedkey worker`; each may "
    "stand there several times.",
)
@click.option(
    "--allow-unauthenticated-network",
    is_flag=True,
    default=None,
    help="Reach workers without a tunnel, on a network that only machines of yours are on.",
)
@_setting("--seed", "seed", type=int, help="Everything random follows from it.")
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
    loading_tensorflow()
    from federation.simulation.run import Run
    from federation.simulation.start import start_of

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
    say(f"{len(ready.tables['train'].users)} clients, network {config.size}: {run.network.parameters:,} weights")
    say(
        f"in a round a phone would send {megabytes(run.traffic.up)} and receive at most "
        f"{megabytes(run.traffic.down)}, with the whole model"
    )
    if run.noise_over_clip:
        say(
            f"noise on a round's mean is {run.noise_over_clip:.2g} times as long as the longest update; "
            "well above 1 it hides what a round learns"
        )
    with TrainingProgress(config.rounds, run.rounds_done) as progress:
        run.train(progress.watcher)
    if config.privacy.mechanism != "none":
        say(f"what it cost: uv run fedkey privacy report {out}")
    say(
        f"model in {run.model_path}\n"
        f"evaluate it: uv run fedkey evaluate {run.model_path} --corpus {config.corpus} --against ngram"
    )
