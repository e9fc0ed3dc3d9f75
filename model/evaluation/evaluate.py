"""Run a model over users' messages and count."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from model.evaluation.metrics import COUNTS, Evaluation
from model.evaluation.strip import Lexicon
from model.evaluation.word_model import WordModel
from model.text import CLASSES, Token

_WORDS_AT_ONCE = 1000
_CLASS_CHARACTER_NATS = math.log(64)
"""What a character inside a number, link or address costs: no model predicts them, so all pay the same."""

Messages = Sequence[Sequence[Token]]


def evaluate(
    model: WordModel,
    users: Mapping[str, Messages],
    *,
    fixed_vocabulary: frozenset[str],
    progress: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Measure `model` on every message of every user.

    * recall@k: the next word is among the k best of the lexicon, over all word positions; a word that the lexicon
      lacks is a miss. Numbers count as words.
    * keystroke saving: a typist looks at the strip of three before every letter and taps as soon as it shows his
      word; a tap costs one keystroke and brings the space. All else, marks and spaces included, costs one keystroke
      a character; sending costs nothing.
    * bits per character: total loss over characters typed, spaces and one line end a message included.
    * perplexity: a word, over the positions whose word is in `fixed_vocabulary`.

    Args:
        model: what is judged.
        users: tokenised messages of each user.
        fixed_vocabulary: the words that perplexity is about, the same for all models compared.
        progress: called with the number of words just judged.
    """
    lexicon = Lexicon(model.words)
    counts = np.zeros((len(users), len(COUNTS)))
    column = {name: i for i, name in enumerate(COUNTS)}
    for row, messages in enumerate(users.values()):
        for batch in _batches(messages):
            scores = model.score(batch)
            position = word = 0
            own = dict.fromkeys(COUNTS, 0.0)
            for message in batch:
                for token in message:
                    loss = -float(scores.log_probabilities[position])
                    position += 1
                    typed = len(token.surface) + token.space_after
                    own["characters"] += typed
                    own["nats"] += loss
                    if token.symbol in CLASSES:
                        own["nats"] += _CLASS_CHARACTER_NATS * len(token.surface)
                    if token.is_word:
                        own["words"] += 1
                        if token.symbol in fixed_vocabulary:
                            own["fixed_words"] += 1
                            own["fixed_nats"] += loss
                        target = lexicon.index.get(token.symbol)
                        if target is not None:
                            row_scores = scores.word_scores[word]
                            rank = lexicon.better(row_scores, target)
                            own["known_words"] += 1
                            own["hits_at_1"] += rank < 1
                            own["hits_at_3"] += rank < 3
                            letters = lexicon.letters_until_shown(row_scores, token.symbol, rank=rank)
                            if letters is not None:
                                own["saved"] += typed - letters - 1
                        word += 1
                own["nats"] -= float(scores.log_probabilities[position])
                own["message_ends"] += 1
                position += 1
            counts[row] += [own[name] for name in COUNTS]
            progress(word)
    return Evaluation(model.name, tuple(users), {name: counts[:, i] for name, i in column.items()})


def _batches(messages: Messages) -> Iterator[list[Sequence[Token]]]:
    """Group messages so that the scores of a group fit in some tens of megabytes."""
    batch: list[Sequence[Token]] = []
    words = 0
    for message in messages:
        if not message:
            continue
        batch.append(message)
        words += len(message)
        if words >= _WORDS_AT_ONCE:
            yield batch
            batch, words = [], 0
    if batch:
        yield batch
