"""One self-contained HTML page about a training run: no script, no file beside it, nothing fetched."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from model import files
from model.evaluation.metrics import CHANGE_QUANTILES, METRICS, QUANTILES, SHOWN, Evaluation, compare
from model.evaluation.plot import plot_gains, plot_learning, plot_models, svg

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #202124; margin: 2rem auto; max-width: 66rem; padding: 0 1rem; }
h1 { font-weight: 500; } h2 { font-weight: 500; margin-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .5rem; text-align: right; vertical-align: bottom; border-bottom: 1px solid #e8eaed; }
td { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 8rem; }
.table { overflow-x: auto; }
svg { max-width: 100%; height: auto; } .quiet { color: #5f6368; }
td.strip { width: 100%; text-align: left; white-space: normal; }
.strip span { display: inline-block; min-width: 6rem; text-align: center; padding: .1rem .6rem; margin: .1rem;
  background: #e8f0fe; border-radius: 1rem; }
"""


_VIEWPORT = '<meta name="viewport" content="width=device-width">'
_MARK = '<meta name="generator" content="fedkey demo">'


def is_report(path: Path) -> bool:
    """Return whether a file is a page that `write` wrote."""
    with files.regular(path).open("rb") as file:
        return _MARK.encode() in file.read(1000)


class LearningCurve(NamedTuple):
    """Federated evaluations over a run.

    Attributes:
        rounds: numbers of the rounds.
        recall: percent of pieces predicted first in clients' later messages, as many.
    """

    rounds: Sequence[int]
    recall: Sequence[float]


def write(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    evaluations: Sequence[Evaluation],
    gains: tuple[Evaluation, Sequence[Evaluation]],
    curve: LearningCurve,
    samples: Mapping[str, Mapping[str, Sequence[str]]],
) -> None:
    """Write the page.

    Args:
        path: of the page.
        title: its heading.
        facts: label and value pairs about the run.
        evaluations: the models side by side.
        gains: one of them, and those that are shown by what they gain over it.
        curve: how the federated model learnt.
        samples: for each text, what each model would show on its strip.
    """
    sections = [
        f"<h1>{html.escape(title)}</h1>",
        _table(["this run", ""], [[label, value] for label, value in facts.items()]),
        f"<h2>What is gained over {html.escape(gains[0].name)}</h2>",
        '<p class="quiet">Bars are points, whiskers two standard errors of the difference, paired over users.</p>',
        svg(lambda file: plot_gains(*gains, file)),
        _gains(*gains),
        "<h2>How well it predicts</h2>",
        '<p class="quiet">Users that no training saw; standard errors over users in brackets.</p>',
        svg(lambda file: plot_models(evaluations, file)),
        _figures(evaluations),
        "<h2>How it learnt</h2>",
        '<p class="quiet">Pieces predicted first in later messages of the clients, evaluated where these are.</p>',
        svg(lambda file: plot_learning(curve.rounds, curve.recall, "recall %", file)),
        "<h2>How evenly it serves</h2>",
        _spread(evaluations),
        f'<p class="quiet">What each user gains over {html.escape(gains[0].name)}, in points of top-1.</p>',
        _changes(*gains),
        "<h2>What it suggests</h2>",
        *[_sample(text, strips) for text, strips in samples.items()],
    ]
    head = f'<meta charset="utf-8">{_VIEWPORT}{_MARK}<title>{html.escape(title)}</title><style>{_STYLE}</style>'
    page = f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(sections) + "\n</body></html>\n"
    files.write(path, page)


def _gains(base: Evaluation, others: Sequence[Evaluation]) -> str:
    rows = []
    for other in others:
        found = [compare(base, other, name) for name in SHOWN]
        cells = [f"{each.difference:+.2f} ({each.standard_error:.2f})" for each in found]
        rows.append([other.name, *cells, f"{100 * found[0].helped:.0f} %", f"{100 * found[0].harmed:.0f} %"])
    return _table(["model", *(METRICS[name].label for name in SHOWN), "users better", "users worse"], rows)


def _changes(base: Evaluation, others: Sequence[Evaluation]) -> str:
    rows = [[other.name, *(f"{change:+.1f}" for change in compare(base, other).quantiles)] for other in others]
    return _table(["points gained at", *(f"{q} % of users" for q in CHANGE_QUANTILES)], rows)


def _figures(evaluations: Sequence[Evaluation]) -> str:
    rows = [
        [
            evaluation.name,
            *(
                f"{evaluation.value(name):.{metric.decimals}f} ({evaluation.standard_error(name):.{metric.decimals}f})"
                for name, metric in METRICS.items()
            ),
        ]
        for evaluation in evaluations
    ]
    return _table(["model", *(metric.label for metric in METRICS.values())], rows)


def _spread(evaluations: Sequence[Evaluation]) -> str:
    rows = [[e.name, *(f"{value:.1f}" for value in e.quantiles("top1"))] for e in evaluations]
    return _table(["top-1 % of users at", *(f"{q} %" for q in QUANTILES)], rows)


def _sample(text: str, strips: Mapping[str, Sequence[str]]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td class='strip'>"
        + "".join(f"<span>{html.escape(word)}</span>" for word in words)
        + "</td></tr>"
        for name, words in strips.items()
    )
    return f"<h3>“{html.escape(text)}”</h3><table>{rows}</table>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="table"><table><tr>{head}</tr>{body}</table></div>'
