"""`fedkey demo`: the main job from beginning to end."""

from pathlib import Path

import click

from fedkey import paths
from fedkey.cli.corpora import HELP
from fedkey.cli.output import loading_tensorflow


@click.command()
@click.option(
    "--corpus",
    default="chitchat",
    show_default=True,
    help=HELP,
)
@click.option(
    "--start",
    default="public",
    show_default=True,
    help="What the first round begins with: public, which comes with fedkey, or the folder of a public start or of a "
    "model with n-grams.",
)
@click.option(
    "--rounds", default=32, show_default=True, type=click.IntRange(min=1), help="Rounds of simulated clients."
)
@click.option("--headless-phones", default=10, show_default=True, type=click.IntRange(min=5), help="So many phones.")
@click.option(
    "--phone-rounds",
    default=2,
    show_default=True,
    type=click.IntRange(min=1),
    help="Rounds of training that phones take part in, after the one that counts.",
)
@click.option("--users", default=16, show_default=True, type=click.IntRange(min=2), help="Held-out users to evaluate.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=paths.RUNS / "demo", show_default=True, help="The run's folder."
)
@click.option("--report", type=click.Path(path_type=Path), default=Path("report.html"), show_default=True)
@click.option(
    "--phones",
    type=click.IntRange(min=3, max=6),
    help="Then open so many phones in one window, with a round server of their own: teach two of them a phrase.",
)
@click.option("--self-playing", is_flag=True, help="Let those phones be typed on by nobody, without a window.")
@click.option("--restart", is_flag=True, help="Begin again instead of going on where an earlier demo stopped.")
def demo(
    corpus: str,
    start: str,
    rounds: int,
    headless_phones: int,
    phone_rounds: int,
    users: int,
    out: Path,
    report: Path,
    phones: int | None,
    self_playing: bool,
    restart: bool,
) -> None:
    """Count and train on real chat, with phones and a server, and evaluate what it brings on people it never saw.

    Takes about five minutes on two cores. The same command goes on where it was stopped.
    """
    if self_playing and not phones:
        raise click.UsageError("--self-playing is for the phones of --phones: give both")
    loading_tensorflow()
    from fedkey.cli.demonstration import demonstrate

    demonstrate(
        corpus,
        start,
        rounds=rounds,
        headless_phones=headless_phones,
        phone_rounds=phone_rounds,
        users=users,
        out=out,
        report=report,
        phones=phones,
        self_playing=self_playing,
        restart=restart,
    )
