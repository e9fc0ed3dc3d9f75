"""Run a model over users' messages and count."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from model.evaluation.metrics import COUNTS, Evaluation
from model.evaluation.strip import Lexicon
from model.evaluation.word_model import MessageScores, WordModel
from model.text import CLASSES, Token

_SCORES_AT_ONCE = 12_000_000  # of 4 bytes
_CLASS_CHARACTER_NATS = math.log(96)  # printable ASCII and an end

Message = Sequence[Token]


def evaluate(
    model: WordModel,
    users: Mapping[str, Sequence[Message]],
    *,
    fixed_vocabulary: frozenset[str],
    progress: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Measure `model` on every message of every user.

    * recall@k: the next word is among the k best of the lexicon, over all word positions; a word that the lexicon
      lacks is a miss. Numbers count as words, and are always missed.
    * keystroke saving: a typist who makes no mistakes looks at the strip of three before every letter and taps as soon
      as it shows his word. A tap costs one keystroke and brings the space; where a mark follows without one, the
      keyboard takes the space back for nothing. All else, marks and spaces included, costs a keystroke a character.
      Sending costs nothing. A word typed to its last letter was not tapped.
    * bits per character: total loss over characters, spaces and one end a message included. What a class stands for
      (a number, a link, an address) is spelled with 96 equally likely characters, its end included, for every model
      alike.
    * perplexity: a word, over the positions whose word is in `fixed_vocabulary`.

    Args:
        model: what is judged. It sees about a thousand words at a time, and never a part of a message.
        users: tokenised messages of each user; empty messages do not count.
        fixed_vocabulary: the words that perplexity is about, the same for all models compared.
        progress: called with the number of word positions just judged.

    Raises:
        ValueError: the model answers with arrays of the wrong shape, or with what is no log probability or score.
    """
    lexicon = Lexicon(model.words)
    counts = {name: np.zeros(len(users)) for name in COUNTS}
    for batch in _batches(users.values(), max(1, _SCORES_AT_ONCE // max(1, len(model.words)))):
        messages = [message for _, message in batch]
        scores = model.score(messages)
        _check(model, messages, scores)
        losses = -scores.log_probabilities.astype(np.float64)
        position = word = 0
        for user, message in batch:
            words = [token for token in message if token.is_word]
            for name, count in {
                **_loss(message, losses[position : position + len(message) + 1].tolist(), fixed_vocabulary),
                **_typing(words, scores.word_scores[word:], lexicon),
            }.items():
                counts[name][user] += count
            position += len(message) + 1
            word += len(words)
        progress(word)
    return Evaluation(model.name, tuple(users), counts)


def _batches(users: Iterable[Sequence[Message]], max_words: int) -> Iterator[list[tuple[int, Message]]]:
    """Group all users' messages, each with its user's index, so that the scores of a group fit in memory."""
    batch: list[tuple[int, Message]] = []
    words = 0
    for user, messages in enumerate(users):
        for message in messages:
            own = sum(token.is_word for token in message)
            if batch and words + own > max_words:
                yield batch
                batch, words = [], 0
            if message:
                batch.append((user, message))
                words += own
    if batch:
        yield batch


def _check(model: WordModel, messages: Sequence[Message], scores: MessageScores) -> None:
    positions = sum(len(message) + 1 for message in messages)
    words = sum(token.is_word for message in messages for token in message)
    shapes = (scores.log_probabilities.shape, scores.word_scores.shape)
    expected = ((positions,), (words, len(model.words)))
    if shapes != expected:
        raise ValueError(f"{model.name} answers with shapes {shapes} where {expected} are due")
    # A NaN would compare as better than every word, and so count as a hit.
    if np.isnan(scores.word_scores).any():
        raise ValueError(f"{model.name} scores a word as NaN")
    if not np.all((scores.log_probabilities <= 1e-4) & np.isfinite(scores.log_probabilities)):
        raise ValueError(f"{model.name} gives log probabilities that are above 0 or not finite")


def _loss(message: Message, losses: Sequence[float], fixed_vocabulary: frozenset[str]) -> dict[str, float]:
    """Count nats and what they are divided by; `losses` has one for each token and one for the end."""
    spelled = sum(len(token.surface) + 1 for token in message if token.symbol in CLASSES)
    fixed = [
        loss for token, loss in zip(message, losses, strict=False) if token.is_word and token.symbol in fixed_vocabulary
    ]
    return {
        "characters": sum(map(_characters, message)),
        "message_ends": 1,
        "nats": sum(losses) + spelled * _CLASS_CHARACTER_NATS,
        "fixed_words": len(fixed),
        "fixed_nats": sum(fixed),
    }


def _typing(words: Sequence[Token], scores: npt.NDArray[np.float32], lexicon: Lexicon) -> dict[str, float]:
    """Count what the strip shows of a message's words; `scores` is [at least these words, lexicon]."""
    known = at_1 = at_3 = saved = 0
    for token, row in zip(words, scores, strict=False):
        target = lexicon.index.get(token.symbol)
        if target is None:
            continue
        known += 1
        letters = lexicon.letters_until_shown(row, target)
        if letters is None:
            continue
        saved += _characters(token) - letters - 1
        if letters == 0:
            at_3 += 1
            at_1 += lexicon.rank(row, target) == 0
    return {"words": len(words), "known_words": known, "hits_at_1": at_1, "hits_at_3": at_3, "keystrokes_saved": saved}


def _characters(token: Token) -> int:
    return len(token.surface) + token.space_after
