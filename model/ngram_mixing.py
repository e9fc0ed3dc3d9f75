"""One n-gram of two: their distributions interpolated once and for all, where what they were counted from is gone.

Static interpolation of back-off models (Stolcke, "SRILM", 2002): every n-gram that either has explicitly gets the
interpolated probability, and all others back off to the interpolated shorter ones.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model.mixture import CONTEXT, fit_weights
from model.ngram_table import Explicit, Ids, NgramTable, context_keys
from model.vocabulary import BOUNDARY

_MAX_SHARE = 0.5
_CONTEXTS_AT_ONCE = 2000
_MAX_POSITIONS = 20_000


def interpolated(one: NgramTable, other: NgramTable, share: float) -> NgramTable:
    """Return a table that gives the first a share of 1 - `share`, and the second `share`.

    Raises:
        ValueError: they are about different numbers of pieces, or the share is not one.
    """
    if one.size != other.size:
        raise ValueError(f"n-grams of {one.size} and of {other.size} pieces cannot be one: use one vocabulary")
    if not 0 <= share <= 1:
        raise ValueError(f"a share is at least 0 and at most 1, not {share}")
    parts = ((one, 1 - share), (other, share))
    explicit = []
    for order in range(2, max(one.order, other.order) + 1):
        found = [table.explicit()[order - 2].grams for table, _ in parts if table.order >= order]
        grams = np.unique(np.concatenate(found), axis=0)
        mixed = np.zeros(len(grams))
        for table, own in parts:
            mixed += own * probabilities(table, grams)
        explicit.append(Explicit(grams, mixed))
    unigram = sum((own * table.unigram.astype(np.float64) for table, own in parts), np.zeros(one.size))
    return NgramTable.assemble(unigram / unigram.sum(), explicit)


def probabilities(table: NgramTable, grams: Ids) -> npt.NDArray[np.float64]:
    """Return the probability of each n-gram's last piece after the others, float64 [n-grams].

    Args:
        table: whose.
        grams: int64 [n-grams, order].
    """
    _, first, context = np.unique(context_keys(grams[:, :-1]), return_index=True, return_inverse=True)
    by_context = np.argsort(context, kind="stable")
    ends = np.searchsorted(context[by_context], np.arange(len(first) + 1))
    found = np.zeros(len(grams))
    for begin in range(0, len(first), _CONTEXTS_AT_ONCE):
        end = min(begin + _CONTEXTS_AT_ONCE, len(first))
        dense = table.distributions(grams[first[begin:end], :-1].tolist())
        own = by_context[ends[begin] : ends[end]]
        found[own] = dense[context[own] - begin, grams[own, -1]]
    return found


def extended(table: NgramTable, other: NgramTable, held_out: Sequence[Sequence[int]]) -> NgramTable:
    """Return a table with another one beside it, whose share is what held-out messages ask for, half at most.

    Args:
        table: what was there before.
        other: of further text.
        held_out: encoded messages of that text which `other` has not seen.
    """
    contexts, pieces = [], []
    for message in held_out:
        text = [BOUNDARY, *message, BOUNDARY]
        contexts += [text[max(0, end - CONTEXT) : end] for end in range(1, len(text))]
        pieces += text[1:]
    contexts, at = contexts[:_MAX_POSITIONS], pieces[:_MAX_POSITIONS]
    both = [own.distributions(contexts)[np.arange(len(at)), at] for own in (table, other)]
    _, share = fit_weights(np.maximum(np.column_stack(both), 1e-30), start=(0.5, 0.5), prior=1.0)
    return interpolated(table, other, min(share, _MAX_SHARE))
