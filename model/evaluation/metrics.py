"""Counts per user, and what follows from them: pooled figures, spread, standard errors, comparisons."""

import json
import math
from collections.abc import Sequence
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
    "saved",
    "nats",
    "message_ends",
    "fixed_words",
    "fixed_nats",
)

Floats = npt.NDArray[np.float64]
QUANTILES = (5, 25, 50, 75, 95)


class _Ratio(NamedTuple):
    label: str
    numerator: str
    denominators: tuple[str, ...]
    scale: float
    decimals: int = 1


RATIOS = {
    "top1": _Ratio("top-1 %", "hits_at_1", ("words",), 100),
    "top3": _Ratio("top-3 %", "hits_at_3", ("words",), 100),
    "top1_known": _Ratio("top-1 % known", "hits_at_1", ("known_words",), 100),
    "top3_known": _Ratio("top-3 % known", "hits_at_3", ("known_words",), 100),
    "ksr": _Ratio("keystrokes saved %", "saved", ("characters",), 100),
    "bits_per_character": _Ratio("bits / character", "nats", ("characters", "message_ends"), 1 / math.log(2), 3),
}
"""Every metric that is a ratio of counts, by its name in files; perplexity is the exponential of one more."""


@dataclass(frozen=True)
class Evaluation:
    """Counts of one model on one set of users.

    Attributes:
        name: of the model.
        users: ids.
        counts: float64 [users] for each name in COUNTS.
    """

    name: str
    users: tuple[str, ...]
    counts: dict[str, Floats]

    def value(self, metric: str) -> float:
        """Return a metric of RATIOS over all users' positions together."""
        numerator, denominator = self._parts(metric)
        return float(numerator.sum() / max(denominator.sum(), 1e-12))

    def standard_error(self, metric: str) -> float:
        """Return the standard error of `value`, with users as the independent units (linearised ratio estimator)."""
        numerator, denominator = self._parts(metric)
        return _ratio_error(numerator - self.value(metric) * denominator, denominator)

    def per_user(self, metric: str) -> Floats:
        """Return the metric of each user alone; NaN for a user without positions."""
        numerator, denominator = self._parts(metric)
        return np.divide(numerator, denominator, out=np.full(len(denominator), np.nan), where=denominator > 0)

    def quantiles(self, metric: str) -> tuple[float, ...]:
        """Return the metric at the QUANTILES of users."""
        return tuple(float(q) for q in np.nanpercentile(self.per_user(metric), QUANTILES))

    @property
    def perplexity(self) -> float:
        """A word, on the fixed vocabulary."""
        return float(np.exp(self.counts["fixed_nats"].sum() / max(self.counts["fixed_words"].sum(), 1)))

    def summary(self) -> dict[str, Any]:
        """Return every figure as plain numbers."""
        figures: dict[str, Any] = {
            metric: {
                "value": self.value(metric),
                "standard_error": self.standard_error(metric),
                "user_quantiles": dict(zip(map(str, QUANTILES), self.quantiles(metric), strict=True)),
            }
            for metric in RATIOS
        }
        figures["perplexity"] = {"value": self.perplexity}
        return figures

    def to_json(self) -> str:
        """Return figures and per-user counts as a JSON document."""
        counts = {name: values.tolist() for name, values in self.counts.items()}
        return json.dumps({"name": self.name, "figures": self.summary(), "users": self.users, "counts": counts}, indent=1)

    @classmethod
    def from_json(cls, document: str) -> "Evaluation":
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            read = json.loads(document)
            counts = {name: np.array(read["counts"][name], float) for name in COUNTS}
            return cls(read["name"], tuple(read["users"]), counts)
        except (KeyError, TypeError) as error:
            raise ValueError("not an evaluation: write one with `fedkey evaluate`") from error

    def _parts(self, metric: str) -> tuple[Floats, Floats]:
        ratio = RATIOS[metric]
        denominator = sum((self.counts[name] for name in ratio.denominators), np.zeros(len(self.users)))
        return self.counts[ratio.numerator] * ratio.scale, denominator


class Comparison(NamedTuple):
    """How `other` differs from `base`, paired by user.

    Attributes:
        difference: of the pooled metric, other minus base.
        standard_error: of the difference.
        helped: share of users for whom the metric rose by more than the margin.
        harmed: share for whom it fell by more.
    """

    difference: float
    standard_error: float
    helped: float
    harmed: float


def compare(base: Evaluation, other: Evaluation, metric: str = "top1", *, margin: float = 0.0) -> Comparison:
    """Compare two evaluations of the same users.

    Raises:
        ValueError: the users differ.
    """
    if base.users != other.users:
        raise ValueError("evaluations of different users cannot be paired: evaluate both on the same corpus")
    numerator, denominator = base._parts(metric)  # noqa: SLF001
    numerator_other, denominator_other = other._parts(metric)  # noqa: SLF001
    residuals = (
        (numerator_other - other.value(metric) * denominator_other) / denominator_other.mean()
        - (numerator - base.value(metric) * denominator) / denominator.mean()
    ) * denominator.mean()
    by_user = other.per_user(metric) - base.per_user(metric)
    by_user = by_user[~np.isnan(by_user)]
    return Comparison(
        other.value(metric) - base.value(metric),
        _ratio_error(residuals, denominator),
        float(np.mean(by_user > margin)),
        float(np.mean(by_user < -margin)),
    )


def _ratio_error(residuals: Floats, denominator: Floats) -> float:
    users = len(residuals)
    if users < 2 or not denominator.sum():
        return math.nan
    return float(math.sqrt(np.sum(residuals**2) * users / (users - 1)) / denominator.sum())


def table(evaluations: Sequence[Evaluation]) -> str:
    """Return a text table, a model a line, with standard errors in brackets."""
    header = ["model", *(ratio.label for ratio in RATIOS.values()), "perplexity"]
    lines = [header]
    for evaluation in evaluations:
        cells = [
            f"{evaluation.value(metric):.{ratio.decimals}f} ({evaluation.standard_error(metric):.{ratio.decimals}f})"
            for metric, ratio in RATIOS.items()
        ]
        lines.append([evaluation.name, *cells, f"{evaluation.perplexity:.1f}"])
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    )
