"""Every quality metric of the project, defined once: offline evaluation, federated evaluation and phones use these.

Figures are drawn by `model.evaluation.plot`, which alone needs matplotlib.
"""

from model.evaluation.evaluate import evaluate
from model.evaluation.metrics import (
    CHANGE_QUANTILES,
    COUNTS,
    METRICS,
    QUANTILES,
    SHOWN,
    Comparison,
    Evaluation,
    Metric,
    changes_table,
    compare,
    gains_table,
    spread_table,
    table,
    together,
)
from model.evaluation.strip import STRIP, Lexicon
from model.evaluation.totals import ACCURACY_BINS, Spread, Totals
from model.evaluation.word_model import MessageScores, WordModel

__all__ = [
    "ACCURACY_BINS",
    "CHANGE_QUANTILES",
    "COUNTS",
    "METRICS",
    "QUANTILES",
    "SHOWN",
    "STRIP",
    "Comparison",
    "Evaluation",
    "Lexicon",
    "MessageScores",
    "Metric",
    "Spread",
    "Totals",
    "WordModel",
    "changes_table",
    "compare",
    "evaluate",
    "gains_table",
    "spread_table",
    "table",
    "together",
]
