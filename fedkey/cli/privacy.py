"""`fedkey privacy`: what a training run costs a phone, and what noise a target asks for."""

import math
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from federation.errors import ConfigError
from fedkey.cli.errors import UserErrors
from fedkey.cli.output import JSON, print_json
from fedkey.cli.places import Place
from fedkey.cli.values import DELTA, Real, Whole
from model import files

if TYPE_CHECKING:
    from federation.privacy.accountant import Account, Sampling
    from federation.privacy.participation import Participation
    from federation.privacy.proposals import Proposal
    from federation.rounds.counting_plans import CountingPlan

_COLUMNS = """\
rounds          of the run
cohort          phones in a round
separation      rounds between two of a phone, at least; participations: rounds that it is in, at most
multiplier      z, to set as noise_multiplier: deviation of the independent noise on a sum, over the clip
on the model    deviation of the noise in a weight of the model, over the clip: root mean square over the rounds, with
                a server step of one. At a million weights noise is as long as the clip where this is 0.001
fresh           noise drawn anew every round (mechanism gaussian); blt: correlated over rounds for these columns
"""


_SHARES = (0.1, 0.03, 0.01, 0.003, 0.001)
"""Of phones that contribute something once, for which a plan of counts says how many phones are needed."""


@click.group(cls=UserErrors)
def privacy() -> None:
    """Account for differential privacy."""


@privacy.command()
@click.argument("run", required=False, type=Place())
@click.option(
    "--plan",
    "plan_file",
    type=Place(exists=True, dir_okay=False),
    help="Plan of every round, for runs in which phones add the noise.",
)
@click.option("--mechanism", type=click.Choice(["gaussian", "blt"]), help="Mechanism of a server that adds the noise.")
@click.option(
    "--noise-multiplier",
    type=Real(0, min_open=True),
    help="Standard deviation of that noise on the sum, divided by the clip norm.",
)
@click.option("--rounds", type=Whole(1), help="Number of rounds.")
@click.option("--participations", type=Whole(1), help="Maximum number of rounds a phone takes part in.")
@click.option(
    "--separation",
    type=Whole(1),
    default=1,
    show_default=True,
    help="Minimum number of rounds between two participations of a phone.",
)
@click.option("--delta", type=DELTA, help="Probability that the bound may fail; 1e-10, or that of the run.")
@click.option(
    "--sampling",
    type=click.Choice(["arrival", "poisson", "shuffled"]),
    default="arrival",
    show_default=True,
    help="How phones get into a cohort. Only `arrival` is accepted: phones are not sampled at random.",
)
@JSON
def report(
    run: Path | None,
    plan_file: Path | None,
    mechanism: str | None,
    noise_multiplier: float | None,
    rounds: int | None,
    participations: int | None,
    separation: int,
    delta: float | None,
    sampling: str,
    *,
    as_json: bool,
) -> None:
    """Print epsilon, delta, rho, the unit of privacy, every assumption and every number that noise does not cover.

    Of RUN, the folder of a simulated run or of a round server, as it went; or of a planned run that options describe.
    """
    from federation.privacy.accountant import Sampling
    from federation.privacy.conversion import DEFAULT_DELTA
    from federation.privacy.participation import Participation
    from federation.privacy.training import RunRecord

    if sum(given is not None for given in (run, plan_file, mechanism)) != 1:
        raise click.UsageError("give a run's folder, --plan or --mechanism")
    chosen = Sampling(sampling)
    if run is not None:
        if rounds or participations:
            raise click.UsageError("a run's folder says how many rounds there were and who took part")
        if (run / "server.toml").exists():
            from federation.server.installation import Installation
            from federation.server.privacy_report import spent

            served = spent(Installation.load(run).database, delta or DEFAULT_DELTA, chosen)
            _print(served.mechanism, served.account, as_json=as_json)
            return
        record = RunRecord.load(run)
        if delta is not None:
            record = record.with_delta(delta)
        _print(record.mechanism, record.account(chosen), as_json=as_json)
        return
    if rounds is None or participations is None:
        raise click.UsageError("a planned run needs --rounds and --participations")
    participation = Participation(rounds, participations, separation)
    if plan_file is not None:
        _print(*_of_plan(plan_file, participation, delta or DEFAULT_DELTA, chosen), as_json=as_json)
    elif noise_multiplier is None:
        raise click.UsageError("--mechanism needs --noise-multiplier")
    else:
        found = _of_server(str(mechanism), noise_multiplier, participation, delta or DEFAULT_DELTA, chosen)
        _print(*found, as_json=as_json)


