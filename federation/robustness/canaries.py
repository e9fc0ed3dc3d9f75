"""Canary phrases: short openings whose likeliest continuation is watched from version to version.

An attacker who wants many people to be shown something has to plant it behind a phrase that many people type. So the
phrases watched are the most frequent openings of messages in public text. What is planted behind a rarer phrase is not
seen here.
"""

from collections import Counter

import numpy as np

from model.batches import Rows
from model.vocabulary import BOUNDARY, PAD

LONGEST = 4
"""Pieces of a phrase."""

CANARIES = 200
"""Phrases that are watched."""


def phrases(rows: Rows, count: int = CANARIES) -> Rows:
    """Return the most frequent openings of messages, of 1 to `LONGEST` pieces.

    Args:
        rows: packed public text.
        count: of phrases, at most.

    Returns:
        int32 [phrases, 1 + LONGEST], filled up with BOUNDARY on the left: the network restarts at each, so that what
        it predicts after the last piece depends on the phrase alone.
    """
    openings: Counter[tuple[int, ...]] = Counter()
    for row in rows.tolist():
        for start, piece in enumerate(row):
            if piece != BOUNDARY:
                continue
            for end in range(start + 2, min(start + 2 + LONGEST, len(row) + 1)):
                if row[end - 1] in {BOUNDARY, PAD}:
                    break
                openings[tuple(row[start + 1 : end])] += 1
    chosen = sorted(openings, key=lambda opening: (-openings[opening], opening))[:count]
    filled = np.full((len(chosen), 1 + LONGEST), BOUNDARY, np.int32)
    for line, opening in zip(filled, chosen, strict=True):
        line[-len(opening) :] = opening
    return filled
