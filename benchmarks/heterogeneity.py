"""Uneven phones: how many rounds complete, and what is learnt, under drop-out, with over-selection and without.

    uv run python -m benchmarks.heterogeneity

The fleet is that of `heterogeneity.toml`: four classes of speed, most phones there at night. Rounds are played on the
virtual clock of the simulation, beginning at midnight. Completion is counted over all `--played` rounds; a model is
trained through the first `--rounds` of them on the engine of phones, an abandoned round teaching nothing. Recall is of
pieces in all clients' later messages. The network is the small one, and clients train on at most 640 pieces a round.

Of a drop-out of d, a fifth vanishes when keys are advertised, a tenth when they are shared, three fifths while
training and uploading, and a tenth afterwards. Over-selection follows the drop-out that was seen in the rounds before.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.arguments import whole
from benchmarks.engine_rounds import CLIENT_ROWS, Fleet, cosine_rate, recall_percent
from benchmarks.results import Figure, write
from federation.fleet.scenario import Device, DropOut, Scenario
from federation.fleet.virtual_clock import VirtualClock
from federation.protocol import message_sizes
from federation.protocol.plan import RoundPlan
from federation.rounds.server_optimizers import SgdMomentum
from federation.updates.encoding import choose
from model.engine import TRAINING_BATCH
from model.evaluation import QUANTILES, Spread, Totals

FLEET = Path(__file__).with_suffix(".toml")
DROP_OUTS = (0.0, 0.1, 0.2, 0.3)
OVER_SELECTION, MAX_OVER_SELECTION = 1.3, 3.0
TOKENS_A_ROW = 18  # of 20 places


@dataclass(frozen=True)
class Outcome:
    """Of a drop-out, with or without over-selection.

    Attributes:
        completed: share of rounds, in percent.
        minutes: that a completed round takes, in the middle.
        wasted: phones that trained for nothing, of all that trained, in percent.
        totals: of each client after the rounds.
    """

    completed: float
    minutes: float
    wasted: float
    totals: list[Totals]


def dropping(scenario: Scenario, share: float, *, over_selection: float, max_over_selection: float) -> Scenario:
    """Return the scenario with another drop-out and over-selection."""
    out = DropOut(
        advertise=0.2 * share, share=0.1 * share, upload=0.6 * share, confirm=0.05 * share, unmask=0.05 * share
    )
    rounds = replace(scenario.rounds, over_selection=over_selection, max_over_selection=max_over_selection)
    return replace(scenario, drop_out=out, rounds=rounds)


def clock(fleet: Fleet, scenario: Scenario, goal: int) -> VirtualClock:
    """Return the clock of a scenario in which phones send 16 bits a weight or fewer."""
    most = scenario.rounds.max_phones(goal)
    plan = RoundPlan(
        round_id=1,
        model_sha256=bytes(32),
        dimension=fleet.start.size,
        encoding=choose(most, 1.0, fleet.start.size),
        clip=1.0,
        weight_cap=CLIENT_ROWS,
        rotation_seed=bytes(32),
        minimum=scenario.rounds.minimum,
        deadlines=scenario.rounds.deadlines,
    )
    sizes = message_sizes.of_round(plan, most, model_bytes=4 * fleet.start.size)
    return VirtualClock(scenario, 1, len(fleet.train), lambda _, device: work(fleet, device)[1], goal, sizes)


def work(fleet: Fleet, device: Device) -> tuple[int, int]:
    """Return the batches and about how many tokens a client trains on in a round."""
    rows = min(len(fleet.train[device.index]), CLIENT_ROWS)
    batches = -(-rows // TRAINING_BATCH)
    done = device.steps(batches, rows * TOKENS_A_ROW)
    return done, min(rows, done * TRAINING_BATCH) * TOKENS_A_ROW


def run(fleet: Fleet, scenario: Scenario, *, goal: int, rounds: int, played: int) -> Outcome:
    """Play rounds and train through the first of them."""
    virtual = clock(fleet, scenario, goal)
    all_rounds = [virtual.round(number) for number in range(1, played + 1)]
    state = SgdMomentum().initialize(fleet.start)
    for number, one in enumerate(all_rounds[:rounds], 1):
        if not one.completed:
            continue
        mean = np.zeros_like(fleet.start)
        examples = 0
        for client in one.contributed:
            batches, _ = work(fleet, virtual.device(client))
            update = fleet.update(state.weights, client, [number, client], batches=batches)
            mean += np.float32(update.tally.examples) * update.delta
            examples += update.tally.examples
        state = SgdMomentum(learning_rate=cosine_rate(number, rounds)).apply(state, mean / np.float32(examples))
    done = [one for one in all_rounds if one.completed]
    wasted = sum(one.wasted for one in all_rounds)
    used = sum(len(one.contributed) for one in all_rounds)
    return Outcome(
        100 * len(done) / played,
        float(np.median([one.closed_seconds - one.opened_seconds for one in done])) / 60 if done else float("nan"),
        100 * wasted / max(wasted + used, 1),
        fleet.evaluate(state.weights),
    )


def main() -> None:
    """Measure every drop-out with and without over-selection."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=whole, default=40, help="that a model is trained through")
    parser.add_argument("--played", type=whole, default=1000, help="that completion is counted over")
    parser.add_argument("--goal", type=whole, default=10, help="phones wanted in a sum")
    arguments = parser.parse_args()
    fleet = Fleet.warmed_up()
    scenario = Scenario.from_toml(FLEET)
    kinds = [device.kind.name for device in scenario.devices(1, len(fleet.train))]
    figures = [Figure("recall_before_rounds", recall_percent(fleet.evaluate(fleet.start)), "% of pieces")]
    undisturbed = float("nan")
    for share in DROP_OUTS:
        name = f"drop{round(100 * share)}"
        over, plain = (
            run(
                fleet,
                dropping(scenario, share, over_selection=first, max_over_selection=most),
                goal=arguments.goal,
                rounds=arguments.rounds,
                played=arguments.played,
            )
            for first, most in ((OVER_SELECTION, MAX_OVER_SELECTION), (1.0, 1.0))
        )
        recall = recall_percent(over.totals)
        undisturbed = recall if share == 0 else undisturbed
        figures += [
            Figure(f"completed_rounds_{name}_percent", over.completed, "%", "no over-selection", plain.completed),
            Figure(f"recall_{name}", recall, "% of pieces", "no over-selection", recall_percent(plain.totals)),
            Figure(f"recall_{name}_share", recall, "% of pieces", "no drop-out", undisturbed),
            Figure(f"round_minutes_{name}", over.minutes, "minutes", "no over-selection", plain.minutes),
            Figure(f"wasted_training_{name}_percent", over.wasted, "%", "no over-selection", plain.wasted),
        ]
        spread = Spread.of(over.totals)
        figures += [Figure(f"recall_{name}_q{q}", spread.quantile(q), "% of pieces, of clients") for q in QUANTILES]
        by_class = {
            name_of: recall_percent(
                [t for t, kind in zip(over.totals, kinds, strict=False) if kind == name_of and t.targets]
            )
            for name_of in dict.fromkeys(kinds)
        }
        figures.append(
            Figure(f"recall_{name}_old", by_class["old"], "% of pieces, of old phones", "new phones", by_class["new"])
        )
        write("heterogeneity", figures)


if __name__ == "__main__":
    main()