def _of_server(
    mechanism: str, noise_multiplier: float, participation: "Participation", delta: float, sampling: "Sampling"
) -> tuple[str, "Account"]:
    from federation.privacy.accountant import Account
    from federation.privacy.buffers import optimised
    from federation.privacy.toeplitz import Buffers

    buffers = optimised(participation) if mechanism == "blt" else Buffers()
    account = Account.planned(buffers, noise_multiplier, participation, delta, sampling=sampling)
    return f"{buffers.name}, by the server", account


def _of_plan(
    plan_file: Path, participation: "Participation", delta: float, sampling: "Sampling"
) -> tuple[str, "Account"]:
    from federation.privacy.accountant import Account
    from federation.privacy.mechanisms import NoiseScale
    from federation.privacy.training import client_noise_assumptions
    from federation.privacy.zcdp import round_rho
    from federation.protocol.plan import PLAN_BYTES, Mechanism, RoundPlan

    plan = RoundPlan.from_bytes(files.read(plan_file)[:PLAN_BYTES])
    rho = round_rho(NoiseScale.of(plan))
    account = Account.of_phone(
        rho * participation.max_participations,
        participation,
        delta,
        sampling=sampling,
        whole_orders=plan.privacy.mechanism is Mechanism.SKELLAM,
    ).assuming(*client_noise_assumptions(plan))
    name = plan.privacy.mechanism.name.lower().replace("_", " ")
    return f"{name}, by phones, before masking; a round costs rho {rho:.4g}", account


def _print(mechanism: str, account: "Account", *, as_json: bool) -> None:
    if as_json:
        rho, epsilon = account.others or (account.rho, account.epsilon)
        others = {"rho": rho, "epsilon": epsilon}
        print_json({"mechanism": mechanism, "unit": account.unit, **asdict(account), "others": others})
        return
    click.echo(f"mechanism    {mechanism}")
    click.echo(f"epsilon      {account.epsilon:.3g}")
    if account.others is not None:
        rho, epsilon = account.others
        click.echo(f"             that is against the server; {epsilon:.3g} (rho {rho:.4g}) against everybody else")
    click.echo(f"delta        {account.delta:.3g}")
    click.echo(f"rho          {account.rho:.4g} (zCDP)")
    click.echo(f"unit         {account.unit}")
    for title, lines in (("assumes", account.assumptions), ("not covered", account.unprotected)):
        for left, line in zip([title, *[""] * len(lines)], lines, strict=False):
            click.echo(f"{left:12} {line}")


