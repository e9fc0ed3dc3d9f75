"""What the keyboard knows of languages: one folder of plain data for each, read here and nowhere else.

A folder has `language.toml` (marks, abbreviations, contractions, misspellings), `words.txt` (words as they are written
within a sentence, by frequency; `data/word_lists.py` makes it), `informal.txt` (what people write and no dictionary
has, where that is near to a word; made likewise), for English `misspellings.txt` (what many people misspell; made
likewise), `nouns.txt` (what has a capital behind an article), `offensive.txt` (words never suggested) and
`sensitive.txt` (words withheld after others). `layouts.toml` has the keys. Adding a language is adding a folder.
"""

import functools
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from model.languages import lists
from model.languages.compounds import Compounds
from model.languages.name_letters import NameLetters
from model.languages.word_table import Frequencies, WrittenForms
from model.text import folded, normalise

CODES = ("en", "es", "de", "fr", "hi")
"""The languages, in the order in which they are offered."""

_NAME_LOG_PROBABILITY = math.log(1e-8)  # of a name that no word list has
_COMPOUND_LOG_PROBABILITY = math.log(1e-7)
_CLITIC_LOG_PROBABILITY = math.log(0.02)  # of such as 's behind a word
_ELIDED = math.log(10**-4.8), math.log(10**-3.8)  # frequency of a word behind an elision, and of one of two letters
_RARE = math.log(10**-5.8)
_ELIDED_COMMONER, _ELIDED_COMMONER_THAN_RARE = 4.0, 1.0  # nats by which it must be commoner than the letters without
_COMMONER = 2.7  # nats by which a word with an apostrophe must be commoner than the one without, to be meant by it
_POSSESSIVE = math.log(10**-5.0)  # a rarer form with 's is what a plural may look like
_ELIDED_BEFORE = re.compile("[aeiouyhàâæéèêëîïôœùû].+|y")
_VOWELS = re.compile("[aeiouàáâäåèéêëìíîïòóôöùúûü]")
_ACCENT_MEANT = 2.4  # nats, in most languages
_SHORTENED = 3  # letters that are left of a word without its vowels, at least
_COMMON_ZIPF = 4.9  # of words that tell languages apart


class UnknownLanguageError(ValueError):
    """There is no such language; the message says which there are."""


