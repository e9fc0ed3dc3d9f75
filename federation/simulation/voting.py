"""A round of votes for new words before a simulated run: every client takes part once, with the noise of the run."""

import dataclasses
import hashlib
import secrets
from collections.abc import Sequence

from federation.privacy.mechanisms import NoiseScale
from federation.privacy.training import BY_CLIENTS, PrivateTraining
from federation.privacy.zcdp import round_rho
from federation.protocol.plan import Mechanism, Privacy
from federation.rounds.voting import VotingSettings
from federation.simulation.counting import Messages, groups_of, plan_of_group, vote
from model.checkpoint import Checkpoint
from model.counted_lists import WordList
from model.vocabulary import Vocabulary

_SETTINGS = VotingSettings(every=1)


def after_votes(start: Checkpoint, clients: Sequence[Messages], privacy: PrivateTraining, seed: int) -> Checkpoint:
    """Return a model with the words that clients vote for in its lexicon.

    Args:
        start: Model with candidates.
        clients: Encoded messages of each client, without boundaries.
        privacy: Of the run; clients add noise to their votes if they add noise to their updates.
        seed: Of the run; noise does not follow from it.

    Raises:
        ConfigError: the model has no candidates, or there are too few clients for the noise.
    """
    words, noise = WordList(start.vocabulary.candidates, start.vocabulary), _noise(privacy)
    quiet = noise.mechanism is Mechanism.NONE
    secret = hashlib.sha256(b"fedkey votes %d" % seed).digest() if quiet else secrets.token_bytes(32)
    shares = vote(clients, words, _SETTINGS, secret=secret, privacy=noise)
    return dataclasses.replace(start, vocabulary=start.vocabulary.widened(shares)) if shares else start


def rho_of_votes(privacy: PrivateTraining, clients: int, vocabulary: Vocabulary) -> float:
    """Return the zCDP of a client's votes; 0 where no noise bounds any."""
    noise = _noise(privacy)
    if noise.mechanism is Mechanism.NONE:
        return 0.0
    words = WordList(vocabulary.candidates, vocabulary)
    sizes = {end - start for start, end in groups_of(clients)}
    return max(round_rho(NoiseScale.of(plan_of_group(0, size, words, _SETTINGS.counting, noise))) for size in sizes)


def _noise(privacy: PrivateTraining) -> Privacy:
    if privacy.mechanism not in BY_CLIENTS:
        return Privacy()
    return Privacy(Mechanism[privacy.mechanism.upper()], privacy.noise_multiplier, privacy.corrupt)
