"""`fedkey phones`: headless phones that type and take part in rounds."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import click

import data
from federation.authority import AuthorityFolder
from federation.cli import paths
from federation.enrolment import Credential
from federation.phone import PhoneStore, enrol
from federation.phone.connection import Connection
from federation.phone.headless import Fleet, HeadlessPhone, HeadlessSettings, TrainerPool, Typist, outcome
from model.engine import Export

_DAYS = 365
_LOOK_SECONDS = 0.5


@click.command()
@click.option("--count", default=10, show_default=True, type=click.IntRange(1), help="Phones.")
@click.option("--server", default="http://127.0.0.1:8080", show_default=True, help="URL of the round server.")
@click.option("--corpus", default="chitchat", show_default=True, help="Whose clients type.")
@click.option(
    "--flaky", default=0.0, show_default=True, type=click.FloatRange(0, 1), help="Killed in a round, how often."
)
@click.option("--rounds", type=click.IntRange(1), help="End after so many rounds; without it, at Ctrl-C.")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    default=paths.SERVER / "export",
    show_default=True,
    help="The network and vocabulary that the phones come with.",
)
@click.option(
    "--authority",
    type=click.Path(path_type=Path),
    default=paths.AUTHORITY,
    show_default=True,
    help="Folder of the authority, unless the server names a desk on the network.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=paths.RUNS / "phones", show_default=True, help="Their stores."
)
@click.option("--seed", default=1, show_default=True)
def phones(
    count: int,
    server: str,
    corpus: str,
    flaky: float,
    rounds: int | None,
    model: Path,
    authority: Path,
    out: Path,
    seed: int,
) -> None:
    """Let headless phones type a corpus's messages, train on them and take part in rounds."""
    export = Export.load(model)
    clients = list(data.split(data.load(paths.corpus(corpus))).train.items())
    if count > len(clients):
        raise click.UsageError(f"{corpus} has {len(clients)} clients: --count {len(clients)} at most")
    people = [texts for _, texts in clients[:count]]
    fleet = headless(
        people,
        server=server,
        export=export,
        authority=authority,
        out=out,
        settings=HeadlessSettings(flaky=flaky),
        seed=seed,
    )
    with Fleet(fleet, lambda number, record: click.echo(f"phone {number:>3}: {outcome(record)}")) as running:
        while rounds is None or running.rounds < rounds:
            time.sleep(_LOOK_SECONDS)
            if len(running.problems) == 1 and not running.rounds and all(phone.problem for phone in fleet):
                raise click.ClickException("; ".join(running.problems))


def headless(
    people: Sequence[Sequence[str]],
    *,
    server: str,
    export: Export,
    authority: Path,
    out: Path,
    settings: HeadlessSettings,
    seed: int,
) -> list[HeadlessPhone]:
    """Return a phone for each of some people, enrolled, who have typed half of their messages already."""
    pool = TrainerPool(export)

    def credential(store: PhoneStore) -> Credential | None:
        line = Connection(server, store)
        url = line.facts().enrolment_url
        line.close()
        if not url:
            return AuthorityFolder(authority).enrol(store.key.enrolment_request(), _DAYS)
        enrol(url, store)
        return None

    return [
        HeadlessPhone(
            out / f"phone-{number:03}",
            server,
            enrol=credential,
            typist=Typist(texts, at_first=math.ceil(len(texts) / 2), a_round=math.ceil(len(texts) / 20)),
            pool=pool,
            vocabulary=export.manifest.vocabulary,
            settings=settings,
            seed=seed * 1_000_003 + number,
        )
        for number, texts in enumerate(people)
    ]
