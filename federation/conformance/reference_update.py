"""The update that a phone sends when it is tried: `docs/protocol.md` has it, so that the sum shows what it encoded."""

import numpy as np

from federation.updates.update import Tally, Update

EXAMPLES, TOKENS, LOSS, HITS = 8, 100, 250.0, 12


def reference_update(dimension: int) -> Update:
    """Return the test update of a model of this many weights: coordinate i is ((i mod 17) - 8) / 4096."""
    delta = ((np.arange(dimension) % 17 - 8) / 4096).astype(np.float32)
    return Update(delta, Tally(EXAMPLES, TOKENS, LOSS, HITS))
