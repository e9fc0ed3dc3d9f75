"""Training and comparing in another process, and the shared models that come of it."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from federation.base import child_processes
from federation.device import TooLittleError
from federation.protocol import model_codec as codec
from federation.protocol.conditions import Conditions
from federation.protocol.task import ComputeBudget, TrainingTask
from federation.protocol.training_settings import TrainingSettings
from keyboard_app import long_work
from keyboard_app.model_comparison import EngineWordModel, Measured, judge, measure
from keyboard_app.shared_models import SharedModels
from keyboard_app.shared_parts import SharedParts
from model.checkpoint import Checkpoint
from model.engine import Export, ExportError
from model.layout import Layout
from model.network_words import NetworkWordModel
from model.spellings import Spellings
from model.text import tokenise
from tests.keyboard_app import work
from tests.keyboard_app.conftest import TEXT

TASK = TrainingTask(
    nonce=bytes(32),
    model_version=1,
    training=TrainingSettings(learning_rate=0.5, epochs=20, gradient_norm=1.0, dropout=0.0),
    budgets={
        "low": ComputeBudget(steps=1, seconds=60),
        "middle": ComputeBudget(steps=100, seconds=600),
        "high": ComputeBudget(steps=200, seconds=600),
    },
    needed=Conditions(),
    separation_seconds=0,
)


def never() -> bool:
    return False


@pytest.fixture
def stepping_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH")


class TestApart:
    @pytest.mark.usefixtures("stepping_back")
    def test_work_is_imported_and_run_in_another_process_with_the_lowest_priority(self) -> None:
        priority, name = child_processes.run(never, work.priority_and_name)
        assert priority == 19
        assert name != multiprocessing.current_process().name
        assert os.nice(0) < 19

    @pytest.mark.usefixtures("stepping_back")
    def test_it_computes_only_while_nobody_else_wants_to(self) -> None:
        assert child_processes.run(never, work.has_no_slices)

    def test_it_is_ended_at_any_time(self) -> None:
        asked = iter([False, False, True])
        with pytest.raises(child_processes.InterruptedWorkError):
            child_processes.run(lambda: next(asked), work.sleep)
        assert multiprocessing.active_children() == []

    def test_it_dies_with_the_app(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "alive")
        code = f"from tests.keyboard_app import work; work.start({str(tmp_path / 'alive')!r})"
        app = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
        with (tmp_path / "alive").open("rb") as alive:  # its writer is the other process, which never closes it
            assert alive.read(1) == b"!"
            app.kill()
            app.wait()
            assert alive.read() == b""

    def test_its_death_is_an_error_here(self) -> None:
        with pytest.raises(child_processes.FailedWorkError):
            child_processes.run(never, work.die)

    def test_its_errors_come_here(self, tmp_path: Path) -> None:
        with pytest.raises(TooLittleError, match="too little"):
            child_processes.run(never, work.refuse)
        with pytest.raises(ExportError):
            child_processes.run(never, long_work.compare_models, tmp_path, SharedParts(), SharedParts(), ["text"])


class TestTraining:
    def test_the_update_points_to_what_was_typed(self, checkpoint: Checkpoint, exported: Export) -> None:
        start = Layout.of(checkpoint.network.layout).flatten(checkpoint.weights)
        texts = ["see you tomorrow then"] * 20
        update = child_processes.run(
            never, long_work.train, exported.directory, codec.to_bytes(start), TASK, texts, "middle"
        )
        assert update.tally.examples > 0
        trainer = exported.trainer()
        encoded = [exported.vocabulary.encode(tokenise(texts[0]))]
        trainer.set_weights(start)
        before = trainer.mean_loss(encoded)
        trainer.set_weights(start + update.delta)
        assert trainer.mean_loss(encoded) < before - 0.5

    def test_training_is_broken_off_in_the_middle(self, checkpoint: Checkpoint, exported: Export) -> None:
        start = codec.to_bytes(Layout.of(checkpoint.network.layout).flatten(checkpoint.weights))
        asked = iter([False] * 3 + [True])
        with pytest.raises(child_processes.InterruptedWorkError):
            child_processes.run(
                lambda: next(asked), long_work.train, exported.directory, start, TASK, TEXT * 500, "high"
            )


class TestComparing:
    def test_the_phones_measure_is_that_of_the_project(self, checkpoint: Checkpoint, exported: Export) -> None:
        spellings = Spellings(exported.vocabulary)
        own = measure(EngineWordModel(exported.trainer(), exported.vocabulary, spellings, name="phone"), TEXT)
        expected = measure(NetworkWordModel(checkpoint, name="desk"), TEXT)  # type: ignore[arg-type]
        for count, values in own.counts.items():
            np.testing.assert_allclose(values, expected.counts[count], rtol=1e-3, err_msg=count)

    def test_a_better_model_is_found_better_and_a_worse_one_clearly_worse(
        self, checkpoint: Checkpoint, exported: Export
    ) -> None:
        start = Layout.of(checkpoint.network.layout).flatten(checkpoint.weights)
        update = long_work.train(exported.directory, codec.to_bytes(start), TASK, TEXT * 20, "middle")
        trained = SharedParts(codec.to_bytes(start + update.delta))
        better = child_processes.run(
            never, long_work.compare_models, exported.directory, SharedParts(), trained, TEXT * 3
        )
        assert better is not None
        assert not better.clearly_worse
        assert better.new.top1 > better.old.top1
        assert better.new.words == better.old.words == 60
        worse = long_work.compare_models(exported.directory, trained, SharedParts(codec.to_bytes(start)), TEXT * 3)
        assert worse is not None
        assert worse.clearly_worse
        assert worse.new == better.old

    def test_a_few_words_say_nothing(self, exported: Export) -> None:
        model = EngineWordModel(exported.trainer(), exported.vocabulary, Spellings(exported.vocabulary), name="phone")
        evaluation = measure(model, ["hello there"])
        assert judge(evaluation, evaluation) is None


class TestSharedModels:
    @pytest.fixture
    def models(self, tmp_path: Path, exported: Export) -> SharedModels:
        return SharedModels(tmp_path / "models", exported)

    @pytest.fixture
    def weights(self, exported: Export) -> bytes:
        return codec.to_bytes(exported.trainer().weights() + np.float32(0.5))

    def test_at_first_there_is_that_of_the_app(self, models: SharedModels) -> None:
        own = models.of("model")
        assert (own.all, own.in_use, own.content(1), own.measured(1)) == ([1], 1, None, None)
        assert models.parts() == SharedParts()

    def test_versions_come_and_are_used_and_left_again(
        self, models: SharedModels, weights: bytes, tmp_path: Path, exported: Export
    ) -> None:
        models.of("model").add(2, weights)
        assert (models.of("model").all, models.of("model").in_use) == ([1, 2], 1)
        models.of("model").use(2)
        again = SharedModels(tmp_path / "models", exported)
        assert again.of("model").in_use == 2
        assert again.parts().weights == weights
        two, one = (again.parts(model=version).predictor(exported).start.following for version in (2, 1))
        assert not np.allclose(two, one)
        again.of("model").use(1)
        assert models.of("model").in_use == 1

    def test_the_oldest_make_room_but_never_the_one_in_use(self, models: SharedModels, weights: bytes) -> None:
        models.of("model").add(2, weights)
        models.of("model").use(2)
        for version in (3, 4, 5):
            models.of("model").add(version, weights)
        assert models.of("model").all == [1, 2, 5]

    def test_how_a_version_did_is_kept(self, models: SharedModels, tmp_path: Path, exported: Export) -> None:
        models.of("model").note(1, Measured(0.25, 0.5, 40))
        models.of("model").use(1)
        assert SharedModels(tmp_path / "models", exported).of("model").measured(1) == Measured(0.25, 0.5, 40)

    def test_damaged_facts_lead_back_to_the_apps_own(
        self, models: SharedModels, weights: bytes, tmp_path: Path
    ) -> None:
        models.of("model").add(2, weights)
        models.of("model").use(2)
        for content in ("{", "[]", '{"in_use": 9}'):
            (tmp_path / "models" / "models.json").write_text(content)
            assert models.of("model").in_use == 1
