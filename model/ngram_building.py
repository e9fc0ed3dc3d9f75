"""A pruned n-gram of pieces from public text: modified Kneser-Ney, then entropy pruning.

Chen and Goodman 1999 for the estimates; Stolcke, "Entropy-based pruning of backoff language models" (1998), for what is
left out: n-grams whose absence changes the model least. How likely a context is comes from its own count, since
Kneser-Ney's lower orders do not tell (Chelba et al. 2010). Texts may count more than others: their discounted counts
are merged with a weight (Bacchiani et al. 2006).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from model.ngram import discounts
from model.ngram_table import Explicit, Ids, NgramTable
from model.vocabulary import BOUNDARY

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Text:
    """Encoded messages, and how much they count.

    Attributes:
        messages: pieces of each, without boundaries.
        weight: of each occurrence.
    """

    messages: Sequence[Sequence[int]]
    weight: float = 1.0


@dataclass
class _Level:
    """N-grams of one order, each with its context and the n-gram that lacks its oldest piece.

    Attributes:
        last: int64 [n-grams]: a position where each stands; its pieces end there.
        context: int64 [n-grams]: which of the contexts of its length it follows.
        prefix: int64 [contexts]: the n-gram of the order below that is this context; -1 for an opening boundary.
        lower: int64 [n-grams]: the n-gram of the order below without the oldest piece.
        counts: of each text, float64 [n-grams].
        seen: float64 [contexts]: weighted occurrences.
        probabilities: float64 [n-grams]: of the last piece after the others, interpolated with all lower orders.
    """

    last: Ids
    context: Ids
    prefix: Ids
    lower: Ids
    counts: list[Counts]
    seen: Counts
    probabilities: Counts


def build(texts: Sequence[Text], *, size: int, order: int = 5, max_grams: int = 900_000) -> NgramTable:
    """Return the n-gram of some texts.

    Args:
        texts: what is counted.
        size: number of pieces.
        order: longest n-gram.
        max_grams: n-grams of two pieces or more that are kept at most.

    Raises:
        ValueError: there is no text.
    """
    flat, owner = _flat(texts)
    levels = _levels(flat, owner, [text.weight for text in texts], order)
    _estimate(levels, [text.weight for text in texts], size)
    unigram = np.zeros(size)
    unigram[flat[levels[0].last]] = levels[0].probabilities
    unseen = unigram == 0
    unigram[unseen] = (1 - unigram.sum()) / max(1, np.count_nonzero(unseen))
    losses = [_losses(levels, number) for number in range(1, order)]
    kept = _kept(levels, losses, max_grams)
    explicit = []
    for number, keep in enumerate(kept, 1):
        level = levels[number]
        columns = [flat[level.last[keep] - back] for back in range(number, -1, -1)]
        explicit.append(Explicit(np.column_stack(columns).astype(np.int64), level.probabilities[keep]))
    while explicit and not len(explicit[-1].grams):
        explicit.pop()
    return NgramTable.assemble(unigram / unigram.sum(), explicit)


def _flat(texts: Sequence[Text]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int8]]:
    """Return BOUNDARY, the pieces and BOUNDARY of every message in one array, and the text each is from.

    The opening boundary is negative, so that it can be told from the closing one.
    """
    flat: list[npt.NDArray[np.int32]] = []
    owner: list[npt.NDArray[np.int8]] = []
    for index, text in enumerate(texts):
        pieces = chain.from_iterable(chain([-BOUNDARY], message, [BOUNDARY]) for message in text.messages)
        flat.append(np.fromiter(pieces, np.int32))
        owner.append(np.full(len(flat[-1]), index, np.int8))
    joined = np.concatenate([np.zeros(0, np.int32), *flat])
    if not len(joined):
        raise ValueError("an n-gram needs text")
    return joined, np.concatenate(owner)


def _levels(
    flat: npt.NDArray[np.int32], owner: npt.NDArray[np.int8], weights: Sequence[float], order: int
) -> list[_Level]:
    """Count n-grams of every order; opening boundaries are made positive in `flat` at the end."""
    index = np.arange(len(flat))
    depth = index - np.maximum.accumulate(np.where(flat < 0, index, 0))
    flat[flat < 0] = BOUNDARY
    at = np.flatnonzero(depth > 0)
    weight = np.array(weights)
    context = np.zeros(len(at), np.int64)
    gram_at = np.full(len(flat), -1)  # the n-gram of the order below that ends at each position
    shorter = np.zeros(len(at), np.int64)
    levels: list[_Level] = []
    for length in range(order):
        contexts, prefix = 1, np.full(1, -1)
        if length:
            deep = depth[at] >= length
            at, context, shorter = at[deep], context[deep], shorter[deep]
            _, first, context = np.unique(context << 16 | flat[at - length], return_index=True, return_inverse=True)
            contexts, prefix = len(first), gram_at[at[first] - 1]
        _, first, gram = np.unique(context << 16 | flat[at], return_index=True, return_inverse=True)
        counts = [
            np.bincount(gram[owner[at] == text], minlength=len(first)).astype(float) for text in range(len(weight))
        ]
        seen: Counts = np.bincount(context, weight[owner[at]], contexts).astype(np.float64)
        lower = shorter[first]
        if levels:  # lower orders count by how many pieces were seen before them
            below = levels[-1]
            for text, own in enumerate(counts):
                before = np.bincount(lower[own > 0], minlength=len(below.last))
                below.counts[text] = np.where(before > 0, before, below.counts[text])
        gram_at = np.full(len(flat), -1)
        gram_at[at] = gram
        levels.append(_Level(at[first], context[first], prefix, lower, counts, seen, np.zeros(len(first))))
        shorter = gram
    return levels


def _estimate(levels: Sequence[_Level], weights: Sequence[float], size: int) -> None:
    """Set all probabilities, shortest n-grams first."""
    base = np.full(1, 1 / size)
    for number, level in enumerate(levels):
        contexts = len(level.seen)
        mass, left, total = np.zeros(len(level.last)), np.zeros(contexts), np.zeros(contexts)
        for counts, weight in zip(level.counts, weights, strict=True):
            seen = counts > 0
            taken = np.zeros(len(counts))
            if seen.any():
                whole = counts[seen].astype(np.int64)
                taken[seen] = discounts(whole)[np.minimum(whole, 3) - 1]
            mass += weight * (counts - taken)
            left += weight * np.bincount(level.context, taken, contexts)
            total += weight * np.bincount(level.context, counts, contexts)
        below = levels[number - 1].probabilities[level.lower] if number else base
        level.probabilities = (mass + left[level.context] * below) / total[level.context]


def _losses(levels: Sequence[_Level], number: int) -> Counts:
    """Return by how much the model's perplexity would rise, relatively, without each n-gram of an order."""
    level = levels[number]
    own, shorter = level.probabilities, levels[number - 1].probabilities[level.lower]
    contexts = len(level.seen)
    left = np.maximum(1 - np.bincount(level.context, own, contexts), 1e-9)[level.context]
    uncovered = np.maximum(1 - np.bincount(level.context, shorter, contexts), 1e-9)[level.context]
    before, after = np.log(left / uncovered), np.log((left + own) / (uncovered + shorter))
    share = (level.seen / levels[0].seen[0])[level.context]
    entropy = -share * (own * (np.log(shorter) + after - np.log(own)) + left * (after - before))
    losses: Counts = np.expm1(entropy)
    return losses


def _kept(levels: Sequence[_Level], losses: Sequence[Counts], max_grams: int) -> list[npt.NDArray[np.bool_]]:
    """Choose n-grams of order 2, 3, ...: as many of the largest losses as may stay, with those they are built on."""

    def above(threshold: float) -> list[npt.NDArray[np.bool_]]:
        kept: list[npt.NDArray[np.bool_]] = []
        needed = np.zeros(len(levels[-1].last), np.bool_)
        for number in range(len(levels) - 1, 0, -1):
            level = levels[number]
            own = (losses[number - 1] > threshold) | needed
            kept.insert(0, own)
            needed = np.zeros(len(levels[number - 1].last), np.bool_)
            prefix = level.prefix[np.unique(level.context[own])]
            needed[prefix[prefix >= 0]] = True
        return kept

    low, high = 1e-12, 1e2  # thresholds: too many n-grams, few enough
    if sum(int(own.sum()) for own in above(low)) <= max_grams:
        return above(low)
    for _ in range(40):
        middle = float(np.sqrt(low * high))
        if sum(int(own.sum()) for own in above(middle)) > max_grams:
            low = middle
        else:
            high = middle
    return above(high)
