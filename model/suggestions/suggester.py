"""The strip of three: next words, completions and corrections for a text that is being typed."""

import functools
import re
from collections.abc import Sequence

import numpy as np
import regex

from model.evaluation import STRIP, Lexicon
from model.languages import Language, language
from model.languages.detection import detect
from model.next_words import NextWords
from model.suggestions.candidates import Candidates, Origin, OwnWords, Ranked
from model.suggestions.casing import cased
from model.suggestions.corrections import Corrections, costs
from model.suggestions.filters import Filters
from model.suggestions.gliding import Glides, Path
from model.suggestions.intended import Intended, split_of
from model.suggestions.keys import Geometry, geometry
from model.suggestions.personal import PersonalModel
from model.suggestions.spelling import APOSTROPHES, Spelling
from model.suggestions.suggestion import Autocorrection, Suggestion
from model.suggestions.surroundings import in_address, split_word, stands_alone, starts_sentence
from model.text import LETTER, Token, folded, normalise, tokenise

__all__ = ["Autocorrection", "Suggester", "Suggestion", "split_word"]

_LONGEST_WORD = 64
_SPELLED = regex.compile(rf"{LETTER}+(?:'{LETTER}+)*")

_ANCHOR = 64
"""Context begins at a multiple of this many characters, so that it moves rarely; one to two of them are read."""

_LEAST = 1e-9
_UNLIKELY = 1e-5  # probability of all words that begin with some letters, below which they may be two words

_SHORT, _MAX_SHORT, _MAX = 3, 7.5, 13.0  # nats that a suggested correction of few letters, or of more, may cost
_MORE = 12  # candidates that are looked at beyond those that are shown
_QUOTES = frozenset(APOSTROPHES)


