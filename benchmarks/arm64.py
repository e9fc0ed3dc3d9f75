"""How far a phone's processor agrees with this one: both engines, the window, and how long the comparison takes.

    uv run python -m benchmarks.arm64

The same probe runs here and on emulated arm64 (`tests.arm64`, which asserts what is only measured here), with the small
public start and its n-grams. Emulation says nothing of speed: what takes how long is how long the tests take.
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.results import Figure, write
from model.engine import Engine


def main() -> None:
    """Measure, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = [*(engine.name.lower() for engine in Engine), "window"]
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--export", type=Path, help="folder that `fedkey export` wrote, instead of the public start")
    arguments = parser.parse_args()
    chosen = arguments.parts
    from model import public_start  # noqa: PLC0415
    from model.export import export  # noqa: PLC0415
    from tests.arm64.agreement import EXACT, measure, painted  # noqa: PLC0415
    from tests.arm64.processor import Processor  # noqa: PLC0415

    began = time.perf_counter()
    processor = Processor()
    figures = [Figure("prepare_s", time.perf_counter() - began, "s, next to nothing once it is cached")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        exported = arguments.export or export(public_start.load("small"), folder / "model").directory
        for engine in Engine:
            if engine.name.lower() not in chosen:
                continue
            began = time.perf_counter()
            found = measure(processor, engine, exported, folder)
            kind = engine.name.lower()
            figures += [
                Figure(f"{kind}_same_strips", 100 * found.same_strips, f"% of {len(found.strips)} texts"),
                Figure(f"{kind}_probability_difference", found.relative("probabilities"), "largest, relative"),
                Figure(f"{kind}_loss_difference", found.relative("losses"), "largest, relative, before and after"),
                Figure(f"{kind}_weight_difference", found.absolute("weights"), "largest, after 12 steps"),
                Figure(f"{kind}_same_to_the_bit", len(EXACT) - len(found.differing), "results", "all", len(EXACT)),
                Figure(f"{kind}_compare_s", time.perf_counter() - began, "s"),
            ]
        if "window" in chosen:
            began = time.perf_counter()
            _, differing = painted(processor, exported, folder)
            figures += [
                Figure("window_pixels_differing", 100 * differing, "%"),
                Figure("window_compare_s", time.perf_counter() - began, "s"),
            ]
    write("arm64", figures)


if __name__ == "__main__":
    main()
