"""Attacks on what phones send and on what they learn together, before and after what is done against them.

    uv run python -m benchmarks.attacks

Four kinds: words and their order out of updates (`attack_reconstruction`), what one phone alone typed out of the model
(`attack_memorisation`), poisoned models (`attack_poisoning`), and backdoors that are planted for hundreds of rounds
(`attack_endurance`, on a compact network; 138 runs of half a minute each). The others are on ChitChat, the small
network, phones' settings, with the engine that phones run; recall is over pieces of all clients' later messages. The
start and every run are kept as soon as they are done (`--out`), under their settings, so the script goes on where it
was stopped; a change of the code that attacks or defends needs a new folder.
"""

import argparse
import signal
import sys
import time
from pathlib import Path

from benchmarks import attack_endurance, attack_memorisation, attack_poisoning, attack_reconstruction
from benchmarks.arguments import whole
from benchmarks.attack_compact import CompactGround
from benchmarks.attack_ground import Ground
from benchmarks.results import Figure, kept_figures, write
from federation.simulation.adversaries import ATTACKS
from fedkey.paths import RUNS

PARTS = ("reconstruction", "memorisation", "poisoning", "endurance")


def main() -> None:
    """Attack and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--victims", type=whole, default=20, help="phones whose words are looked for")
    parser.add_argument("--secret-rounds", type=whole, default=12, help="rounds of training with secrets")
    parser.add_argument("--rounds", type=whole, default=6, help="rounds under each poisoning")
    parser.add_argument("--cohort", type=whole, default=60, help="phones in a round under poisoning")
    parser.add_argument("--passes", type=whole, default=5, help="of an attacker over its poison in a round")
    parser.add_argument("--seed", type=whole, default=1)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure; other figures stay")
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=ATTACKS, help="poisoning, in this order")
    parser.add_argument(
        "--endured",
        nargs="+",
        choices=attack_endurance.ATTACKS,
        default=attack_endurance.ATTACKS,
        help="endurance, in this order",
    )
    parser.add_argument("--shares", nargs="+", type=whole, default=attack_endurance.SHARES, help="in %% of phones")
    parser.add_argument("--seeds", type=whole, default=3, help="of endurance; kept runs of others do not count")
    parser.add_argument("--kept", action="store_true", help="endurance: write figures of runs that are kept, run none")
    parser.add_argument("--out", type=Path, default=RUNS / "attacks", help="folder for what is kept between calls")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # then what was measured is written
    started = time.monotonic()
    figures: list[Figure] = []
    try:
        if {"reconstruction", "memorisation", "poisoning"} & set(arguments.parts):
            _short(arguments, figures)
        if "endurance" in arguments.parts:
            _long(arguments, figures)
        print(f"all done after {time.monotonic() - started:.0f} s", flush=True)
    finally:
        names = {figure.figure for figure in figures}
        write("attacks", figures, keep=lambda name: name not in names)


def _short(arguments: argparse.Namespace, figures: list[Figure]) -> None:
    """Add the figures of all parts but the last, as they are measured."""
    out, seed, victims, secret_rounds = arguments.out, arguments.seed, arguments.victims, arguments.secret_rounds
    ground = Ground.prepared(out / "start")
    if "reconstruction" in arguments.parts:
        figures += kept_figures(
            out / f"reconstruction-{victims}-{seed}.json",
            lambda: attack_reconstruction.measured(ground, victims=victims, seed=seed),
        )
    if "memorisation" in arguments.parts:
        figures += kept_figures(
            out / f"memorisation-{secret_rounds}-{seed}.json",
            lambda: attack_memorisation.measured(ground, rounds=secret_rounds, seed=seed),
        )
    if "poisoning" in arguments.parts:
        settings = {name: getattr(arguments, name) for name in ("rounds", "cohort", "seed", "passes")}
        for part in attack_poisoning.measured(ground, out, arguments.attacks, **settings):
            figures += part


def _long(arguments: argparse.Namespace, figures: list[Figure]) -> None:
    """Add the figures of all runs of endurance that are kept, also if it is stopped before the last."""
    planned = [*attack_endurance.courses(arguments.endured, arguments.shares, arguments.seeds)]
    try:
        if not arguments.kept:
            ground = CompactGround.prepared(arguments.out / "compact.npy")
            attack_endurance.measured(ground, arguments.out, planned)
    finally:
        figures += attack_endurance.figures(arguments.out, planned)
        attack_endurance.draw(arguments.out, planned)


if __name__ == "__main__":
    main()
