"""The strip of three: next words, completions and corrections for a text that is being typed."""

import re
from dataclasses import dataclass

import numpy as np

from model.evaluation import STRIP, Lexicon
from model.next_words import NextWords
from model.suggestions.candidates import Candidates, Origin, OwnWords
from model.suggestions.casing import cased, starts_sentence
from model.suggestions.corrections import Corrections, costs
from model.suggestions.offensive import offensive_words
from model.suggestions.personal import PersonalModel
from model.text import Token, normalise, tokenise

_WORD_AT_END = re.compile(r"[^\W_]+(?:['’‘ʼ`´][^\W_]*)*$")
_LONGEST_WORD = 64

_ANCHOR = 64
"""Context begins at a multiple of this many characters, so that it moves rarely; one to two of them are read."""

_AUTOCORRECT_MARGIN = 2.5  # nats by which a correction of an unknown word must be better than what was typed
_AUTOCORRECT_MARGIN_KNOWN = 6.0  # of a known word
_LEAST = 1e-9

_SHORT, _MAX_SHORT, _MOST = 3, 7.5, 13.0  # nats that a suggested correction of few letters, or of more, may cost


@dataclass(frozen=True)
class Suggestion:
    """A word for the strip.

    Attributes:
        text: as it is shown and inserted.
        probability: that this is the word meant, given the text before and the letters typed.
        origin: what knew it.
    """

    text: str
    probability: float
    origin: Origin


def split_word(text: str) -> tuple[str, str]:
    """Return the text before the word at the end of `text`, and that word's letters so far."""
    found = _WORD_AT_END.search(text[-_LONGEST_WORD:])
    word = found.group() if found else ""
    return text[: len(text) - len(word)], word


class Suggester:
    """Suggestions of a shared model and a personal one.

    Args:
        model: predicts words of the shared lexicon.
        personal: what the user typed; by default nothing.
    """

    def __init__(self, model: NextWords, personal: PersonalModel | None = None) -> None:
        self._model = model
        self.personal = personal or PersonalModel(model.words)
        self._corrections = Corrections(model.words)
        self._lexicon = Lexicon(model.words)
        self._offensive = offensive_words()
        self._cached: tuple[tuple[str, ...], Candidates] | None = None
        self._own = OwnWords(PersonalModel(()), self._lexicon)
        self._own_corrections = Corrections(())
        self._latest: tuple[str, list[str]] = "", []
        self.personal_changed()

    def personal_changed(self) -> None:
        """Take notice that `personal` has learned or forgotten; takes effect at the next suggestion."""
        learned, self._own = self._own.learned, OwnWords(self.personal, self._lexicon)
        if self._own.learned != learned:
            self._own_corrections = Corrections(self._own.learned)
            self._latest = "", []
        self._blocked = self._offensive | self.personal.never
        self._cached = None

    def use(self, model: NextWords) -> None:
        """Predict with another model from now on, at the cost of one prediction.

        Raises:
            ValueError: it has another lexicon: make a new `Suggester`; this one goes on with the model it has.
        """
        if tuple(model.words) != tuple(self._model.words):
            raise ValueError("the new model has another lexicon: make a new Suggester for it")
        model.probabilities(())
        self._model = model
        self._cached = None

    def suggest(self, before: str, typed: str = "", count: int = STRIP) -> list[Suggestion]:
        """Return up to `count` words, best first.

        Args:
            before: the text before the word that is being typed; only its end is read.
            typed: that word's letters so far, if any.
            count: how many at most.
        """
        candidates = self._candidates(before)
        at_start = starts_sentence(before)
        letters = normalise(typed)
        if not letters:
            ranked = candidates.best("", count, self._blocked)
        else:
            ranked = self._for_letters(candidates, letters, count)
        suggestions = []
        for word, probability, origin in ranked:
            shown = cased(word, typed=typed, at_start=at_start, own=self.personal.written(word))
            suggestions.append(Suggestion(shown, min(1.0, probability), origin))
        return suggestions

    def autocorrect(self, before: str, typed: str) -> Suggestion | None:
        """Return the word that should replace a finished one, if it is far likelier to have been meant.

        Words with digits, in capitals, of one letter, or that the user has learned are left alone; so are the longest.
        """
        letters = normalise(typed)
        if len(letters) < 2 or len(letters) > _LONGEST_WORD or not all(c.isalpha() or c == "'" for c in letters):
            return None
        if typed.isupper() or self.personal.knows(letters) or letters in self._offensive:
            return None
        candidates = self._candidates(before)
        words = [word for word in self._near(letters) if word != letters and word not in self._blocked]
        if not words:
            return None
        known = letters in self._lexicon.index
        meant = (
            float(candidates.log_probabilities([letters])[0])
            if known
            else self._model.log_probability(candidates.context, letters)
        )
        scores = candidates.log_probabilities(words) - costs(letters, words, whole=True)
        best = int(scores.argmax())
        if scores[best] - meant < (_AUTOCORRECT_MARGIN_KNOWN if known else _AUTOCORRECT_MARGIN):
            return None
        word = words[best]
        weights = np.exp(scores - scores[best])
        probability = float(1 / (weights.sum() + np.exp(meant - scores[best])))
        shown = cased(word, typed=typed, at_start=False, own=self.personal.written(word))
        return Suggestion(shown, probability, Origin.CORRECTION)

    def _for_letters(self, candidates: Candidates, letters: str, count: int) -> list[tuple[str, float, Origin]]:
        """Rank completions and corrections by probability of the word times that of the letters."""
        ranked = candidates.best(letters, count, self._blocked)
        words = set(self._near(letters))
        if len(letters) > 2:
            words.update(self._corrections.alike(letters, candidates.likely))
        far = [word for word in words if not word.startswith(letters) and word not in self._blocked]
        total = candidates.mass(letters)
        if far:
            cost = costs(letters, far, whole=False)
            probabilities = np.exp(candidates.log_probabilities(far) - cost)
            probabilities[cost > (_MAX_SHORT if len(letters) <= _SHORT else _MOST)] = 0
            total += float(probabilities.sum())
            order = np.argsort(-probabilities, kind="stable")[:count]
            ranked += [(far[i], float(probabilities[i]), Origin.CORRECTION) for i in order if probabilities[i] > 0]
            ranked.sort(key=lambda candidate: -candidate[1])
        return [(word, probability / max(total, _LEAST), origin) for word, probability, origin in ranked[:count]]

    def _near(self, letters: str) -> list[str]:
        """Return words near what was typed; of the latest letters, since two questions come about the same."""
        if self._latest[0] != letters:
            self._latest = letters, self._corrections.near(letters) + self._own_corrections.near(letters)
        return self._latest[1]

    def _candidates(self, before: str) -> Candidates:
        tokens = _context(before)
        key = tuple(token.symbol for token in tokens)
        if self._cached is None or self._cached[0] != key:
            self._cached = key, Candidates(self._model, self._lexicon, self._own, tokens)
        return self._cached[1]


def _context(before: str) -> list[Token]:
    """Return the tokens at the end of a text of any length."""
    start = max(0, (len(before) - _ANCHOR) // _ANCHOR * _ANCHOR)
    end = before[start:]
    if start and not before[start - 1].isspace():
        space = re.search(r"\s", end)
        end = end[space.end() :] if space else end
    return tokenise(end)
