from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from model.evaluation import COUNTS, Evaluation
from model.evaluation.plot import plot_learning, plot_models


def evaluation(name: str, hits: list[float], words: float = 50) -> Evaluation:
    counts = {count: np.full(len(hits), words) for count in COUNTS}
    counts["hits_at_1"] = np.array(hits)
    return Evaluation(name, tuple(map(str, range(len(hits)))), counts)


def test_models_are_drawn_with_their_names_and_figures(tmp_path: Path) -> None:
    path = tmp_path / "models.svg"
    plot_models([evaluation("n-gram", [5, 10, 6]), evaluation("network", [9, 11, 6])], path)
    drawn = path.read_text()
    assert ET.fromstring(drawn).tag.endswith("svg")
    for label in ("n-gram", "network", "14.0", "17.3", "top-1 %", "KSR %"):
        assert f"<!-- {label} -->" in drawn


@pytest.mark.parametrize("hits", [[5.0], [5.0] * 8])
def test_one_user_and_many_models_are_drawn(tmp_path: Path, hits: list[float]) -> None:
    path = tmp_path / "models.png"
    plot_models([evaluation(f"model {i}", hits) for i in range(8)], path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_user_without_words_is_drawn(tmp_path: Path) -> None:
    plot_models([evaluation("m", [0.0], words=0)], tmp_path / "models.png")
    assert (tmp_path / "models.png").stat().st_size


def test_a_learning_curve_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "curve.svg"
    plot_learning([1, 5, 10], [10.0, 14.5, 15.0], "recall %", path)
    assert "<!-- recall % -->" in path.read_text()
