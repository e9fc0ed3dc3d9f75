"""Plots of evaluations; the only place that draws them."""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")  # no display is needed
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.evaluation.metrics import METRICS, QUANTILES, SHOWN, Evaluation, compare

COLOURS = ("#1a73e8", "#e8710a", "#188038", "#a142f4", "#5f6368", "#d93025", "#12b5cb", "#795548")
_LINES = ("-", "--", "-.", ":")
_ROOM_BELOW = 2.0
_STANDARD_ERRORS = 2


def plot_models(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Draw recall and keystroke saving of several models with standard errors, and the spread over users.

    Args:
        evaluations: in the order of the legend.
        path: an .svg or .png file.
    """
    figure, (bars, spread) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=(3, 2), layout="constrained")
    _bars(bars, evaluations)
    _spread(spread, evaluations)
    figure.legend(*bars.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    _finish(figure, path)


def plot_gains(base: Evaluation, others: Sequence[Evaluation], path: Path) -> None:
    """Draw what models gain over one, in points, with two paired standard errors to each side.

    Args:
        base: what they are compared with.
        others: on the same messages, in the order of the picture from above.
        path: an .svg or .png file.
    """
    size = (10, 0.9 + 0.45 * len(others))
    figure, panels = plt.subplots(1, len(SHOWN), figsize=size, sharey=True, layout="constrained")
    places = range(len(others))
    for metric, axes in zip(SHOWN, panels, strict=True):
        found = [compare(base, other, metric) for other in others]
        gains = [each.difference for each in found]
        colours = [COLOURS[2] if gain > 0 else COLOURS[5] for gain in gains]
        errors = [_STANDARD_ERRORS * each.standard_error for each in found]
        drawn = axes.barh(places, gains, 0.6, xerr=errors, color=colours)
        axes.bar_label(drawn, fmt="%+.2f", fontsize=8, padding=3)
        axes.axvline(0, color="#202124", linewidth=1)
        axes.margins(x=0.25)
        axes.set_xlabel(f"{METRICS[metric].label}, points over {base.name}", fontsize=8)
        axes.set_yticks(places, [other.name for other in others])
        _clean(axes)
    panels[0].invert_yaxis()
    _finish(figure, path)


def plot_learning(rounds: Sequence[int], values: Sequence[float], label: str, path: Path) -> None:
    """Draw one curve over rounds.

    Args:
        rounds: numbers of the rounds that have a value.
        values: as many.
        label: of the vertical axis.
        path: an .svg or .png file.
    """
    figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
    axes.plot(rounds, values, color=COLOURS[0], linewidth=2, marker="o", markersize=3)
    axes.set_xlabel("round")
    axes.set_ylabel(label)
    _clean(axes)
    axes.grid(axis="y", color="#e8eaed")
    _finish(figure, path)


def plot_rounds(
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], marks: Mapping[str, float], path: Path
) -> None:
    """Draw curves over rounds, in a panel for each thing that was measured.

    Args:
        panels: by the label of the vertical axis, points by the curve's name; names that are alike up to a comma share
            a colour, and their lines differ.
        marks: rounds at which a vertical line is drawn, by name.
        path: an .svg or .png file.
    """
    figure, drawn = plt.subplots(1, len(panels), figsize=(10, 4.4), layout="constrained", squeeze=False)
    for axes, (label, curves) in zip(drawn[0], panels.items(), strict=True):
        colours = dict(zip(dict.fromkeys(name.split(",")[0] for name in curves), cycle(COLOURS)))
        seen: Counter[str] = Counter()
        for name, points in curves.items():
            group = name.split(",")[0]
            axes.plot(*zip(*points, strict=True), _LINES[seen[group] % len(_LINES)], color=colours[group], label=name)
            seen[group] += 1
        for name, number in marks.items():
            axes.axvline(number, color="#9aa0a6", linewidth=1, linestyle=":", label=name)
        axes.set_xlabel("round")
        axes.set_ylabel(label)
        _clean(axes)
        axes.grid(axis="y", color="#e8eaed")
    figure.legend(*drawn[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    _finish(figure, path)


def plot_tradeoff(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    levels: Mapping[str, float],
    labels: tuple[str, str],
    path: Path,
) -> None:
    """Draw curves over a logarithmic axis, and horizontal lines to judge them by; what is far below them is cut off.

    Args:
        curves: points by name; those whose names begin with the same word share a colour.
        levels: heights of the lines, by name.
        labels: of the horizontal and the vertical axis.
        path: an .svg or .png file.
    """
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    colours = dict(zip(dict.fromkeys(name.split()[0] for name in curves), COLOURS, strict=False))
    drawn: set[str] = set()
    for name, points in curves.items():
        group = name.split()[0]
        style = "--" if group in drawn else "-"
        drawn.add(group)
        axes.plot(*zip(*sorted(points), strict=True), style, color=colours[group], marker="o", markersize=3, label=name)
    for grey, (name, height) in zip(("#202124", "#9aa0a6"), levels.items(), strict=False):
        axes.axhline(height, color=grey, linewidth=1, linestyle=":", label=name)
    axes.set_ylim(bottom=min(levels.values()) - _ROOM_BELOW)
    axes.set_xscale("log")
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    _clean(axes)
    axes.grid(axis="y", color="#e8eaed")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize="small")
    _finish(figure, path)


def svg(draw: Callable[[Path], None]) -> str:
    """Return what `draw` writes into an .svg file as an element to put into a page."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "figure.svg"
        draw(file)
        drawn = file.read_text(encoding="utf-8")
    return drawn[drawn.index("<svg") :]


def _bars(axes: Axes, evaluations: Sequence[Evaluation]) -> None:
    width = 0.8 / len(evaluations)
    for i, evaluation in enumerate(evaluations):
        values = [evaluation.value(metric) for metric in SHOWN]
        at = np.arange(len(SHOWN)) + (i - (len(evaluations) - 1) / 2) * width
        drawn = axes.bar(
            at,
            values,
            width * 0.92,
            yerr=[evaluation.standard_error(metric) for metric in SHOWN],
            color=COLOURS[i % len(COLOURS)],
            label=evaluation.name,
        )
        axes.bar_label(drawn, fmt="%.1f", fontsize=8, padding=2)
    axes.set_xticks(range(len(SHOWN)), [METRICS[metric].label for metric in SHOWN])
    _clean(axes)


def _spread(axes: Axes, evaluations: Sequence[Evaluation]) -> None:
    for i, evaluation in enumerate(reversed(evaluations)):
        low, first, middle, third, high = evaluation.quantiles("top1")
        colour = COLOURS[(len(evaluations) - 1 - i) % len(COLOURS)]
        axes.plot([low, high], [i, i], color=colour, linewidth=1.5)
        axes.plot([first, third], [i, i], color=colour, linewidth=7, solid_capstyle="butt")
        axes.plot([middle], [i], "o", color="white", markersize=4)
    axes.set_yticks([])
    axes.set_xlabel(f"top-1 % of users ({', '.join(map(str, QUANTILES))} % quantiles)")
    _clean(axes)


def _clean(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _finish(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=150)
    plt.close(figure)
