"""`fedkey privacy`: what a training run costs a phone, and what noise a target asks for."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedkey.cli.errors import UserErrors

if TYPE_CHECKING:
    from federation.privacy.accountant import Account

_DELTA = 1e-10


@click.group(cls=UserErrors)
def privacy() -> None:
    """Account for differential privacy."""


@privacy.command()
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Plan of every round: phones add the noise.",
)
@click.option("--tree-noise", type=float, help="Noise multiplier of DP-FTRL on a server: noise on a tree of rounds.")
@click.option("--restart", type=click.IntRange(0), default=0, help="Rounds of a tree, after which a new one begins.")
@click.option("--rounds", type=click.IntRange(1), help="Rounds of the run.")
@click.option("--participations", type=click.IntRange(1), help="Rounds that a phone is in at most.")
@click.option("--separation", type=click.IntRange(1), default=1, show_default=True, help="Rounds between them.")
@click.option("--delta", type=float, help="Probability that the bound may fail; 1e-10, or that of the run.")
@click.option(
    "--sampling",
    type=click.Choice(["arrival", "poisson", "shuffled"]),
    default="arrival",
    show_default=True,
    help="How phones come into a cohort; all but `arrival` are refused.",
)
def report(
    run: Path | None,
    plan_file: Path | None,
    tree_noise: float | None,
    restart: int,
    rounds: int | None,
    participations: int | None,
    separation: int,
    delta: float | None,
    sampling: str,
) -> None:
    """Print epsilon, delta, rho, the unit of privacy and every assumption.

    Of RUN, the folder of a simulated run or of a round server, as it went; or of a planned run that options describe.
    """
    from federation.privacy.accountant import Account, Participation, Sampling
    from federation.privacy.mechanisms import NoiseScale
    from federation.privacy.training import RunRecord, client_noise_assumptions
    from federation.privacy.zcdp import round_rho
    from federation.protocol.plan import PLAN_BYTES, Mechanism, RoundPlan

    if sum(given is not None for given in (run, plan_file, tree_noise)) != 1:
        raise click.UsageError("give a run's folder, --plan or --tree-noise")
    chosen = Sampling(sampling)
    if run is not None:
        if rounds or participations:
            raise click.UsageError("a run's folder says how many rounds there were and who took part")
        if (run / "server.toml").exists():
            from federation.server.installation import Installation
            from federation.server.privacy_report import spent

            served = spent(Installation.load(run).database, delta or _DELTA, chosen)
            _print(served.mechanism, served.account)
            return
        record = RunRecord.load(run)
        if delta is not None:
            record = record.with_delta(delta)
        _print(record.mechanism, record.account(chosen))
        return
    if rounds is None or participations is None:
        raise click.UsageError("a planned run needs --rounds and --participations")
    participation, delta = Participation(rounds, participations, separation), delta or _DELTA
    if tree_noise is not None:
        account = Account.tree(tree_noise, participation, delta, sampling=chosen, restart_rounds=restart)
        _print("Gaussian, on a binary tree of rounds, by the server", account)
    elif plan_file is not None:
        plan = RoundPlan.from_bytes(plan_file.read_bytes()[:PLAN_BYTES])
        cost = round_rho(NoiseScale.of(plan))
        whole = plan.privacy.mechanism is Mechanism.SKELLAM
        account = Account.independent(cost, participation, delta, sampling=chosen, whole_orders=whole)
        name = plan.privacy.mechanism.name.lower().replace("_", " ")
        _print(
            f"{name}, by phones, before masking; a round costs rho {cost:.4g}",
            account.assuming(*client_noise_assumptions(plan)),
        )


def _print(mechanism: str, account: "Account") -> None:
    click.echo(f"mechanism    {mechanism}")
    click.echo(f"epsilon      {account.epsilon:.3g}")
    click.echo(f"delta        {account.delta:.3g}")
    click.echo(f"rho          {account.rho:.4g} (zCDP)")
    click.echo(f"unit         {account.unit}")
    for title, line in zip(["assumes", *[""] * len(account.assumptions)], account.assumptions, strict=False):
        click.echo(f"{title:12} {line}")


@privacy.command()
@click.option("--target-epsilon", type=float, required=True, help="Of the whole run.")
@click.option("--population", type=click.IntRange(1), required=True, help="Phones that take part now and then.")
@click.option("--rounds", type=click.IntRange(1), multiple=True, help="Of the run; several may be compared.")
@click.option("--delta", default=_DELTA, show_default=True, help="Probability that the bound may fail.")
def plan(target_epsilon: float, population: int, rounds: tuple[int, ...], delta: float) -> None:
    """Propose noise, cohort and rounds for a target.

    Every phone comes once in each pass over the population. What learning feels is the noise on the sum of all rounds'
    means, given as a share of the clip; fresh noise is a walk over the rounds, that of a tree stays.
    """
    from federation.privacy.accountant import MAX_IN_TREES
    from federation.privacy.proposals import proposals

    found = proposals(target_epsilon, delta, population, rounds or (200, 500, 1000, 2000))
    click.echo(f"epsilon {target_epsilon:g} at delta {delta:g} is rho {found[0].rho:.4g}")
    click.echo("                                            fresh noise             noise on a tree")
    click.echo("rounds  cohort  separation  participations  multiplier  all rounds  multiplier  all rounds")
    for row in found:
        line = f"{row.participation.rounds:6}  {row.cohort:6}  {row.participation.minimum_separation:10}"
        line += f"  {row.participation.most:14}  {row.fresh_noise:10.3g}  {row.fresh_on_all_rounds:10.3g}"
        if row.tree_noise is not None and row.tree_on_all_rounds is not None:
            line += f"  {row.tree_noise:10.3g}  {row.tree_on_all_rounds:10.3g}"
        click.echo(line)
    click.echo(f"trees are accounted for up to {MAX_IN_TREES} participations of a phone")
