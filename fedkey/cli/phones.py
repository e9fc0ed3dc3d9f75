"""`fedkey phones`: headless phones that type and take part in rounds."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from federation.fleet.emulation import DAY_SECONDS
from federation.fleet.enrolled_phones import enrolled_phones
from federation.fleet.headless import Fleet, HeadlessPhone, HeadlessSettings, outcome
from federation.fleet.scenario import DropOut, Scenario
from fedkey import paths
from fedkey.cli.corpora import chosen, sampling
from fedkey.cli.places import Place
from fedkey.cli.values import Real, Whole
from model.engine import Export

_LOOK_SECONDS = 0.5


@click.command()
@click.option("--count", default=10, show_default=True, type=Whole(1), help="Number of phones.")
@click.option("--server", default="http://127.0.0.1:8080", show_default=True, help="URL of the round server.")
@click.option("--corpus", default="chitchat", show_default=True, help="Corpus whose clients' messages the phones type.")
@sampling
@click.option("--flaky", type=Real(0, 1), help="Fraction of phones that are killed in each round, at a random step.")
@click.option(
    "--scenario",
    type=Place(exists=True, dir_okay=False),
    help="TOML file that describes the fleet, as for `fedkey simulate`; see docs/scenarios.md.",
)
@click.option(
    "--day",
    default=DAY_SECONDS,
    show_default=True,
    type=Real(1),
    help="Length of a day of the scenario, in seconds.",
)
@click.option("--rounds", type=Whole(1), help="Number of rounds after which to stop; runs until Ctrl-C if not given.")
@click.option(
    "--model",
    type=Place(),
    default=paths.SERVER / "export",
    show_default=True,
    help="Exported model that the phones start with.",
)
@click.option(
    "--authority",
    type=Place(),
    default=paths.AUTHORITY,
    show_default=True,
    help="Folder of the enrolment authority; not needed if the server names an enrolment service.",
)
@click.option(
    "--out",
    type=Place(),
    default=paths.RUNS / "phones",
    show_default=True,
    help="Folder of the phones' stores.",
)
@click.option("--seed", default=1, show_default=True, type=Whole(0))
def phones(
    count: int,
    server: str,
    corpus: str,
    min_messages: int | None,
    max_users: int | None,
    flaky: float | None,
    scenario: Path | None,
    day: float,
    rounds: int | None,
    model: Path,
    authority: Path,
    out: Path,
    seed: int,
) -> None:
    """Run headless phones that type a corpus's messages, train on them, and take part in rounds."""
    if flaky is not None and scenario is not None:
        raise click.UsageError("a scenario says itself where phones drop out: leave --flaky out")
    settings = HeadlessSettings(day_seconds=day)
    if scenario is not None:
        settings = replace(settings, scenario=Scenario.from_toml(scenario))
    elif flaky is not None:
        settings = replace(settings, scenario=replace(settings.scenario, drop_out=DropOut.of_round(flaky)))
    export = Export.load(model)
    clients = list(chosen(corpus, min_messages, max_users).select().split.train.items())
    if count > len(clients):
        raise click.UsageError(f"{corpus} has {len(clients)} clients: --count {len(clients)} at most")
    people = [texts for _, texts in clients[:count]]
    fleet = enrolled_phones(
        people,
        server=server,
        export=export,
        authority=authority,
        out=out,
        settings=settings,
        seed=seed,
    )
    with Fleet(fleet, lambda number, record: click.echo(f"phone {number:>3}: {outcome(record)}")) as running:
        waits = ""
        while rounds is None or running.rounds < rounds:
            time.sleep(_LOOK_SECONDS)
            waits = say_waits(fleet, waits)
            if len(running.problems) == 1 and not running.rounds and all(phone.problem for phone in fleet):
                raise click.ClickException("; ".join(running.problems))


def say_waits(fleet: Sequence[HeadlessPhone], said: str) -> str:
    """Say what phones do and wait for, if that is something else than was said last; return it."""
    doing = Counter(phone.activity for phone in fleet)
    now = ", ".join(f"{count} {what}" for what, count in sorted(doing.items()))
    if now != said:
        click.echo(f"phones: {now}")
    return now