class Suggester:
    """Suggestions of a shared model and a personal one.

    Args:
        model: predicts words of the shared lexicon.
        personal: what the user typed; by default nothing.
        spoken: the language; by default that of the lexicon.
        keys: where the letters are; by default as usual in the language.

    Attributes:
        personal: what the user typed.
        autocorrection: how much is corrected unasked.
        suggests: whether there are suggestions at all.
    """

    def __init__(
        self,
        model: NextWords,
        personal: PersonalModel | None = None,
        spoken: Language | None = None,
        keys: Geometry | None = None,
    ) -> None:
        self._model = model
        self.personal = personal or PersonalModel(model.words)
        self.autocorrection = Autocorrection.EAGER
        self.suggests = True
        self.language = spoken or language(detect(dict.fromkeys(model.words, 1)).code)
        self.keys = keys or geometry(self.language.layout)
        self._corrections = Corrections(model.words)
        self._lexicon = Lexicon(model.words)
        self._filters = Filters(self.language, self._corrections, model.accepted, self._phrase_log_probability)
        self._cached: tuple[tuple[str, ...], Candidates] | None = None
        self._own = OwnWords(PersonalModel(()), self._lexicon)
        self._own_corrections = Corrections(())
        self._latest: tuple[str, list[str]] = "", []
        self._glides: Glides | None = None
        self.personal_changed()

    def personal_changed(self) -> None:
        """Take notice that `personal` has learned or forgotten; takes effect at the next suggestion."""
        learned, self._own = self._own.learned, OwnWords(self.personal, self._lexicon)
        if self._own.learned != learned:
            self._own_corrections = Corrections(self._own.learned)
            self._latest = "", []
        self._spelling = Spelling(self.language, self._lexicon, self._filters, self.personal)
        self._blocked = (self._filters.blocked - self.personal.kept) | self.personal.never
        self._cached = None

    def use(self, model: NextWords) -> None:
        """Predict with another model from now on, at the cost of one prediction.

        Raises:
            ValueError: it has another lexicon: make a new `Suggester`; this one goes on with the model it has.
        """
        if not self.has_words_of(model):
            raise ValueError("the new model has another lexicon: make a new Suggester for it")
        model.adapt(self.personal.adaptation)
        model.probabilities(())
        self._model, self._cached = model, None

    def has_words_of(self, model: NextWords) -> bool:
        """Return whether a model has this one's lexicon, so that it can take its place."""
        return tuple(model.words) == tuple(self._model.words)

    def take_over(self, other: "Suggester") -> None:
        """Suggest for the user of another suggester from now on, as they chose: there is a lexicon with other words."""
        self.personal, self.keys = other.personal, other.keys
        self.autocorrection, self.suggests = other.autocorrection, other.suggests
        self._model.adapt(self.personal.adaptation)
        self.personal_changed()

    def observe(self, message: str) -> None:
        """Weigh the parts of the mixture by how well they expected a message; do it before it is learned."""
        tokens = tokenise(message)
        if tokens:
            self.personal.observe(tokens, self._model.observe(tokens, self.personal.adaptation))
            self._cached = None

    def suggest(self, before: str, typed: str = "", count: int = STRIP) -> list[Suggestion]:
        """Return up to `count` words, best first; none within addresses, paths and the like.

        A known word that no other is near to, or begins with, is shown itself.

        Args:
            before: the text before the word that is being typed; only its end is read.
            typed: that word's letters so far, if any.
            count: how many at most.
        """
        letters = normalise(typed)
        if not self.suggests or (letters and (letters[0].isdigit() or in_address(before))):
            return []
        candidates = self._candidates(before)
        blocked = self._blocked | self._filters.withheld(candidates.context)
        if letters:
            ranked = self._for_letters(candidates, letters, count + _MORE, blocked)
        else:
            ranked = [
                (word, probability * self._filters.damping(word, candidates.context), origin)
                for word, probability, origin in candidates.best("", count + _MORE, blocked)
            ]
            ranked.sort(key=lambda candidate: -candidate[1])
        shown = self._shown(self._with_habits(candidates, ranked, letters, count, blocked), before, typed, count)
        known = letters and (self._spelling.is_known(letters) or letters in self._own.index)
        if shown or not known or letters in blocked:
            return shown
        itself = (letters, float(np.exp(candidates.log_probabilities([letters])[0])), Origin.SHARED)
        return self._shown([itself], before, typed, count)

    def _shown(self, ranked: Ranked, before: str, typed: str, count: int) -> list[Suggestion]:
        """Return the first words as the strip shows them, without junk."""
        at_start = starts_sentence(before, self.language)
        suggestions: list[Suggestion] = []
        for word, probability, origin in ranked:
            if len(suggestions) == count:
                break
            if origin is not Origin.PERSONAL and self._filters.is_junk(word) and " " not in word:
                continue
            written = self._spelling.written(word)
            shown = cased(word, typed=typed, at_start=at_start, written=written)
            if all(shown != other.text for other in suggestions):
                suggestions.append(Suggestion(shown, min(1.0, probability), origin, written))
        return suggestions

    def glide(self, before: str, path: Path, count: int = STRIP) -> list[Suggestion]:
        """Return up to `count` words that a finger may have glided over, best first.

        Args:
            before: the text before the word; only its end is read.
            path: where the finger was, in keys from the keyboard's top left corner.
            count: how many at most.
        """
        candidates = self._candidates(before)
        if self._glides is None or self._glides.keys is not self.keys:
            self._glides = Glides(self._lexicon.words, self.language.words, self.keys)
        ranked = self._glides.ranked(path, candidates, self._own.learned)
        return self._shown([one for one in ranked if one[0] not in self._blocked], before, "", count)

    def _with_habits(
        self, candidates: Candidates, ranked: Ranked, letters: str, count: int, blocked: frozenset[str]
    ) -> Ranked:
        """Return the words with one that the user mostly goes on with here among the first ones, in the last place."""
        first = {word for word, _, _ in ranked[: count - 1]}
        for word in self.personal.habits(candidates.context):
            if word.startswith(letters) and word not in {letters, *first, *blocked}:
                probability = float(np.exp(candidates.log_probabilities([word])[0]))
                own = (word, probability, Origin.PERSONAL)
                others = [candidate for candidate in ranked if candidate[0] != word]
                return [*others[: count - 1], own, *others[count - 1 :]]
        return ranked

    def autocorrect(self, before: str, typed: str) -> Suggestion | None:
        """Return the word that should replace a finished one, if it is far likelier to have been meant.

        Left alone are parts of addresses and the like, words with digits, of another script, in capitals or with inner
        capitals, what the user has learned or wanted once as typed, and names: a capital where none is due. Where there
        are no capitals, only what many people misspell is mended.
        """
        expanded = self.personal.shortcuts.get(normalise(typed))
        if expanded is not None and stands_alone(before):
            return Suggestion(expanded, 1.0, Origin.PERSONAL)
        core, as_typed = typed.rstrip(APOSTROPHES), typed
        letters = normalise(core)
        if self.autocorrection is Autocorrection.OFF or not letters or len(letters) > _LONGEST_WORD:
            return None
        if not _SPELLED.fullmatch(letters) or not self.language.has_letters_of(letters) or not stands_alone(before):
            return None
        if len(core) < len(typed) and self._spelling.has_apostrophe_behind(before, letters):
            typed = core
        cut_short = len(core) < len(typed) and before[-1:] not in _QUOTES  # an elision or a possessive
        if cut_short or self._spelling.is_wanted(before, letters):
            return None
        found = self._intended(before).corrected(before, core, letters)
        if found is None:
            return None
        corrected = found[0] + typed[len(core) :]
        return None if corrected == as_typed else Suggestion(corrected, found[1], Origin.CORRECTION)

    def _intended(self, before: str) -> Intended:
        return Intended(
            functools.partial(self._candidates, before),
            self._model,
            self._lexicon,
            self.language,
            self._filters,
            self._spelling,
            self.keys,
            self._blocked,
            self._near,
            cautious=self.autocorrection is Autocorrection.CAUTIOUS,
        )

    def _for_letters(self, candidates: Candidates, letters: str, count: int, blocked: frozenset[str]) -> Ranked:
        """Rank completions and corrections by probability of the word times that of the letters."""
        ranked: Ranked = candidates.best(letters, count, blocked)
        words = set(self._near(letters))
        if len(letters) > 2:
            words.update(self._corrections.alike(letters, candidates.likely))
        far = [word for word in words if not word.startswith(letters) and word not in blocked]
        total = candidates.mass(letters)
        found: dict[str, float] = {}
        if far:
            cost = costs(letters, far, whole=False, keys=self.keys)
            probabilities = np.exp(candidates.log_probabilities(far) - cost)
            probabilities[cost > (_MAX_SHORT if len(letters) <= _SHORT else _MAX)] = 0
            total += float(probabilities.sum())
            order = np.argsort(-probabilities, kind="stable")[:count]
            found = {far[i]: float(probabilities[i]) for i in order if probabilities[i] > 0}
        found |= self._beyond(candidates, letters, blocked)
        ranked += [(word, probability, Origin.CORRECTION) for word, probability in found.items()]
        ranked.sort(key=lambda candidate: -candidate[1])
        return [(word, probability / max(total, _LEAST), origin) for word, probability, origin in ranked[:count]]

    def _beyond(self, candidates: Candidates, letters: str, blocked: frozenset[str]) -> dict[str, float]:
        """Return what no lexicon of single words has: the same letters with accents, and two words in one."""
        found = {}
        for word in self.language.accented.get(folded(letters), ()):
            if word not in self._lexicon.index and word != letters and word not in blocked:
                cost = float(costs(letters, [word], whole=True)[0])
                found[word] = float(np.exp(self.language.words[word] - cost))
        whole = candidates.mass(letters) > _UNLIKELY or self._spelling.is_known(letters)
        split = None if whole else split_of(candidates, self.language, self._spelling, self._filters, letters)
        if split is not None and not blocked.intersection(split.words):
            found[" ".join(split.words)] = float(np.exp(split.score))
        return found

    def _phrase_log_probability(self, words: Sequence[str]) -> float:
        return self._model.phrase_log_probability(words)

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


@functools.lru_cache(maxsize=8)
def _context(before: str) -> list[Token]:
    """Return the tokens at the end of a text of any length."""
    start = max(0, (len(before) - _ANCHOR) // _ANCHOR * _ANCHOR)
    end = before[start:]
    if start and not before[start - 1].isspace():
        space = re.search(r"\s", end)
        end = end[space.end() :] if space else end
    return tokenise(end)
