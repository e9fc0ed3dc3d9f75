from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from model.evaluation import COUNTS, Evaluation, compare, gains_table
from model.evaluation.plot import plot_gains, plot_learning, plot_models, plot_rounds
from model.evaluation.report import LearningCurve, write
from tests.chromium import chromium


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


def test_gains_are_drawn_with_their_signs(tmp_path: Path) -> None:
    base = evaluation("public", [5, 10, 6])
    path = tmp_path / "gains.svg"
    plot_gains(base, [evaluation("better", [9, 11, 6]), evaluation("worse", [4, 9, 6])], path)
    drawn = path.read_text()
    for label in ("better", "worse", "+3.33", "-1.33", "top-1 %, points over public"):
        assert f"<!-- {label} -->" in drawn


def test_gains_are_tabled_with_errors_and_who_loses() -> None:
    base, other = evaluation("public", [5, 10, 6, 7]), evaluation("both", [9, 11, 5, 7])
    head, line = gains_table(base, [other]).splitlines()
    assert head.split()[:3] == ["points", "over", "public"]
    found = compare(base, other)
    assert f"{found.difference:+.2f} ({found.standard_error:.2f})" in line
    assert line.endswith("25")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A report of two models."""
    base, other = evaluation("public", [5, 10, 6]), evaluation("both & <more>", [9, 11, 6])
    page = tmp_path / "report.html"
    write(
        page,
        title="what it learnt",
        facts={"clients": "3"},
        evaluations=[base, other],
        gains=(base, [other]),
        curve=LearningCurve([1, 2], [10.0, 11.0]),
        samples={"how ": {"public": ["are"], "both": ["is", "something", "everything", "internationalisation"]}},
    )
    return page


def test_a_report_is_one_page_with_all_of_it(page: Path) -> None:
    base, other = evaluation("public", [5, 10, 6]), evaluation("both & <more>", [9, 11, 6])
    written = page.read_text()
    assert written.count("<svg") == 3
    assert "both &amp; &lt;more&gt;" in written
    assert "What is gained over public" in written
    assert "users worse" in written
    low = compare(base, other).quantiles[0]
    assert "points gained at</th><th>10 % of users" in written
    assert f"<td>{low:+.1f}</td>" in written


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1000])
def test_a_report_is_no_wider_than_its_window(page: Path, tmp_path: Path, width: int) -> None:
    with chromium(tmp_path / "profile") as shown:
        loaded = f"location.protocol === 'file:' && innerWidth === {width} && document.readyState === 'complete'"
        shown.show(page.as_uri(), width=width, loaded=loaded)
        shown.picture(tmp_path / "report.png")
        assert shown.value("document.documentElement.scrollWidth") == width


def test_curves_over_rounds_have_a_panel_a_measure_and_are_named_once(tmp_path: Path) -> None:
    path = tmp_path / "rounds.svg"
    curve = [(10.0, 0.0), (20.0, 60.0)]
    panels = {
        label: {"in-norm": curve, "in-norm, defended": curve, "other": curve} for label in ("works, %", "likely, %")
    }
    plot_rounds(panels, {"attackers stop": 15.0}, path)
    drawn = path.read_text()
    for label in ("works, %", "likely, %", "in-norm", "in-norm, defended", "other", "attackers stop"):
        assert drawn.count(f"<!-- {label} -->") == 1
