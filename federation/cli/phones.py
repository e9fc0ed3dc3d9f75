"""`fedkey phones`: headless phones that type and take part in rounds."""

import math
import threading
import time
from pathlib import Path

import click

import data
from federation.authority import AuthorityFolder
from federation.cli import paths
from federation.enrolment import Credential
from federation.phone import PhoneStore, enrol
from federation.phone.connection import Connection
from federation.phone.headless import HeadlessPhone, HeadlessSettings, TrainerPool, Typist, outcome
from federation.phone.store import RoundRecord
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
    pool = TrainerPool(export)
    stop, seen = threading.Event(), set[int]()

    def credential(store: PhoneStore) -> Credential | None:
        line = Connection(server, store)
        url = line.facts().enrolment_url
        line.close()
        if not url:
            return AuthorityFolder(authority).enrol(store.key.enrolment_request(), _DAYS)
        enrol(url, store)
        return None

    running = []
    for number, (_, texts) in enumerate(clients[:count]):
        phone = HeadlessPhone(
            out / f"phone-{number:03}",
            server,
            enrol=credential,
            typist=Typist(texts, at_first=math.ceil(len(texts) / 2), a_round=math.ceil(len(texts) / 20)),
            pool=pool,
            vocabulary=export.manifest.vocabulary,
            settings=HeadlessSettings(flaky=flaky),
            seed=seed * 1_000_003 + number,
        )

        def show(record: RoundRecord, number: int = number) -> None:
            click.echo(f"phone {number:>3}: {outcome(record)}")
            seen.add(record.round_id)

        running.append((phone, threading.Thread(target=phone.run, args=(stop, show))))
    for _, thread in running:
        thread.start()
    try:
        while rounds is None or len(seen) < rounds or any(phone.round_id is not None for phone, _ in running):
            time.sleep(_LOOK_SECONDS)
    finally:
        stop.set()
        for _, thread in running:
            thread.join()
    problems = {phone.problem for phone, _ in running if phone.problem}
    if problems:
        raise click.ClickException("; ".join(sorted(problems)))
