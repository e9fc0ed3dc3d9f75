"""Compounds by themselves, of a few words."""

import math

import pytest

from model.languages import language
from model.languages.compounds import Compounds
from model.languages.word_table import Frequencies

LISTED = ["haus", "schule", "arbeit", "freundlich", "braten", "essen", "hoch", "hausessen", "arbeitsessen", "haushoch"]

WORDS = Frequencies(
    dict.fromkeys(LISTED, math.log(1e-5))
    | {
        "gut": math.log(1e-3),
        "tür": math.log(1e-4),
        "seltenes": math.log(1e-8),
    }
)
WRITTEN = {
    word: word.capitalize() for word in ("haus", "tür", "schule", "arbeit", "seltenes", "hausessen", "arbeitsessen")
}


def compounds(*links: str) -> Compounds:
    return Compounds(WORDS, WRITTEN, frozenset({"braten", "essen", "hoch"}), links)


@pytest.mark.parametrize("word", ["türhaus", "haustürschule", "arbeitshaus", "hausfreundlich", "hausbraten"])
def test_a_chain_of_nouns_with_links_is_a_word(word: str) -> None:
    assert compounds("s").has(word)
    assert not compounds().has(word), "in a language without links there are none"


@pytest.mark.parametrize("word", ["haus", "hauss", "hausgut", "guthaus", "türseltenes", "hausxtür", "arbeitshau", ""])
def test_a_word_itself_a_common_word_behind_and_what_is_rare_make_none(word: str) -> None:
    assert not compounds("s").has(word)


def test_a_chain_that_ends_in_a_pure_noun_is_one() -> None:
    assert compounds("s").has_noun("arbeitshaus")
    assert not compounds("s").has_noun("hausfreundlich")
    assert not compounds("s").has_noun("hausbraten")


def test_a_last_part_that_may_be_something_else_is_a_noun_as_the_listed_compounds_with_it_are() -> None:
    assert compounds("s").has_noun("türessen")
    assert compounds("s").has("türhoch")
    assert not compounds("s").has_noun("türhoch")


def test_of_the_languages_german_has_them_and_so_who_writes_two() -> None:
    assert language("de").knows("katzenfutterdose")
    assert language("de").written_form("katzenfutterdose") == "Katzenfutterdose"
    assert not any(language(code).knows("katzenfutterdose") for code in ("en", "es", "fr", "hi"))
