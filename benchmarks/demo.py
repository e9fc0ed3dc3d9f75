"""`fedkey demo` from beginning to end, as somebody who tries fedkey runs it: how long it takes, and what it gains.

    uv run python -m benchmarks.demo

It begins anew each time. Gains are those of the demo's own last table over its best row of public text alone that is a
mixture, paired over its held-out users. Options that are not of this script are the demo's.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.results import Figure, write
from federation.simulation.ablation import BOTH, COUNTED, PUBLIC, TRAINED
from federation.simulation.run_folder import JUDGED
from model.evaluation import CHANGE_QUANTILES, SHOWN, Evaluation, compare

POOLED = "5-gram central"


def main() -> None:
    """Run the demo and write the figures."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo-benchmark"), help="the demo's folder, made anew")
    parser.add_argument("--again", action="store_true", help="only read what an earlier call left in the folder")
    arguments, options = parser.parse_known_args()
    out: Path = arguments.out
    taken = out / "seconds.txt"
    if not arguments.again:
        command = [sys.executable, "-m", "fedkey", "demo", "--restart", "--out", str(out), *options]
        started = time.monotonic()
        subprocess.run([*command, "--report", str(out / "report.html")], stdin=subprocess.DEVNULL, check=True)
        taken.write_text(f"{time.monotonic() - started:.1f}")
    rows = [Evaluation.from_json(row) for row in json.loads((out / JUDGED).read_text())]
    write("demo", [Figure("demo_seconds", float(taken.read_text()), "s, from the command to the end"), *_figures(rows)])


def _figures(rows: list[Evaluation]) -> list[Figure]:
    by_name = {row.name: row for row in rows}
    public, pooled = by_name[PUBLIC], by_name[POOLED]
    figures = [
        Figure(f"demo_{_named(row)}_{metric}", row.value(metric), "%", PUBLIC, public.value(metric))
        for row in rows
        for metric in SHOWN
    ]
    for metric in SHOWN:
        for name, prefix in ((BOTH, "demo"), (COUNTED, "demo_counts"), (TRAINED, "demo_training")):
            found = compare(public, by_name[name], metric)
            figures += [
                Figure(f"{prefix}_gain_{metric}_points", found.difference, "points over the public mixture"),
                Figure(f"{prefix}_gain_{metric}_standard_error", found.standard_error, "points, paired over users"),
            ]
        over = compare(pooled, by_name[BOTH], metric)
        figures += [
            Figure(f"demo_over_pooled_5gram_{metric}_points", over.difference, "points"),
            Figure(f"demo_over_pooled_5gram_{metric}_standard_error", over.standard_error, "points"),
        ]
    found = compare(public, by_name[BOTH])
    for share, name in ((found.helped, "helped"), (found.harmed, "harmed")):
        told = "% of users, against the public mixture, top-1"
        figures.append(Figure(f"demo_users_{name}_percent", 100 * share, told))
    for percent, change in zip(CHANGE_QUANTILES, found.quantiles, strict=True):
        figures.append(Figure(f"demo_gain_top1_user_q{percent}", change, "points over the public mixture, of a user"))
    figures.append(Figure("demo_users", len(public.users), "held-out users"))
    return figures


def _named(row: Evaluation) -> str:
    return row.name.replace(" + ", "_").replace(" ", "_").replace("-", "")


if __name__ == "__main__":
    main()