@dataclass(frozen=True, eq=False)
class Language:
    """A language as a keyboard needs it. Words are in small letters unless said otherwise.

    Attributes:
        code: such as `en`.
        name: in the language itself.
        layout: name of its usual keys.
        sentence_ends: marks.
        spaced_marks: marks that have a space before them.
        opening_marks: marks that open a sentence.
        abbreviations: that end in a full stop and no sentence; the last full stop is not among their characters.
        words: natural logarithm of each word's frequency.
        written: how a word, or several of `often_misspelt`, are written within a sentence, where not in small letters.
        always_written: words of `written` that nobody means in small letters, rare and short ones among them.
        contractions: what is meant where an apostrophe was left out; see `contraction` for the others.
        accent_meant: nats by which a word with accents must be commoner than the one without, to be meant by it.
        digraphs: letters with accents, and the two that are written for each where keys lack it.
        silent: signs that people leave out as others do accents.
        links: what stands between the nouns of a compound; without any there are no compounds.
        nouns: words that are nouns in capitals and something else in small letters.
        determiners: words behind which `nouns` with one of some endings are nouns.
        elisions: words that begin with an apostrophe.
        often_misspelt: what many people write for some words, beside `misspellings.txt`.
        spoken_endings: endings as they are written by ear, and what they stand for.
        offensive: words that are never suggested.
        sensitive: words that are withheld when one of a few words stands before them: that word, and these.
        prefixes, suffixes: what an apostrophe joins to words, that included.
        also: another language that is written beside it, whose words are among these; see `together`.
    """

    code: str
    name: str
    layout: str
    sentence_ends: str
    spaced_marks: str
    opening_marks: str
    abbreviations: frozenset[str]
    words: Frequencies = field(repr=False)
    written: Mapping[str, str] = field(repr=False)
    always_written: frozenset[str] = field(repr=False)
    contractions: Mapping[str, str] = field(repr=False)
    elisions: frozenset[str]
    often_misspelt: Mapping[str, str] = field(repr=False)
    accent_meant: float
    digraphs: Mapping[str, str] = field(repr=False)
    silent: str
    links: tuple[str, ...]
    nouns: frozenset[str] = field(repr=False)
    determiners: Mapping[str, tuple[str, ...]] = field(repr=False)
    spoken_endings: Mapping[str, str] = field(repr=False)
    offensive: frozenset[str] = field(repr=False)
    sensitive: Mapping[str, frozenset[str]] = field(repr=False)
    also: "Language | None" = field(default=None, repr=False)
    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    _names: Mapping[str, str] = field(default_factory=dict, repr=False)

    def log_probability(self, word: str) -> float | None:
        """Return how frequent a word or name is, as a natural logarithm; None for no word that is known.

        Words are known with what the language puts before or behind them with an apostrophe, too.
        """
        found = self.words.get(word)
        if found is not None:
            return found
        if word in self._names:
            return _NAME_LOG_PROBABILITY
        if self.compounds.has(word):
            return _COMPOUND_LOG_PROBABILITY
        stem = self._stem(word)
        found = self.log_probability(stem) if stem else None
        return None if found is None else found + _CLITIC_LOG_PROBABILITY

    def knows(self, word: str) -> bool:
        """Return whether this is a word or a name."""
        return self.log_probability(word) is not None

    def has_letters_of(self, word: str) -> bool:
        """Return whether a word has no letter that none of the language's words has: it may be of another script."""
        return self._alphabet.issuperset(word)

    @functools.cached_property
    def _alphabet(self) -> frozenset[str]:
        return frozenset("'").union(*self.words)

    def written_form(self, word: str) -> str:
        """Return how a word, or several, are written within a sentence."""
        if " " in word:
            return self.written.get(word) or " ".join(self._written_forms(word.split(" ")))
        if word in self.words:
            return self.written.get(word, word)
        if word in self._names:
            return self._names[word]
        if self.compounds.has_noun(word):
            return word.capitalize()
        stem = self._stem(word)
        return word.replace(stem, self.written_form(stem), 1) if stem else word

    def _written_forms(self, words: Sequence[str]) -> Iterator[str]:
        for before, word in zip(("", *words), words, strict=False):
            yield word.capitalize() if self.is_noun_behind(before, word) else self.written_form(word)

    def is_noun_behind(self, before: str, word: str) -> bool:
        """Return whether a word that is a noun or something else is one behind another word: an article that fits."""
        return word in self.nouns and word.endswith(self.determiners.get(before, ()))

    def bare(self, word: str) -> str:
        """Return a word without what an apostrophe joins to it."""
        return self._stem(word) or word

    def is_proper(self, word: str) -> bool:
        """Return whether a word is never written in small letters."""
        return self.written_form(word) != word

    def contraction(self, letters: str) -> str | None:
        """Return the word that lacks its apostrophe in some letters, and its accents if those are left out, too."""
        return self.contractions.get(letters) or self._elision(letters)

    def _elision(self, letters: str) -> str | None:
        """Return what stands for a common word that begins with a vowel, and an elision joined to it: jetais."""
        alike = (letters, *self.accented.get(letters, ()))  # mere is mère and no ère
        listed, found = max(self.words.get(word, -math.inf) for word in alike), None
        best = listed + (_ELIDED_COMMONER if listed >= _RARE else _ELIDED_COMMONER_THAN_RARE)
        for prefix in self.prefixes:
            rest = letters[len(prefix) - 1 :]
            if not letters.startswith(prefix[:-1]) or not _ELIDED_BEFORE.fullmatch(rest):
                continue
            words = [word for word in (rest, *self.accented.get(rest, ())) if word in self.words]
            word = max(words, key=self.words.__getitem__, default="")
            frequency = self.words.get(word, -math.inf)
            if frequency < _ELIDED[len(rest) <= 2] or self.is_proper(word):
                continue
            if frequency + _CLITIC_LOG_PROBABILITY > best:
                best, found = frequency + _CLITIC_LOG_PROBABILITY, prefix + word
        return found

    @functools.cached_property
    def misspellings(self) -> Mapping[str, tuple[str, ...]]:
        """What many people write for some words, and which; of two languages, what is no word of the other one."""
        listed = map(str.split, lists.lines(lists.folder(self.code) / "misspellings.txt"))
        own = {wrong: tuple(word.replace("_", " ") for word in right) for wrong, *right in listed}
        own |= {wrong: (right,) for wrong, right in self.often_misspelt.items()}
        if self.also is None:
            return own
        pairs = ((self.also.misspellings, language(self.code).words), (own, self.also.words))
        return {wrong: right for of_one, other in pairs for wrong, right in of_one.items() if wrong not in other}

    @property
    def names(self) -> AbstractSet[str]:
        """Names that no word list has."""
        return self._names.keys()

    def name_log_probability(self, letters: str) -> float:
        """Return the natural logarithm of the probability that a name has some letters, known or not."""
        return self._name_letters.log_probability(letters)

    @functools.cached_property
    def _name_letters(self) -> NameLetters:
        return NameLetters(self._names)

    @functools.cached_property
    def informal(self) -> Mapping[str, float]:
        """What people write and no dictionary has, slips included, with the natural logarithm of its frequency."""
        own = {word: found for word, _, found in lists.with_frequencies(lists.folder(self.code) / "informal.txt")}
        return Frequencies({**self.also.informal, **own} if self.also else own)

    @functools.cached_property
    def shortened(self) -> Mapping[str, tuple[str, ...]]:
        """Common words, by what is left without all vowels but a first one: abt, grp, thnk."""
        found: dict[str, tuple[str, ...]] = {}
        for word in common_words(self.code) | (common_words(self.also.code) if self.also else frozenset()):
            short = word[:1] + _VOWELS.sub("", word[1:])
            if len(short) >= _SHORTENED and short != word and word.isalpha():
                found[short] = (*found.get(short, ()), word)
        return found

    def full_forms(self, letters: str) -> tuple[str, ...]:
        """Return the words that letters may stand for on purpose: without vowels, or with an ending as it is spoken."""
        spoken = (
            letters.removesuffix(ending) + full
            for ending, full in self.spoken_endings.items()
            if letters.endswith(ending) and len(letters) > len(ending) + 1
        )
        return (*self.shortened.get(letters, ()), *(word for word in spoken if word in self.words))

    @functools.cached_property
    def compounds(self) -> Compounds:
        """The words that are made of several, of the first of two languages that has such."""
        if self.also is None:
            return Compounds(self.words, self.written, self.nouns, self.links)
        return (self.also if self.also.links and not self.links else language(self.code)).compounds

    @functools.cached_property
    def accented(self) -> Mapping[str, tuple[str, ...]]:
        """The words with accents or silent signs, by what they are without."""
        found: dict[str, tuple[str, ...]] = {}
        silent = str.maketrans("", "", self.silent)
        for word in self.words:
            if not word.isascii():
                for plain in {folded(word), self._in_digraphs(word), word.translate(silent)} - {word}:
                    found[plain] = (*found.get(plain, ()), word)
        return found

    def _in_digraphs(self, word: str) -> str:
        for letter, letters in self.digraphs.items():
            word = word.replace(letter, letters)
        return word if word.isascii() else folded(word)

    def may_begin(self, letters: str) -> bool:
        """Return whether some word begins with letters that have an apostrophe within, or may with a clitic on it."""
        before, _, behind = letters.rpartition("'")
        clitics = (suffix.rpartition("'")[2] for suffix in self.suffixes)
        return (
            f"{before}'" in self.prefixes
            or any(clitic.startswith(behind) for clitic in clitics)
            or any(word.startswith(letters) for word in self.words)
        )

    def _stem(self, word: str) -> str:
        """Return a word without what an apostrophe joins to it; nothing if nothing does."""
        if "'" not in word:
            return ""
        for prefix in self.prefixes:
            if word.startswith(prefix) and len(word) > len(prefix):
                return word[len(prefix) :]
        for suffix in self.suffixes:
            if word.endswith(suffix) and len(word) > len(suffix):
                return word[: -len(suffix)]
        return ""


