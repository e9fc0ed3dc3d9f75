"""`fedkey privacy`: what a training run costs a phone, and what noise a target asks for."""

import math
from pathlib import Path

import click

from federation.cli.errors import UserErrors


@click.group(cls=UserErrors)
def privacy() -> None:
    """Account for differential privacy."""


_DELTA = click.option("--delta", default=1e-10, show_default=True, help="Probability that the bound may fail.")
_ROUNDS = click.option("--rounds", type=click.IntRange(1), required=True, help="Rounds of the run.")


@privacy.command()
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Plan of every round: phones add the noise.",
)
@click.option("--tree-noise", type=float, help="Noise multiplier of DP-FTRL on a server: noise on a tree of rounds.")
@_ROUNDS
@click.option("--participations", type=click.IntRange(1), required=True, help="Rounds that a phone is in at most.")
@click.option("--separation", type=click.IntRange(1), default=1, show_default=True, help="Rounds between them.")
@_DELTA
@click.option(
    "--sampling",
    type=click.Choice(["arrival", "poisson", "shuffled"]),
    default="arrival",
    show_default=True,
    help="How phones come into a cohort; all but `arrival` are refused.",
)
def report(
    plan_file: Path | None,
    tree_noise: float | None,
    rounds: int,
    participations: int,
    separation: int,
    delta: float,
    sampling: str,
) -> None:
    """Print epsilon, delta, rho, the unit of privacy and every assumption."""
    from federation.plan import PLAN_BYTES, RoundPlan
    from federation.privacy.accountant import Account, Participation, Sampling
    from federation.privacy.mechanisms import NoiseScale
    from federation.privacy.zcdp import round_rho

    if (plan_file is None) == (tree_noise is None):
        raise click.UsageError("give either --plan or --tree-noise")
    participation, chosen = Participation(rounds, participations, separation), Sampling(sampling)
    if tree_noise is not None:
        account = Account.tree(tree_noise, participation, delta, sampling=chosen)
        click.echo("mechanism    Gaussian, on a binary tree of rounds, by the server")
    elif plan_file is not None:
        scale = NoiseScale.of(RoundPlan.from_bytes(plan_file.read_bytes()[:PLAN_BYTES]))
        cost = round_rho(scale)
        account = Account.independent(cost, participation, delta, sampling=chosen, whole_orders=True)
        click.echo(f"mechanism    {scale.mechanism.name.lower().replace('_', ' ')}, by phones, before masking")
        click.echo(f"             {scale.contributors} phones' noise is counted on; a round costs rho {cost:.4g}")
    click.echo(f"epsilon      {account.epsilon:.3g}")
    click.echo(f"delta        {account.delta:.3g}")
    click.echo(f"rho          {account.rho:.4g} (zCDP)")
    click.echo(f"unit         {account.unit}")
    for title, line in zip(["assumes", *[""] * len(account.assumptions)], account.assumptions, strict=False):
        click.echo(f"{title:12} {line}")


@privacy.command()
@click.option("--target-epsilon", type=float, required=True, help="Of the whole run.")
@click.option("--population", type=click.IntRange(1), required=True, help="Phones that take part now and then.")
@_ROUNDS
@_DELTA
def plan(target_epsilon: float, population: int, rounds: int, delta: float) -> None:
    """Propose a cohort and noise for a target.

    Every phone comes once in each pass over the population. What learning feels is the noise on the mean, which the
    last column gives as a share of the clip.
    """
    from federation.privacy.accountant import Participation, rho_of_epsilon

    rho = rho_of_epsilon(target_epsilon, delta)
    click.echo(f"epsilon {target_epsilon:g} at delta {delta:g} is rho {rho:.4g}")
    click.echo("cohort  separation  participations  noise multiplier  noise on the mean / clip")
    cohorts = [size for size in (50, 100, 200, 500, 1000, 2000, 5000, 10_000) if size <= population]
    for cohort in cohorts or [population]:
        separation = min(population // cohort, rounds)
        participation = Participation(rounds, (rounds - 1) // separation + 1, separation)
        noise = math.sqrt(participation.most / (2 * rho))
        click.echo(f"{cohort:6}  {separation:10}  {participation.most:14}  {noise:16.3g}  {noise / cohort:24.3g}")
