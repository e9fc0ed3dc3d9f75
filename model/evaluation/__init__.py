"""Every quality metric of the project, defined once: offline evaluation, federated evaluation and phones use these."""

from model.evaluation.evaluate import evaluate
from model.evaluation.metrics import Comparison, Evaluation, compare, table
from model.evaluation.strip import Lexicon
from model.evaluation.word_model import MessageScores, WordModel

__all__ = ["Comparison", "Evaluation", "Lexicon", "MessageScores", "WordModel", "compare", "evaluate", "table"]
