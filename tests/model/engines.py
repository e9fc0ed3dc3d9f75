"""A small model for the tests of both engines."""

import numpy as np

from model.batches import Rows
from model.checkpoint import Checkpoint
from model.layout import NetworkConfig, initial_weights
from model.vocabulary import BOUNDARY, PAD, Vocabulary

TEXT = ["hello there how are you", "i am fine and you", "see you tomorrow then", "what are you doing", "nothing much"]


def small_checkpoint() -> Checkpoint:
    """A model whose sizes all differ, so that no two axes can be mistaken for each other."""
    vocabulary = Vocabulary.train(TEXT * 20, size=120)
    network = NetworkConfig(vocabulary.size, embedding=32, hidden=48)
    return Checkpoint(network, initial_weights(network, 3), vocabulary)


def random_rows(count: int, size: int, *, seed: int = 0) -> Rows:
    """Few distinct ids, so that duplicates meet, and rows that end early."""
    random = np.random.default_rng(seed)
    made = random.integers(BOUNDARY, min(size, 12), (count, 21)).astype(np.int32)
    for row in made[::3]:
        row[random.integers(5, 20) :] = PAD
    return made