@privacy.command()
@click.option("--target-epsilon", type=Real(0, min_open=True), required=True, help="Target epsilon of the whole run.")
@click.option("--population", type=Whole(1), required=True, help="Number of phones in the population.")
@click.option("--rounds", type=Whole(1), multiple=True, help="Number of rounds; may be given several times to compare.")
@click.option("--delta", type=DELTA, help="Probability that the bound may fail; 1e-10 as in reports.")
@click.option(
    "--what",
    type=click.Choice(["training", "counts", "words"]),
    default="training",
    show_default=True,
    help="Rounds that train; one that counts n-grams; or one that votes for new words.",
)
@click.option("--clip", type=Real(0, min_open=True), help="L2 bound of a phone's counts; 64, or that of 20 votes.")
@click.option("--length", type=Whole(2), help="Length of the list; that of the list that phones count or vote on.")
@JSON
def plan(
    target_epsilon: float,
    population: int,
    rounds: tuple[int, ...],
    delta: float | None,
    what: str,
    clip: float | None,
    length: int | None,
    *,
    as_json: bool,
) -> None:
    """Propose noise, cohort and rounds for a target epsilon.

    Every phone comes once in each pass over the population. For counts and words: the noise of one round in which
    everybody takes part, what can be seen through it, and the population that it needs. Exits with 1 if this one is too
    small.
    """
    from federation.privacy.conversion import DEFAULT_DELTA
    from federation.privacy.proposals import proposals

    delta = delta or DEFAULT_DELTA
    if what != "training":
        if rounds:
            raise click.UsageError("--rounds goes with --what training: what is counted is counted in one round")
        _plan_counting(target_epsilon, delta, population, what, clip, length, as_json=as_json)
        return
    if clip is not None or length is not None:
        raise click.UsageError("--clip and --length go with --what counts and --what words")
    found = proposals(target_epsilon, delta, population, rounds or (500, 2000))
    if as_json:
        print_json([_proposed(each) for each in found])
        return
    click.echo(f"epsilon {target_epsilon:g} at delta {delta:g} is rho {found[0].rho:.4g}")
    for line in _table(found):
        click.echo(line)
    click.echo(f"\n{_COLUMNS}", nl=False)


def _plan_counting(
    target_epsilon: float,
    delta: float,
    population: int,
    what: str,
    clip: float | None,
    length: int | None,
    *,
    as_json: bool,
) -> None:
    from federation.rounds.counting import CountingSettings
    from federation.rounds.counting_plans import CountingPlan
    from federation.rounds.voting import CLIP

    words = what == "words"
    clip = (CLIP if words else CountingSettings().clip) if clip is None else clip
    length = length or _listed(words=words)
    if not 0 < clip < math.inf:
        raise click.UsageError(f"--clip must be above 0, not {clip}")
    found = CountingPlan.within(target_epsilon, delta, population, clip=clip, length=length)
    if as_json:
        measured = ("rho", "multiplier", "deviation", "threshold", "share", "enough")
        told = {name: getattr(found, name) for name in measured}
        needed_for = {str(share): found.population_for(share) for share in _SHARES}
        print_json({"what": what, "clip": clip, "length": length, **told, "phones_needed_for_share": needed_for})
    else:
        click.echo(
            f"epsilon {target_epsilon:g} at delta {delta:g} is rho {found.rho:.4g}, spent in one round of {what}"
        )
        _print_counting(found, "word" if words else "n-gram")
    if not found.enough:
        raise ConfigError(found.refusal(what, target_epsilon))


def _print_counting(found: "CountingPlan", thing: str) -> None:
    click.echo(f"noise multiplier {found.multiplier:.3g}; a list of {found.length:,} {thing}s, clip {found.clip:.3g}")
    click.echo(f"noise on a counter of {found.population:,} phones' sum: {found.deviation:,.3g}; below")
    click.echo(
        f"{found.threshold:,.0f} a sum is taken for noise: {100 * min(found.share, 1):.2g} % of phones, once each"
    )
    click.echo(f"\nto see one {thing} that this share of phones contributes once   phones needed")
    for share in _SHARES:
        click.echo(f"{100 * share:>45g} %   {found.population_for(share):>22,}")


def _listed(*, words: bool) -> int:
    """Return how many n-grams phones count that come with the public start, or words that they vote for."""
    from model import public_start
    from model.counts import NgramList
    from model.ngram_table import NgramTable
    from model.vocabulary import Vocabulary

    start = public_start.shipped()
    return len(Vocabulary.load(start).candidates) if words else len(NgramList.pinned(NgramTable.load(start)))


def _proposed(row: "Proposal") -> dict[str, object]:
    from federation.privacy.toeplitz import Buffers

    noise = {
        name: {"multiplier": row.multiplier(buffers), "on_the_model": row.on_models(buffers)}
        for name, buffers in (("fresh", Buffers()), ("blt", row.buffers))
    }
    return {**asdict(row.participation), "cohort": row.cohort, "rho": row.rho, **noise}


