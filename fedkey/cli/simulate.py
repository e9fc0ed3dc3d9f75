"""`fedkey simulate`: train a model with simulated clients."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from data.corpus import CorpusError
from federation.base.config import parsed
from federation.fleet.scenario import Scenario
from federation.simulation.config import SimulationConfig
from federation.simulation.prepare import Prepared, prepared
from federation.simulation.run_folder import FOLDER
from fedkey import paths
from fedkey.cli.corpora import HELP, Command, sampling, say_language, say_left_out, speaking, start_for
from fedkey.cli.output import loading_tensorflow, say
from fedkey.cli.places import Place
from fedkey.cli.values import Setting
from fedkey.progress import TrainingProgress, megabytes
from model import folders
from model.checkpoint import Checkpoint

_DEFAULTS = SimulationConfig.beginning(None)
_WORDS_SHOWN = 12

_WHOLE, _NUMBER = Setting(int), Setting(float)


def _setting(option: str, name: str, **rest: Any) -> Callable[[Command], Command]:
    """Return an option that sets `name` of the settings, and shows what it is if nobody says so."""
    value: Any = _DEFAULTS
    for part in name.split("."):
        value = getattr(value, part)
    shown = ",".join(value) if isinstance(value, tuple) else str(value)
    return click.option(option, name.replace(".", "__"), show_default=shown, **rest)


@click.command()
@click.option("--config", "file", type=Place(), help="TOML file of settings.")
@click.option("--scenario", type=Place(), help="TOML file that describes the fleet; see docs/scenarios.md.")
@click.option(
    "--out",
    type=Place(),
    default=paths.RUNS / "simulation",
    show_default=True,
    help="The run's folder.",
)
@click.option("--restart", is_flag=True, help="Delete the run in the folder and start again.")
@click.option("--corpus", help=HELP)
@click.option(
    "--start",
    help="Initial model: public, which ships with fedkey (the default); seed, trained on the "
    "corpus's public users; or the folder of a model or of a public start.",
)
@click.option(
    "--public",
    "files",
    multiple=True,
    help="File of public text to extend a public start with; may be given several times.",
)
@sampling
@speaking
@_setting(
    "--words/--no-words",
    "words",
    default=None,
    help="Have every client vote once for new words before the first round; they join the model's lexicon.",
)
@_setting("--size", "size", help="Network size: small or gboard.")
@_setting("--rounds", "rounds", type=_WHOLE, help="Number of rounds.")
@_setting("--cohort", "cohort", type=_WHOLE, help="Number of clients in a round.")
@_setting("--local-epochs", "client.epochs", type=_WHOLE, help="Passes over a client's data in a round.")
@_setting(
    "--client-rows",
    "client_rows",
    type=_WHOLE,
    help="Maximum number of rows a client trains on in a round; 0 for no limit.",
)
@_setting("--client-learning-rate", "client.learning_rate", type=_NUMBER, help="Learning rate of the clients' SGD.")
@_setting("--weighting", "client.weighting", help="Weight of a client in the mean: examples or uniform.")
@_setting("--proximal-strength", "client.proximal_strength", type=_NUMBER, help="FedProx's mu.")
@_setting("--server-optimizer", "server.name", help="Server optimizer: sgd, adam, yogi or adagrad.")
@_setting(
    "--server-learning-rate",
    "server.learning_rate",
    type=_NUMBER,
    help="Server learning rate in the first round.",
)
@_setting(
    "--mechanism",
    "privacy.mechanism",
    help="Noise mechanism: none, gaussian or blt (added by the server), skellam or "
    "discrete_gaussian (added by clients).",
)
@_setting(
    "--noise-multiplier",
    "privacy.noise_multiplier",
    type=_NUMBER,
    help="Standard deviation of the noise on the sum, divided by the clip norm.",
)
@_setting(
    "--noise-cohort",
    "privacy.noise_cohort",
    type=_WHOLE,
    help="Scale the noise as for a cohort of this size. Shows what a larger fleet would learn; protects nobody.",
)
@_setting("--clip", "privacy.clip", type=_NUMBER, help="Clip norm: L2 bound of a client's update.")
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
@_setting("--seed", "seed", type=_WHOLE, help="Random seed.")
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

    The run is saved after every round; the same command resumes it.
    """
    config = SimulationConfig.beginning(start if file else start_for(options["language"], start), file)
    if scenario:
        config = config.with_scenario(Scenario.from_toml(scenario))
    given = {name.replace("__", "."): value for name, value in options.items() if value is not None}
    # Together, since one may be impossible without another.
    config = config.with_options(given | parsed(extra) | ({"public": list(files)} if files else {}))
    paths.check_corpus(config.corpus)
    for text in config.public:
        if not Path(text).is_file():
            raise CorpusError(text, "no such file; --public takes files of public text")
    folders.check(out, FOLDER)
    with loading_tensorflow():
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
    begun = (out / "warm_start").exists() and not restart
    if model and config.words and not begun:
        model = _after_votes(model, ready, config)
    if restart:
        folders.clear(out, FOLDER)
    vocabulary = model.vocabulary if model else ready.vocabulary
    run = Run(out, config, vocabulary, ready.rows(config.row_length))
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
        say(f"privacy cost: uv run fedkey privacy report {out}")
    say(
        f"model in {run.model_path}\n"
        f"evaluate it: uv run fedkey evaluate {run.model_path} --corpus {config.corpus} --against ngram"
    )


def _after_votes(model: Checkpoint, ready: Prepared, config: SimulationConfig) -> Checkpoint:
    """Return the model with the words that all clients vote for, and say how many those are."""
    from federation.simulation.voting import after_votes

    tables = ready.tables["train"]
    clients = [[message.tolist() for message in tables.messages(user)] for user in range(len(tables.users))]
    say(f"{len(clients)} clients vote for new words")
    after = after_votes(model, clients, config.privacy, config.seed)
    new = sorted(set(after.vocabulary.words) - set(model.vocabulary.words))
    shown = [*new[:_WORDS_SHOWN], *(["…"] if len(new) > _WORDS_SHOWN else [])]
    say(f"{len(new)} new words in the lexicon: {', '.join(shown)}" if new else "no word had enough votes")
    return after
