"""Votes for new words: what a phone votes for, and what a vector over both lists says."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import public_start
from model.checkpoint import Checkpoint
from model.counted_lists import MAX_VOTES, CountedLists, WordList
from model.engine.numpy_engine import NumPyPredictor
from model.engine.weight_files import packed
from model.languages import language
from model.mixture import Mixture
from model.next_words import MixtureNextWords
from model.ngram_building import Text, build
from model.spellings import Spellings
from model.suggestions import PersonalModel, Suggester
from model.text import tokenise
from model.vocabulary import CANDIDATES, Vocabulary, VocabularyError

TEXT = ["the quick brown fox jumps over a lazy dog", "hello there how are you"] * 10
NEW = ["fjord", "lowkey", "zebu"]
VOCABULARY = Vocabulary.train(TEXT, size=80).with_candidates(NEW)
TABLE = build([Text([VOCABULARY.encode(tokenise(text)) for text in TEXT])], size=VOCABULARY.size)
LISTS = CountedLists.of(TABLE, VOCABULARY)
MANY = WordList(sorted(f"{a}{b}x" for a in "abcdef" for b in "ghijkl"), VOCABULARY)


def encoded(*messages: str) -> list[list[int]]:
    return [VOCABULARY.encode(tokenise(message)) for message in messages]


def test_a_phone_votes_once_for_each_listed_word_whatever_stands_around_it() -> None:
    votes = LISTS.words.count(encoded("Lowkey, hello!", "so lowkey lowkey", "the fjords", "hello zebu?"))
    assert dict(zip(NEW, votes.tolist(), strict=True)) == {"fjord": 0, "lowkey": 1, "zebu": 1}


@given(st.lists(st.lists(st.sampled_from(MANY.words), max_size=12), max_size=30))
def test_a_phone_votes_for_no_more_than_it_may_and_for_what_it_uses_most(typed: list[list[str]]) -> None:
    votes = MANY.count(encoded(*(" ".join(words) for words in typed)))
    assert set(votes.tolist()) <= {0, 1}
    used = Counter(word for words in typed for word in set(words))
    assert votes.sum() == min(MAX_VOTES, len(used))
    chosen = {word for word, vote in zip(MANY.words, votes, strict=True) if vote}
    assert min((used[word] for word in chosen), default=0) >= max((used[w] for w in used.keys() - chosen), default=0)


def test_one_word_that_is_swapped_makes_another_list() -> None:
    swapped = WordList(("fjord", "lowkez", "zebu"), VOCABULARY)
    assert swapped.sha256 != LISTS.words.sha256
    assert WordList(("fjord\nlowkey", "zebu"), VOCABULARY).sha256 != WordList(("fjord", "zebu"), VOCABULARY).sha256
    assert LISTS.named(swapped.sha256) is None
    assert LISTS.named(LISTS.words.sha256) is LISTS.words
    assert LISTS.named(LISTS.ngrams.sha256) is LISTS.ngrams


def test_an_app_without_candidates_has_no_list_of_them() -> None:
    lists = CountedLists.of(TABLE, VOCABULARY.with_candidates(()))
    assert len(lists) == len(lists.ngrams)
    assert lists.named(lists.words.sha256) is None


def test_shares_become_words_and_nothing_else_does() -> None:
    counted = np.zeros(len(LISTS), np.float32)
    assert LISTS.vocabulary(counted) is VOCABULARY
    base = Mixture((0.5, 0.5), TABLE)
    assert LISTS.mixture(base, counted) is base
    counted[-3:] = [np.nan, 0.25, -1.0]
    wider = LISTS.vocabulary(counted)
    assert set(wider.words) - set(VOCABULARY.words) == {"lowkey"}
    assert wider.candidates == VOCABULARY.candidates
    assert wider.encode(tokenise("lowkey")) == VOCABULARY.encode(tokenise("lowkey"))
    assert LISTS.mixture(base, counted) is base
    counted[5] = 2.0
    assert LISTS.mixture(base, counted).counted is not None
    with pytest.raises(ValueError, match="this list has"):
        LISTS.vocabulary(counted[1:])


def test_a_share_beyond_all_phones_counts_as_all() -> None:
    counted = np.zeros(len(LISTS), np.float32)
    counted[-1] = np.inf
    everybody = counted.copy()
    everybody[-1] = 1.0
    assert LISTS.vocabulary(counted).lexicon == LISTS.vocabulary(everybody).lexicon


def test_candidates_are_kept_with_the_vocabulary_and_do_not_change_its_name(tmp_path: Path) -> None:
    VOCABULARY.save(tmp_path)
    read = Vocabulary.load(tmp_path)
    assert read.candidates == tuple(NEW)
    assert read.key == VOCABULARY.key == VOCABULARY.with_candidates(()).key
    (tmp_path / CANDIDATES).write_bytes((tmp_path / CANDIDATES).read_bytes()[:-9])
    with pytest.raises(VocabularyError, match="prepare it anew"):
        Vocabulary.load(tmp_path)


def test_what_ships_can_be_voted_for_and_is_no_insult() -> None:
    vocabulary, english = Vocabulary.load(public_start.shipped()), language("en")
    candidates = vocabulary.candidates
    assert {"strenuous", "lowkey", "bestie", "curfew"} <= set(candidates)
    assert not set(candidates) & (vocabulary.lexicon.keys() | english.offensive)
    for word in candidates[::500]:
        votes = WordList(candidates, vocabulary).count([vocabulary.encode(tokenise(f"so {word}, then"))])
        assert [candidates[place] for place in np.flatnonzero(votes)] == [word]


@pytest.fixture(scope="module")
def start() -> Checkpoint:
    return public_start.load("small")


def suggester(start: Checkpoint, vocabulary: Vocabulary) -> Suggester:
    network = NumPyPredictor(packed(start.weights, "int8"), start.network, "int8")
    return Suggester(MixtureNextWords(network, vocabulary, start.mixture, Spellings(vocabulary)))


def test_a_word_that_phones_accepted_is_offered_and_no_longer_corrected(start: Checkpoint) -> None:
    before = suggester(start, start.vocabulary)
    before.personal = PersonalModel(start.vocabulary.lexicon)
    before.personal.never_suggest("hello")
    after = suggester(start, start.vocabulary.widened({"lowkey": 0.05}))
    assert not before.has_words_of(after._model)
    assert "lowkey" not in [each.text for each in before.suggest("she is my ", "lowk")]
    assert "lowkey" in [each.text for each in after.suggest("she is my ", "lowk")]
    after.take_over(before)
    assert after.personal is before.personal
    assert "hello" not in [each.text.lower() for each in after.suggest("", "hell")]


def test_no_accepted_word_is_corrected_however_near_it_is_to_a_common_one(start: Checkpoint, tmp_path: Path) -> None:
    """Slang that is one slip from a word, what lacks its apostrophe, and a sample of all candidates."""
    candidates = start.vocabulary.candidates
    slang = ["sus", "finna", "yas", "tryna", "lyin", "adn", "obrien", "maam", "shoutout", "ahahaha"]
    assert set(slang) <= set(candidates)
    accepted = [*slang, *candidates[::1000]]
    wider = start.vocabulary.widened(dict.fromkeys(accepted, 0.05))
    wider.save(tmp_path)  # as the vocabulary of a new export
    assert Vocabulary.load(tmp_path).accepted == set(accepted)
    assert start.vocabulary.accepted == set()

    def corrected(suggester: Suggester) -> set[str]:
        typed = itertools.product(accepted, ("that is ", "", "we saw "), (str, str.capitalize))
        found = ((word, suggester.autocorrect(before, write(word))) for word, before, write in typed)
        return {word for word, suggestion in found if suggestion and suggestion.text.lower() != word}

    assert {"finna", "adn", "obrien"} <= corrected(suggester(start, start.vocabulary))
    after = suggester(start, Vocabulary.load(tmp_path))
    assert not corrected(after)
    assert "tryna" in [each.text for each in after.suggest("he is ", "tryn")]