def _table(found: "list[Proposal]") -> Iterator[str]:
    from federation.privacy.toeplitz import Buffers

    yield "                                            fresh                     blt"
    yield "rounds  cohort  separation  participations  multiplier  on the model  multiplier  on the model"
    for row in found:
        kind = row.participation
        line = f"{kind.rounds:6}  {row.cohort:6}  {kind.min_separation:10}  {kind.max_participations:14}"
        for buffers in (Buffers(), row.buffers):
            line += f"  {row.multiplier(buffers):10.3g}  {row.on_models(buffers):12.3g}"
        yield line


@privacy.command()
@click.argument("run", type=Place(exists=True, file_okay=False))
@click.option(
    "--canaries",
    type=Whole(100),
    default=600,
    show_default=True,
    help="Number of canary clients; half of them take part.",
)
@click.option("--delta", type=DELTA, help="Probability that the bound may fail; that of the run.")
@JSON
def audit(run: Path, canaries: int, delta: float | None, *, as_json: bool) -> None:
    """Try the noise of RUN, the folder of a simulated run, with canaries: what an attacker tells of them.

    The mechanism noises the run's rounds once more, with clients that are known and in or out by chance. An attacker
    who sees all that is released sets a lower bound of 95 % confidence, which has to lie below what the account claims.
    Exits with 1 if it lies above it by more than chance explains (one in a million).
    """
    from federation.privacy.audit import CERTAINTY
    from federation.privacy.training import RunRecord
    from federation.simulation.audit import audit as tried

    record = RunRecord.load(run)
    if delta is not None:
        record = record.with_delta(delta)
    account = record.account()
    with click.progressbar(length=1000, label="trials", file=sys.stderr) as bar:
        found = tried(record, canaries=canaries, progress=lambda done, all_: bar.update(1000 * done // all_ - bar.pos))
    claimed = math.sqrt(2 * account.rho)
    if as_json:
        claim = {"epsilon": account.epsilon, "delta": account.delta, "mu": claimed}
        least = {
            "epsilon": found.epsilon_of_mu(account.delta),
            "mu": found.least_mu,
            "epsilon_of_guesses": found.epsilon_of_guesses,
        }
        inside, outside = len(found.inside), len(found.outside)
        canaries_told = {"inside": inside, "outside": outside}
        print_json({"mechanism": record.mechanism, "canaries": canaries_told, "claim": claim, "at_least": least})
    else:
        click.echo(f"mechanism    {record.mechanism}")
        click.echo(f"canaries     {len(found.inside)} in the run, {len(found.outside)} out of it")
        click.echo(f"claim        epsilon {account.epsilon:.3g} at delta {account.delta:.3g}; mu {claimed:.3g}")
        click.echo(
            f"at least     epsilon {found.epsilon_of_mu(account.delta):.3g}; mu {found.least_mu:.3g}, "
            f"estimated {found.mu:.3g}, if what the attacker sees is normal"
        )
        click.echo(f"             epsilon {found.epsilon_of_guesses:.3g} from right guesses alone, whatever the noise")
    if found.refutes(claimed, account.epsilon, CERTAINTY):
        raise ConfigError("the noise is weaker than the account says: do not rely on this run's epsilon")
    if found.refutes(claimed, account.epsilon, found.confidence):
        click.echo("a bound is above the claim, as in one of twenty audits by chance: take more canaries", err=True)


@privacy.command()
@click.argument("server", type=Place(exists=True, file_okay=False))
def renew(server: Path) -> None:
    """Start new noise on SERVER, the folder of a round server that was restored from a copy of all its files.

    A database that alone was put back is noticed by itself. Rounds after the copy was made are in no account.
    """
    from federation.server.installation import Installation
    from federation.server.noise import renew as begin_anew

    with Installation.load(server).database.write() as session:
        number = begin_anew(session)
    click.echo(f"rounds from now on have noise of their own, stream {number}: restart the server")
