"""What a finished word was meant to be: a noisy channel of misspellings, slips of keys, and words typed as one.

Kernighan, Church and Gale 1990, A spelling correction program based on a noisy channel model
(https://aclanthology.org/C90-2036/); the prior is the model's, given the words before.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from model.evaluation import Lexicon
from model.languages import Language
from model.next_words import NextWords
from model.suggestions.candidates import Candidates
from model.suggestions.casing import cased, has_inner_capitals, two_leading_capitals
from model.suggestions.corrections import HOPELESS, costs
from model.suggestions.filters import Filters
from model.suggestions.keys import Geometry
from model.suggestions.spelling import Spelling
from model.suggestions.splits import Split, splits
from model.suggestions.surroundings import starts_sentence
from model.text import normalise

_MARGIN = 2.5  # nats by which a correction of an unknown word must be better than what was typed
_MARGIN_RARE = 4.0  # of a word of the language that the model does not know
_MARGIN_KNOWN = 6.0  # of a known word
_MISSPELLED = 10.0  # by which a form that public text has, but no dictionary, is less likely to be meant than there
_LONG_NAME, _COMMON_NAME, _ONE_SLIP = 6, math.log(10**-4.8), 5.5  # letters, frequency, nats
_ON_PURPOSE = 4.5  # nats that it costs to leave out vowels, or to write an ending as it is spoken
_NAME = -1.5  # nats: that an unknown word at the beginning of a sentence is a name, before its letters are looked at
_COMMON_WORD = math.log(10**-4.2)  # that nobody means as an abbreviation: yes, was, its
_COMMON_JOINED = math.log(10**-4.5)  # frequency of what may be joined to a one-letter word
_MISSPELT = 4.0  # nats that it costs at most to write a word as many people misspell it
_SHOUTED = 4  # letters from which on capitals without an apostrophe are no abbreviation
_CAUTION = 4.0  # more, for who asks for caution
_NEGLIGIBLE = 16.0  # nats by which a word must be less likely than the best one to add nothing to what others say


@dataclass(frozen=True)
class Intended:
    """What the letters of a finished word were meant to be.

    Attributes:
        candidates: returns the words that may come here, with their probabilities.
        model: that they are of.
        lexicon: of the model.
        language: whose spelling holds.
        filters: what is never offered.
        spelling: how words are written.
        keys: where the letters are.
        blocked: words that are not offered to this user.
        near: returns the words that are few slips from some letters.
        cautious: whether more evidence is asked for.
    """

    candidates: Callable[[], Candidates]
    model: NextWords
    lexicon: Lexicon
    language: Language
    filters: Filters
    spelling: Spelling
    keys: Geometry
    blocked: Collection[str]
    near: Callable[[str], Sequence[str]]
    cautious: bool

    def corrected(self, before: str, core: str, letters: str) -> tuple[str, float] | None:
        """Return the word that is meant, as it is written, and its probability; None if what was typed is.

        Args:
            before: the text before the word; only its end is read.
            core: the word as typed, without apostrophes behind it.
            letters: of it, normalised.
        """
        if len(core) > 1 and core.isupper():
            shouted = self.language.contractions.get(letters, "") if len(core) >= _SHOUTED else ""
            return (shouted.upper(), 1.0) if shouted else None
        if has_inner_capitals(core):
            capitals = self.spelling.written(letters)[1:] != letters[1:]  # GHz and BSc are written with two
            common = self.language.words.get(letters, -math.inf) >= _COMMON_WORD
            mended = two_leading_capitals(core, common=common) and self.spelling.is_known(letters) and not capitals
            found = (letters, 1.0) if mended else None
        else:
            at_start = starts_sentence(before, self.language)
            found = self.spelling.certain(core, letters, at_start=at_start)
            if found is None and self.spelling.follows_article(core, self.candidates().context):
                return letters.capitalize(), 1.0
            found = found or self._meant(before, core, letters)
        if found is None:
            return None
        word, probability = found
        return cased(word, typed=core[:1], at_start=False, written=self.spelling.written(word)), probability

    def _meant(self, before: str, core: str, letters: str) -> tuple[str, float] | None:
        """Return the likeliest word, in lower case, and its probability; None if it is likely what was typed.

        A capital where none is due is evidence of a name: only words that have one are likelier.
        """
        capital = core[:1].isupper()
        wanted = letters in self.filters.accepted or (capital and self.spelling.written(letters) != letters)
        misspelt = letters in self.language.misspellings
        uncased = letters.upper() == letters  # nothing tells a name from a slip
        if len(letters) < 2 or wanted or (uncased and not misspelt):
            return None
        candidates = self.candidates()
        if capital and not starts_sentence(before, self.language):
            return self._joined_to_one_letter(candidates, core) or self._misspelt(letters) or self._name(letters)
        known = self.spelling.is_known(letters) and not self.spelling.is_rare_name(core, letters)
        words = self._words_for(letters)
        meant = -math.inf if misspelt else self._log_probability(candidates, letters)
        if capital and not known and not misspelt:
            meant = max(meant, _NAME + self.language.name_log_probability(letters))
        found, scores = words, np.zeros(0)
        if words:
            cost = costs(letters, words, whole=True, keys=self.keys)
            if misspelt:
                cost = np.minimum(cost / 2, _MISSPELT)
            scores = np.where(cost < HOPELESS, candidates.log_probabilities(words) - cost, -np.inf)
        split = None if known else split_of(candidates, self.language, self.spelling, self.filters, letters)
        if split is not None:
            found, scores = [*words, " ".join(split.words)], np.append(scores, split.score)
        # That a word is a misspelling itself is asked last, and of few: it takes a search of its own.
        likely = np.argsort(-scores, kind="stable")
        likely = likely[scores[likely] - meant >= self._margin(letters, known=known)]

        def right(place: int) -> bool:
            return misspelt or place == len(words) or not self.filters.is_misspelling(words[place])

        best = next(filter(right, likely.tolist()), None)
        if best is None:
            return None
        rivals = filter(right, np.flatnonzero(scores > scores[best] - _NEGLIGIBLE).tolist())
        return found[best], float(1 / np.exp(np.array([meant, *scores[list(rivals)]]) - scores[best]).sum())

    def _words_for(self, letters: str) -> list[str]:
        """Return the words that may have been meant: those of a common misspelling, or those that are near.

        Among the latter are forms that are misspellings themselves.
        """
        often_meant = self.language.misspellings.get(letters)
        if often_meant:
            return [word for word in often_meant if " " not in word and word not in self.blocked]
        return [
            word
            for word in self.near(letters)
            if word != letters
            and word not in self.blocked
            and word.count("'") >= letters.count("'")
            and word != f"{letters[:-1]}'s"  # a plural that no list has
        ]

    def _joined_to_one_letter(self, candidates: Candidates, core: str) -> tuple[str, float] | None:
        """Return a word that is one letter in a capital and a common word that was joined to it, if any: Ithink."""
        letters = normalise(core)
        split = (
            split_of(candidates, self.language, self.spelling, self.filters, letters)
            if self.spelling.written(letters[0]) == core[0]
            else None
        )
        if split is None or split.words[0] != letters[0] or self.spelling.is_known(letters):
            return None
        common = (self.language.words.get(word, -math.inf) for word in split.words[1:])
        return (" ".join(split.words), 1.0) if min(common) >= _COMMON_JOINED else None

    def _misspelt(self, letters: str) -> tuple[str, float] | None:
        """Return the word with a capital that many people misspell with one: Addresse."""
        meant = self._words_for(letters) if letters in self.language.misspellings else []
        return next(((word, 1.0) for word in meant if self.spelling.written(word) != word), None)

    def _name(self, letters: str) -> tuple[str, float] | None:
        """Return the common proper noun that a word with a capital within a sentence is one cheap slip from, if any."""
        if len(letters) < _LONG_NAME or self.spelling.is_known(letters):
            return None
        names = [
            word
            for word in self.near(letters)
            if self.language.words.get(word, -math.inf) >= _COMMON_NAME and self.spelling.is_proper(word)
        ]
        cost = costs(letters, names, whole=True, keys=self.keys)
        return (names[int(cost.argmin())], 1.0) if names and cost.min() <= _ONE_SLIP else None

    def _margin(self, letters: str, *, known: bool) -> float:
        of_known = _MARGIN_KNOWN if letters in self.lexicon.index else _MARGIN_RARE
        margin = of_known if known else _MARGIN
        return margin + _CAUTION * (self.cautious)

    def _log_probability(self, candidates: Candidates, letters: str) -> float:
        """Return the logarithm of the probability that what was typed was meant."""
        if letters in self.lexicon.index:
            modelled = float(candidates.log_probabilities([letters])[0])
        else:
            modelled = self.model.log_probability(candidates.context, letters)
        if self.filters.is_misspelling(letters):
            modelled -= _MISSPELLED
        listed = self.language.log_probability(letters)
        if listed is None and not self.filters.is_common_mistake(letters):
            listed = self.language.informal.get(letters)
        found = [modelled, -math.inf if listed is None else listed]
        full = self.language.full_forms(letters)
        if full:
            found.append(float(candidates.log_probabilities(full).max()) - _ON_PURPOSE)
        return max(found)


def split_of(
    candidates: Candidates, language: Language, spelling: Spelling, filters: Filters, letters: str
) -> Split | None:
    """Return the likeliest words that were typed as one, with their probability here, less the slips' cost."""
    meant = [tuple(word.split(" ")) for word in language.misspellings.get(letters, ()) if " " in word]
    found = [Split(words, candidates.log_probability_of(words) - _MISSPELT, _MISSPELT) for words in meant]
    if letters not in language.misspellings:
        found = [
            split._replace(score=candidates.log_probability_of(split.words) - split.cost)
            for split in splits(letters, spelling.joined, filters.is_expression)
        ]
    return max(found, key=lambda split: split.score, default=None)