def language(code: str) -> Language:
    """Return a language.

    Raises:
        UnknownLanguageError: there is none of that code.
    """
    if code not in CODES:
        raise UnknownLanguageError(f"there is no language {code!r}: choose one of {', '.join(CODES)}")
    return _language(code)


@functools.cache
def common_words(code: str) -> frozenset[str]:
    """Return the words of a language that are common enough to tell it by, without reading the others."""
    found: set[str] = set()
    with (lists.folder(code) / "words.txt").open(encoding="utf-8") as lines:
        for line in lines:
            zipf, *words = line.split()
            if float(zipf) < _COMMON_ZIPF:
                break
            found.update(word.lower() for word in words)
    return frozenset(found)


@functools.cache
def layouts() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Return the rows of letters of each layout, `rows` and, where shift does not make capitals, `shifted`."""
    described = tomllib.loads((lists.root() / "layouts.toml").read_text("utf-8"))
    return {name: {part: tuple(rows) for part, rows in layout.items()} for name, layout in described.items()}


@functools.cache
def _language(code: str) -> Language:
    folder = lists.folder(code)
    described = tomllib.loads((folder / "language.toml").read_text("utf-8"))
    words: dict[str, float] = {}
    written: dict[str, str] = {}
    for word, form, log_probability in lists.with_frequencies(folder / "words.txt"):
        if word not in words:
            words[word] = log_probability
            if word != form:
                written[word] = form
    always_written = {form.lower(): form for form in described["written"]}
    written |= always_written
    written |= {form.lower(): form for form in described["misspellings"].values() if " " in form and not form.islower()}
    contractions = {
        word.replace("'", ""): word
        for word, log_probability in words.items()
        if "'" in word and not (word.endswith("'s") and (word[:-2] in written or log_probability < _POSSESSIVE))
    }
    contractions = {bare: word for bare, word in contractions.items() if words[word] - words.get(bare, -99) > _COMMONER}
    written = {word: form for word, form in written.items() if word not in contractions}
    for form in described["contractions"]:
        contractions[form.lower().replace("'", "")] = form.lower()
        words.setdefault(form.lower(), words.get(form.lower().replace("'", ""), _NAME_LOG_PROBABILITY))
    for word in sorted(contractions.values(), key=lambda word: -words[word]):  # accents are left out with apostrophes
        if folded(word) not in words:
            contractions.setdefault(folded(word), word)
    return Language(
        code=code,
        name=described["name"],
        layout=described["layout"],
        sentence_ends=described["sentence_ends"],
        spaced_marks=described["spaced_marks"],
        opening_marks=described["opening_marks"],
        abbreviations=frozenset(described["abbreviations"]),
        words=Frequencies(words),
        written=WrittenForms(written.values()),
        always_written=frozenset(always_written),
        contractions=contractions,
        elisions=frozenset(described["elisions"]),
        often_misspelt={normalise(wrong): normalise(right) for wrong, right in described["misspellings"].items()},
        accent_meant=described.get("accent_meant", _ACCENT_MEANT),
        digraphs=described.get("digraphs", {}),
        silent=described.get("silent", ""),
        links=tuple(described.get("links", ())),
        nouns=frozenset(lists.words(folder / "nouns.txt")),
        determiners={word: tuple(ends.split()) or ("",) for word, ends in described.get("determiners", {}).items()},
        spoken_endings=described.get("spoken_endings", {}),
        offensive=frozenset(lists.words(folder / "offensive.txt")),
        sensitive=lists.withheld_after(folder / "sensitive.txt"),
        prefixes=tuple(described["prefixes"]),
        suffixes=tuple(described["suffixes"]),
        _names=lists.names() if described["script"] == "LATIN" else {},
    )
