"""Which letters are words, and how those are written: by the language, the shared lexicon and the user."""

import math
import re
from collections.abc import Sequence

from model.evaluation import Lexicon
from model.languages import Language
from model.suggestions.casing import has_inner_capitals
from model.suggestions.filters import Filters
from model.suggestions.personal import PersonalModel
from model.text import Token

APOSTROPHES = "'’‘ʼ`´"

_SHORTEST_PROPER = 3  # letters from which on a proper noun is no abbreviation in a hurry: np, ty
_PROPER = math.log(10**-5.9)  # frequency from which on a proper noun in small letters gets its capital
_UNKNOWN = math.log(10**-7.5)  # frequency of letters that are no word, beside one that differs in accents only
_DRAWN_OUT = re.compile(r"(.)\1\1")
_ON_PURPOSE = re.compile(r".*(.)\1\1|.?(..)\2\2+.?|[ha]{4,}|(?=.*j)[jase]{4,}")
"""Letters that are drawn out at the end, and laughter: sooo, hahahah, jsjsj."""


class Spelling:
    """What is known of single words.

    Args:
        language: whose words.
        lexicon: of the shared model.
        filters: tell its misspellings.
        personal: what the user typed.
    """

    def __init__(self, language: Language, lexicon: Lexicon, filters: Filters, personal: PersonalModel) -> None:
        self._language = language
        self._lexicon = lexicon
        self._filters = filters
        self._personal = personal

    def certain(self, core: str, letters: str, *, at_start: bool) -> tuple[str, float] | None:
        """Return what letters always stand for: a word that lacks its apostrophe, its accents, or its capitals.

        Args:
            core: as typed.
            letters: in lower case.
            at_start: they begin a sentence, so that a capital says nothing.
        """
        accepted = letters in self._filters.accepted
        if letters in self._language.misspellings and not accepted:
            return None
        named = core != letters and (not at_start or letters in self._language.names)
        contraction = self._language.contractions.get(letters) if named else self._language.contraction(letters)
        if contraction is not None and not accepted:
            return contraction, 1.0
        meant = core == letters or at_start
        accented = self._accented(letters) if meant and not accepted else ""
        if accented:
            return accented, 1.0
        if self.is_proper(letters) and (core == letters or (at_start and has_inner_capitals(self.written(letters)))):
            return letters, 1.0
        return None

    def _accented(self, letters: str) -> str:
        """Return the word with the accents that letters lack beyond doubt; nothing if they may lack none."""
        words, alike = self._language.words, self._language.accented.get(letters)
        if alike is None:
            return ""
        accented = max(alike, key=lambda word: words.get(word, -math.inf))
        least = words.get(letters, -math.inf if self._language.knows(letters) else _UNKNOWN)
        return accented if least > -math.inf and words[accented] - least >= self._language.accent_meant else ""

    def has_apostrophe_behind(self, before: str, letters: str) -> bool:
        """Return whether an apostrophe behind a word is the one that it lacks, and closes no quotation: didnt'."""
        marks = sum(before.count(mark) for mark in APOSTROPHES)
        return letters in self._language.contractions and marks % 2 == 0

    def is_wanted(self, before: str, letters: str) -> bool:
        """Return whether letters are right as they are, whatever is near them."""
        elided = before[-1:] in APOSTROPHES and before != "" and f"'{letters}" in self._language.elisions
        kept = letters in self._personal.kept or self._personal.knows(letters)
        drawn_out = _DRAWN_OUT.search(letters) and self.is_known(re.sub(r"(.)\1\1+", r"\1", letters))
        on_purpose = drawn_out or _ON_PURPOSE.fullmatch(letters)
        return elided or kept or bool(on_purpose) or letters in self._language.offensive

    def is_known(self, letters: str) -> bool:
        """Return whether a word is one of the language or of the lexicon, and no common misspelling."""
        if letters in self._language.misspellings:  # a rare word, or none
            return letters in self._filters.accepted
        in_lexicon = letters in self._lexicon.index and not self._filters.is_misspelling(letters)
        return in_lexicon or self._language.knows(letters)

    def is_rare_name(self, core: str, letters: str) -> bool:
        """Return whether letters without a capital are a word only as a proper noun that few people use."""
        rare = self._language.words.get(letters, -math.inf) < _PROPER
        return core == letters and rare and self._language.is_proper(letters)

    def follows_article(self, core: str, context: Sequence[Token]) -> bool:
        """Return whether small letters stand behind an article that fits them, unless their owner writes them so."""
        fits = bool(context) and self._language.is_noun_behind(context[-1].symbol, core)
        return fits and self._personal.habit(core) != core

    def is_proper(self, letters: str) -> bool:
        """Return whether a word of the language is never written in small letters, by its owner neither."""
        bare = self._language.bare(letters)
        form = self._language.written.get(bare, bare)
        if bare not in self._language.words and self._language.compounds.has_noun(bare):
            return self.written(letters) != letters
        if form == bare or not self._has_capital(bare, form):
            return False
        return self.written(letters) == self._language.written_form(letters)

    def _has_capital(self, word: str, form: str) -> bool:
        """Return whether a word in small letters gets the capitals of its written form: rare names and acronyms not."""
        if word in self._language.always_written:
            return True
        common = self._language.words.get(word, -math.inf) >= _PROPER
        return common and len(word) >= _SHORTEST_PROPER and not form.isupper()

    def written(self, word: str) -> str:
        """Return how a word is written within a sentence: by the user, or else by everybody."""
        return self._personal.habit(word) or self._language.written_form(word)

    def joined(self, letters: str) -> tuple[str, float] | None:
        """Return a word that may be written together with others, with what it lacks beyond doubt, and its frequency.

        Its frequency is a natural logarithm; None stands for letters that are no word.
        """
        word = self._language.contractions.get(letters) or self._accented(letters) or letters
        found = self._language.words.get(word)
        return None if found is None else (word, found)
