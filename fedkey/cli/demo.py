"""`fedkey demo`: the main job from beginning to end."""

from pathlib import Path
from typing import Any

import click

from federation.simulation.config import SEED
from federation.simulation.run_folder import FOLDER
from fedkey import paths
from fedkey.cli.corpora import HELP
from fedkey.cli.output import loading_tensorflow
from fedkey.cli.places import Place
from fedkey.cli.values import Whole, check_file
from model import folders
from model.evaluation.report import is_report


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
    help="Initial model: public, which ships with fedkey, or the folder of a public start or of a model with n-grams.",
)
@click.option(
    "--rounds",
    default=32,
    show_default=True,
    type=Whole(min=1),
    help="Number of training rounds of simulated clients.",
)
@click.option("--headless-phones", default=10, show_default=True, type=Whole(min=5), help="Number of headless phones.")
@click.option(
    "--phone-rounds",
    default=2,
    show_default=True,
    type=Whole(min=1),
    help="Number of training rounds with headless phones, after the counting round.",
)
@click.option("--users", default=16, show_default=True, type=Whole(min=2), help="Number of held-out users to evaluate.")
@click.option("--out", type=Place(), default=paths.RUNS / "demo", show_default=True, help="The run's folder.")
@click.option("--report", type=Place(), default=Path("report.html"), show_default=True)
@click.option(
    "--phones",
    type=Whole(min=3, max=6),
    help="Afterwards open this many phones in one window, with a round server of their own: teach "
    "two of them a phrase, and the others learn it.",
)
@click.option("--self-playing", is_flag=True, help="With --phones: type on the phones automatically, without a window.")
@click.option(
    "--film",
    type=Place(dir_okay=False),
    help="With --self-playing: write an animation of those phones into this GIF.",
)
@click.option("--restart", is_flag=True, help="Start again instead of resuming an earlier demo.")
def demo(**options: Any) -> None:
    """Count n-grams and train on real chat, with phones and a server; then evaluate on held-out users.

    Takes about five minutes on two cores. The same command resumes where it was stopped.
    """
    if options["self_playing"] and not options["phones"]:
        raise click.UsageError("--self-playing is for the phones of --phones: give both")
    if options["film"] and not options["self_playing"]:
        raise click.UsageError("--film is for phones that type by themselves: give --self-playing, too")
    paths.check_corpus(options["corpus"])
    if options["start"] == SEED:
        raise click.UsageError("the demo's phones count n-grams of a public start: choose another --start than seed")
    folders.check(options["out"], FOLDER)
    check_file(options["report"], "--report", is_report)
    if options["film"]:
        check_file(options["film"], "--film")
    with loading_tensorflow():
        from fedkey.cli.demonstration import demonstrate

    demonstrate(**options)
