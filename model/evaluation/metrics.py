"""Counts per user, and what follows from them: pooled figures, spread, standard errors, comparisons."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

COUNTS = (
    "words",
    "known_words",
    "hits_at_1",
    "hits_at_3",
    "characters",
    "keystrokes_saved",
    "nats",
    "message_ends",
    "fixed_words",
    "fixed_nats",
)
"""What is counted of every user.

`words`: word positions. `known_words`: those whose word is in the lexicon. `hits_at_1`, `hits_at_3`: among the best one
and three. `characters`: typed, with spaces. `keystrokes_saved`: characters less keystrokes. `nats`: loss of all tokens
and `message_ends`. `fixed_words`, `fixed_nats`: positions whose word is in the fixed vocabulary, and their loss.
"""

SHOWN = ("top1", "top3", "ksr")
"""What pictures and short tables show."""

QUANTILES = (5, 25, 50, 75, 95)
"""Percent of users."""

CHANGE_QUANTILES = (10, 25, 50, 75, 90)
"""Percent of users, of how a metric changes from one model to another: who loses, and how much, beside who gains."""

Floats = npt.NDArray[np.float64]


class Metric(NamedTuple):
    """A ratio of counts, or the exponential of one.

    Attributes:
        label: for tables and plots.
        numerator: a count.
        denominators: counts, added.
        scale: the ratio is multiplied by it.
        exponential: whether the metric is the exponential of the ratio.
        lower_is_better: whether less is better.
        decimals: worth showing.
    """

    label: str
    numerator: str
    denominators: tuple[str, ...]
    scale: float = 100.0
    exponential: bool = False
    lower_is_better: bool = False
    decimals: int = 1


METRICS: Mapping[str, Metric] = {
    "top1": Metric("top-1 %", "hits_at_1", ("words",)),
    "top3": Metric("top-3 %", "hits_at_3", ("words",)),
    "top1_known": Metric("known top-1 %", "hits_at_1", ("known_words",)),
    "top3_known": Metric("known top-3 %", "hits_at_3", ("known_words",)),
    "ksr": Metric("KSR %", "keystrokes_saved", ("characters",)),
    "bits_per_character": Metric(
        "bits/char", "nats", ("characters", "message_ends"), scale=1 / math.log(2), lower_is_better=True, decimals=3
    ),
    "perplexity": Metric(
        "perplexity", "fixed_nats", ("fixed_words",), scale=1.0, exponential=True, lower_is_better=True
    ),
}
"""Every metric, by its name in files. Recall and keystroke saving rate (KSR) are in percent."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Counts of one model on one set of users.

    Attributes:
        name: of the model.
        users: ids.
        counts: float64 [users] for each name in COUNTS.

    Raises:
        ValueError: a count is missing or not one number a user.
    """

    name: str
    users: tuple[str, ...]
    counts: Mapping[str, Floats]

    def __post_init__(self) -> None:
        for name in COUNTS:
            if name not in self.counts or self.counts[name].shape != (len(self.users),):
                raise ValueError(f"an evaluation needs {name!r} of each of its {len(self.users)} users")

    def value(self, metric: str) -> float:
        """Return a metric of METRICS over all users' positions together; NaN if there are none."""
        numerator, denominator = self._parts(metric)
        return float(_ratio(METRICS[metric], numerator.sum(), denominator.sum()))

    def standard_error(self, metric: str) -> float:
        """Return the standard error of `value`; NaN for fewer than two users.

        Users are the independent units and their positions are not: the linearised ratio estimator (Cochran 1977,
        Sampling Techniques, chapter 6), with the delta method for perplexity.
        """
        return _standard_error(self.influence(metric))

    def per_user(self, metric: str) -> Floats:
        """Return the metric of each user alone, float64 [users]; NaN for a user without positions."""
        return _ratio(METRICS[metric], *self._parts(metric))

    def quantiles(self, metric: str) -> tuple[float, ...]:
        """Return the metric at the QUANTILES of users that have one; NaN if no user has."""
        values = self.per_user(metric)
        return _percentiles(values[~np.isnan(values)], QUANTILES)

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return, for each metric, its value, standard error and user quantiles as plain numbers; None for a NaN."""
        return {
            metric: {
                "value": plain(self.value(metric)),
                "standard_error": plain(self.standard_error(metric)),
                "user_quantiles": {str(q): plain(x) for q, x in zip(QUANTILES, self.quantiles(metric), strict=True)},
            }
            for metric in METRICS
        }

    def to_json(self) -> str:
        """Return figures and per-user counts as a JSON document; `from_json` reads the counts."""
        counts = {name: self.counts[name].tolist() for name in COUNTS}
        document = {"name": self.name, "figures": self.summary(), "users": self.users, "counts": counts}
        return json.dumps(document, allow_nan=False)

    @classmethod
    def from_json(cls, document: str) -> "Evaluation":
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            read = json.loads(document)
            counts = {name: np.array(read["counts"][name], np.float64) for name in COUNTS}
            return cls(str(read["name"]), tuple(read["users"]), counts)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError("not an evaluation: write one with `fedkey evaluate`") from error

    def influence(self, metric: str) -> Floats:
        """Return by how much each user moves `value`, to first order; [users], summing to 0."""
        numerator, denominator = self._parts(metric)
        total = float(denominator.sum())
        if not total:
            return np.full(len(self.users), np.nan)
        own = METRICS[metric]
        slope = own.scale * (self.value(metric) if own.exponential else 1.0)
        residuals: Floats = numerator - denominator * (numerator.sum() / total)
        return residuals * (slope / total)

    def _parts(self, metric: str) -> tuple[Floats, Floats]:
        """Return numerator and denominator of each user."""
        own = METRICS[metric]
        denominator: Floats = np.sum([self.counts[name] for name in own.denominators], axis=0)
        return self.counts[own.numerator], denominator


def together(name: str, parts: Sequence[Evaluation]) -> Evaluation:
    """Return one evaluation of several that were made on different users."""
    users = tuple(user for part in parts for user in part.users)
    return Evaluation(name, users, {count: np.concatenate([part.counts[count] for part in parts]) for count in COUNTS})


class Comparison(NamedTuple):
    """How one evaluation differs from another, paired by user.

    Attributes:
        difference: of the pooled metric: other minus base.
        standard_error: of the difference.
        helped: share of users for whom the metric is better by more than the margin.
        harmed: share for whom it is worse by more.
        quantiles: each user's own change, other minus base, at the CHANGE_QUANTILES of users that have one; NaN if none
            has. Users count alike here, however much they typed.
    """

    difference: float
    standard_error: float
    helped: float
    harmed: float
    quantiles: tuple[float, ...]


def compare(base: Evaluation, other: Evaluation, metric: str = "top1", *, margin: float = 0.0) -> Comparison:
    """Compare two models on the same messages of the same users.

    The standard error is that of the paired difference, far smaller than either model's own.

    Args:
        base: what it is compared with.
        other: what is judged.
        metric: of METRICS.
        margin: a smaller change of a user's metric neither helps nor harms.

    Raises:
        ValueError: users or messages differ.
    """
    if base.users != other.users or not np.array_equal(base.counts["characters"], other.counts["characters"]):
        raise ValueError("evaluations of different messages cannot be paired: evaluate both on the same corpus")
    change = other.per_user(metric) - base.per_user(metric)
    change = change[~np.isnan(change)]
    gain = change * (-1 if METRICS[metric].lower_is_better else 1)
    return Comparison(
        difference=other.value(metric) - base.value(metric),
        standard_error=_standard_error(other.influence(metric) - base.influence(metric)),
        helped=float(np.mean(gain > margin)) if len(gain) else math.nan,
        harmed=float(np.mean(gain < -margin)) if len(gain) else math.nan,
        quantiles=_percentiles(change, CHANGE_QUANTILES),
    )


def table(evaluations: Sequence[Evaluation]) -> str:
    """Return a text table, a model a line, with standard errors in brackets."""
    lines = [["", *(metric.label for metric in METRICS.values())]]
    lines += [
        [
            evaluation.name,
            *(
                f"{evaluation.value(name):.{metric.decimals}f} ({evaluation.standard_error(name):.{metric.decimals}f})"
                for name, metric in METRICS.items()
            ),
        ]
        for evaluation in evaluations
    ]
    return aligned(lines)


def spread_table(evaluations: Sequence[Evaluation], metric: str = "top1") -> str:
    """Return how evenly models serve users: a line for each, a metric at each of the QUANTILES of users."""
    own = METRICS[metric]
    lines = [[f"{own.label} of users at", *(f"{percent} %" for percent in QUANTILES)]]
    lines += [[e.name, *(f"{value:.{own.decimals}f}" for value in e.quantiles(metric))] for e in evaluations]
    return aligned(lines)


def gains_table(base: Evaluation, others: Sequence[Evaluation], metrics: Sequence[str] = SHOWN) -> str:
    """Return what models gain over one: a line for each, differences with paired standard errors, and who loses."""
    lines = [[f"points over {base.name}", *(METRICS[name].label for name in metrics), "users worse %"]]
    for other in others:
        found = [compare(base, other, name) for name in metrics]
        cells = [f"{each.difference:+.2f} ({each.standard_error:.2f})" for each in found]
        lines.append([other.name, *cells, f"{100 * found[0].harmed:.0f}"])
    return aligned(lines)


def changes_table(base: Evaluation, others: Sequence[Evaluation], metric: str = "top1") -> str:
    """Return how evenly a gain over one model is spread: users' own changes at the CHANGE_QUANTILES, and who gains."""
    header = f"{METRICS[metric].label} of a user, over {base.name}"
    lines = [[header, *(f"{percent} %" for percent in CHANGE_QUANTILES), "users better %", "worse %"]]
    for other in others:
        found = compare(base, other, metric)
        shares = (f"{100 * share:.0f}" for share in (found.helped, found.harmed))
        lines.append([other.name, *(f"{change:+.1f}" for change in found.quantiles), *shares])
    return aligned(lines)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as text, the first column to the left and all others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([name.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(cells, widths[1:], strict=True))])
        for name, *cells in lines
    )


def ratio_with_error(numerators: Floats, denominators: Floats) -> tuple[float, float]:
    """Return the ratio of two sums over independent units, float64 [units] each, and its standard error.

    The linearised ratio estimator of `Evaluation.standard_error`. NaN for what is not defined: the ratio where
    denominators sum to 0, the error for fewer than two units.
    """
    total = float(denominators.sum())
    if not total:
        return math.nan, math.nan
    ratio = float(numerators.sum()) / total
    return ratio, _standard_error((numerators - ratio * denominators) / total)


def _percentiles(values: Floats, percents: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(np.percentile(values, percents).tolist()) if len(values) else (math.nan,) * len(percents)


def _ratio(metric: Metric, numerator: Floats, denominator: Floats) -> Floats:
    ratio = np.divide(
        metric.scale * numerator, denominator, out=np.full(np.shape(denominator), np.nan), where=denominator > 0
    )
    return np.exp(ratio) if metric.exponential else ratio


def _standard_error(influence: Floats) -> float:
    users = len(influence)
    if users < 2:
        return math.nan
    return math.sqrt(float(np.sum(influence**2)) * users / (users - 1))


def plain(value: float) -> float | None:
    """Return a number as JSON can have it: None for a NaN."""
    return value if math.isfinite(value) else None
