"""`fedkey serve`: rounds with phones over HTTP."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import tomli_w

import data
from federation.base import logs
from federation.base.config import assigned, text_of
from federation.server.coordinator import SimulatedClients
from federation.server.gate import PublicTextGate
from federation.server.installation import Installation
from federation.server.preparation import PUBLIC_TEXT, prepare
from federation.server.serving import check_address, free_port
from federation.server.serving import coordinate as run_coordinator
from federation.server.serving import serve as run_server
from federation.server.settings import ServerSettings
from fedkey import paths
from fedkey.cli.places import Place
from fedkey.cli.values import Whole
from model import files
from model.engine import Export

_GATE_MESSAGES = 2000
_FOLDER = click.option("--folder", type=Place(), default=paths.SERVER, show_default=True, help="The server's folder.")
_CORPUS = click.option(
    "--corpus",
    help="Corpus whose clients are simulated, and whose held-out users' messages the gate evaluates new models on.",
)
_COHORT = click.option(
    "--simulated-cohort",
    default=0,
    type=Whole(0),
    help="Number of clients to simulate in each round, beside the phones.",
)
_COUNTERS = click.option(
    "--simulated-counting",
    type=Whole(1),
    help="Number of clients to simulate in a counting round, where a client costs less; the same number if not given.",
)


@click.command()
@_FOLDER
@click.option("--model", type=Place(), help="First model, a folder that `fedkey export` wrote; needed once.")
@click.option(
    "--settings",
    type=Place(exists=True),
    help="Settings to start a new folder with, as its server.toml.",
)
@click.option(
    "--set",
    "extra",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any setting of a new folder's server.toml, such as rounds.separation_seconds=30.",
)
@click.option(
    "--public-text",
    type=Place(exists=True),
    help="Public text to start a new folder with, as its public.txt; the gate evaluates new models on it.",
)
@click.option(
    "--authority",
    type=Place(),
    default=paths.AUTHORITY,
    show_default=True,
    help="Folder of the enrolment authority whose devices may take part; created if missing. Its "
    "private key is not read.",
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=Whole(0, 65535))
@click.option("--workers", default=2, show_default=True, type=Whole(1))
@click.option("--admin-host", default="127.0.0.1", show_default=True, help="Address of the dashboard and of /metrics.")
@click.option(
    "--admin-port",
    default=8090,
    show_default=True,
    type=Whole(0, 65535),
    help="Port of the dashboard and of /metrics; 0 for any free port.",
)
@_COHORT
@_COUNTERS
@_CORPUS
def serve(
    folder: Path,
    model: Path | None,
    settings: Path | None,
    extra: tuple[str, ...],
    public_text: Path | None,
    authority: Path,
    host: str,
    port: int,
    workers: int,
    admin_host: str,
    admin_port: int,
    simulated_cohort: int,
    simulated_counting: int | None,
    corpus: str | None,
) -> None:
    """Run rounds with phones over HTTP; SQLite and files in one folder, unless its server.toml names other stores."""
    _check_simulated(simulated_cohort, simulated_counting, corpus)
    if (host, port) == (admin_host, admin_port) and port:
        raise click.UsageError("the dashboard needs a port of its own: choose another --port or --admin-port")
    check_address(host, port)
    check_address(admin_host, admin_port)
    prepare(
        folder,
        model=model,
        settings=_settings(settings, extra),
        public_text=_public_text(public_text, corpus),
        authority=authority,
        texts_are_given=public_text is not None,
    )
    installation = Installation.load(folder)
    noise = installation.settings.rounds.noise_over_clip(installation.export.manifest.network.parameters)
    if noise:
        click.echo(
            f"noise on a round's mean is {noise:.2g} times as long as the longest update; "
            "well above 1 it hides what a round learns"
        )
    fedkey = [sys.executable, "-m", "fedkey"]
    command = [*fedkey, "coordinate", "--folder", str(folder)]
    show = [*fedkey, "dashboard", str(folder), "--host", admin_host, "--port", str(admin_port or free_port(admin_host))]
    if simulated_cohort and corpus:
        counting = str(simulated_counting or simulated_cohort)
        command += ["--simulated-cohort", str(simulated_cohort), "--simulated-counting", counting, "--corpus", corpus]
    logs.to_stderr()
    run_server(folder, host=host, port=port, workers=workers, beside=[command, show])


@click.command()
@_FOLDER
@_COHORT
@_COUNTERS
@_CORPUS
@click.option("--parent", type=Whole(1), hidden=True, help="Process without which this one ends.")
def coordinate(
    folder: Path, simulated_cohort: int, simulated_counting: int | None, corpus: str | None, parent: int | None
) -> None:
    """Advance a server's rounds. `fedkey serve` starts this beside its workers."""
    _check_simulated(simulated_cohort, simulated_counting, corpus)
    logs.to_stderr()
    installation = Installation.load(folder)
    export = installation.export
    texts = files.read_text(folder / PUBLIC_TEXT).splitlines()
    gate = PublicTextGate(export, texts, installation.settings.max_relative_gate_loss)
    sizes = simulated_cohort, simulated_counting or simulated_cohort
    with _simulated_clients(installation, export, sizes, corpus) as clients:
        run_coordinator(installation.coordinator(gate, clients, gate.probe, installation.counting(texts)), parent)


def _check_simulated(cohort: int, counting: int | None, corpus: str | None) -> None:
    if cohort and not corpus:
        raise click.UsageError("--simulated-cohort needs --corpus: whose clients it simulates")
    if corpus:
        paths.check_corpus(corpus)
    if counting and not cohort:
        raise click.UsageError("--simulated-counting goes with --simulated-cohort: simulated clients train as well")


def _settings(file: Path | None, assignments: Sequence[str]) -> ServerSettings | None:
    """Return what server.toml is to say, if anything was asked for."""
    if file is None and not assignments:
        return None
    where = str(file or "options")
    table = assigned(text_of(file) if file else "", assignments, where)
    return ServerSettings.from_toml(tomli_w.dumps(table), where)


def _public_text(file: Path | None, corpus: str | None) -> Callable[[], Sequence[str]] | None:
    if file is not None:
        return lambda: text_of(file).splitlines()
    if corpus is None:
        return None

    def of_corpus() -> Sequence[str]:
        held_out = data.select(paths.corpus(corpus)).split.held_out
        return [" ".join(text.split()) for texts in held_out.values() for text in texts][:_GATE_MESSAGES]

    return of_corpus


@contextmanager
def _simulated_clients(
    installation: Installation, export: Export, sizes: tuple[int, int], corpus: str | None
) -> Iterator[SimulatedClients | None]:
    size, counting = sizes
    if not size or not corpus:
        yield None
        return
    from federation.simulation.client_training import ClientTraining
    from federation.simulation.simulated_cohort import simulated_cohort as begin

    rounds = installation.settings.rounds
    training = ClientTraining.like_phones(rounds.training)
    named, cap = paths.corpus(corpus), rounds.weight_cap
    with begin(named, paths.cache(), export, training, size=size, counting=counting, weight_cap=cap) as clients:
        yield clients
