"""Rounds with noise in a plain loop: as much noise as phones make, and runs that go on where they were stopped."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import noised_rounds
from benchmarks.noised_rounds import Ground, Recipe, phones_noise, train
from federation.privacy.toeplitz import Buffers
from federation.privacy.training import PrivateTraining
from federation.protocol.trust import UNTRUSTED
from federation.simulation.aggregations import aggregation
from federation.updates.update import Tally, Update
from model.layout import FlatVector

PHONES, COORDINATES, CLIP = 20, 8000, 0.3
RECIPE = Recipe(rounds=3, cohort=2, clip=CLIP, noise=1e-4, buffers=Buffers((0.9,), (0.3,)))


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """A hundred users who write what nobody needs to read, and the public start."""
    corpus = tmp_path / "small.jsonl"
    lines = [json.dumps({"user": f"user-{n % 100}", "text": f"do you like rain and {n} trains"}) for n in range(1400)]
    corpus.write_text("\n".join(lines))
    monkeypatch.setattr(noised_rounds, "CORPUS", str(corpus))
    monkeypatch.setattr(noised_rounds, "cache", lambda: tmp_path)
    monkeypatch.setattr(noised_rounds, "_KEPT_EVERY", 1)
    return Ground()


def test_a_mean_has_as_much_noise_as_phones_at_the_floor_make() -> None:
    settings = PrivateTraining("skellam", UNTRUSTED.min_noise_multiplier, clip=CLIP, corrupt=PHONES // 2)
    sums = aggregation(settings, cohort=PHONES, dimension=COORDINATES, uniform=True, secret=bytes(32))
    nothing = [Update(np.zeros(COORDINATES, np.float32), Tally(1))] * PHONES
    total, _ = sums.apply(sums.initialize(), nothing, 1)
    made = float(np.std(total.delta)) / PHONES / CLIP
    assert made == pytest.approx(phones_noise(UNTRUSTED, PHONES, CLIP, COORDINATES), rel=0.06)


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_with_the_same_weights(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(ground, RECIPE, tmp_path / "whole")
    delta = ground.delta

    def stopped(weights: FlatVector, client: int, recipe: Recipe, number: int) -> FlatVector:
        if number == 2:
            raise KeyboardInterrupt
        return delta(weights, client, recipe, number)

    with monkeypatch.context() as patched:
        patched.setattr(ground, "delta", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(ground, RECIPE, tmp_path / "stopped")
    resumed = train(ground, RECIPE, tmp_path / "stopped")
    assert np.array_equal(resumed.weights, whole.weights)
    assert resumed.steps == whole.steps
    assert whole.drift > 0
    with pytest.raises(SystemExit, match="take another --out"):
        train(ground, replace(RECIPE, noise=0.0), tmp_path / "stopped")
