"""Two languages on one keyboard: what is a word in either is one, and each mends only what is no word of the other."""

import math
from dataclasses import replace

from model.languages import Language
from model.languages.word_table import Frequencies, WrittenForms

_RARER = 4.0  # nats by which a word must be rarer in the other language to be none of it


def together(first: Language, second: Language) -> Language:
    """Return a language for somebody who writes two; its name, layout and marks are the first's.

    Capitals and apostrophes that one language wants are put in only where the other has no such word: `im` stays for
    who writes German, too.
    """
    words = dict(second.words)
    for word, log_probability in first.words.items():
        words[word] = max(log_probability, words.get(word, log_probability))
    pairs = ((first, second), (second, first))
    written = {
        word: form
        for one, other in pairs
        for word, form in one.written.items()
        if other.written.get(word) == form
        or (_is_rarer(other, word, one) if word in one.always_written else not _is_of(other, word, one.words.get(word)))
    }
    contractions = {
        bare: word
        for one, other in pairs
        for bare, word in one.contractions.items()
        if not _is_of(other, bare, one.words.get(word))
    }
    return replace(
        first,
        abbreviations=first.abbreviations | second.abbreviations,
        opening_marks="".join(dict.fromkeys(first.opening_marks + second.opening_marks)),
        words=Frequencies(words),
        written=WrittenForms(written.values()),
        always_written=(first.always_written | second.always_written) & written.keys(),
        contractions=contractions,
        accent_meant=max(first.accent_meant, second.accent_meant),
        silent=first.silent + second.silent,
        digraphs={**second.digraphs, **first.digraphs},
        nouns=frozenset(
            word for one, other in pairs for word in one.nouns if not _is_of(other, word, one.words.get(word))
        ),
        determiners={**second.determiners, **first.determiners},
        elisions=first.elisions | second.elisions,
        spoken_endings={**second.spoken_endings, **first.spoken_endings},
        offensive=first.offensive | second.offensive,
        sensitive={
            word: first.sensitive.get(word, frozenset()) | second.sensitive.get(word, frozenset())
            for word in {*first.sensitive, *second.sensitive}
        },
        also=second,
        prefixes=first.prefixes + second.prefixes,
        suffixes=first.suffixes + second.suffixes,
    )


def _is_of(language: Language, word: str, elsewhere: float | None) -> bool:
    """Return whether a word is one of a language, and not there only as a word of the other, where it is common."""
    found = language.words.get(word)
    return found is not None and (elsewhere is None or found > elsewhere - _RARER)


def _is_rarer(language: Language, word: str, other: Language) -> bool:
    """Return whether a word is rarer in a language than in another."""
    return language.words.get(word, -math.inf) < other.words.get(word, -math.inf)
