import io
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation import evaluate
from model.ngram import BEGIN, END, KneserNey, discounts
from model.ngram_words import NgramWordModel
from model.text import tokenise

SIZE = 7
SENTENCES = st.lists(st.lists(st.integers(2, SIZE - 1), max_size=6), max_size=12)


def reference(sentences: list[list[int]], order: int, size: int) -> "Reference":
    """Kneser-Ney by dictionaries of tuples and recursion, straight from the paper."""
    counts: list[dict[tuple[int, ...], int]] = [defaultdict(int) for _ in range(order + 1)]
    before: list[dict[tuple[int, ...], set[int]]] = [defaultdict(set) for _ in range(order + 1)]
    for sentence in sentences:
        ids = [BEGIN, *sentence, END]
        for n in range(1, order + 1):
            for start in range(len(ids) - n + 1):
                gram = tuple(ids[start : start + n])
                counts[n][gram] += 1
                if start:
                    before[n][gram].add(ids[start - 1])
    used = [
        {
            gram: count if n == order or gram[0] == BEGIN else len(before[n][gram])
            for gram, count in counts[n].items()
            if gram != (BEGIN,)
        }
        for n in range(order + 1)
    ]
    return Reference(used, order, size)


class Reference:
    def __init__(self, used: list[dict[tuple[int, ...], int]], order: int, size: int) -> None:
        self.used, self.order, self.size = used, order, size

    def probability(self, word: int, history: tuple[int, ...]) -> float:
        history = history[len(history) - min(len(history), self.order - 1) :]
        return self._level(word, history)

    def _level(self, word: int, history: tuple[int, ...]) -> float:
        shorter = self._level(word, history[1:]) if history else 1 / (self.size - 1) if word != BEGIN else 0.0
        table = self.used[len(history) + 1]
        followers = {gram[-1]: count for gram, count in table.items() if gram[:-1] == history}
        total = sum(followers.values())
        if not total:
            return shorter
        taken = self._discounts(table)
        own = followers.get(word, 0)
        left = sum(taken[min(count, 3)] for count in followers.values()) / total
        return max(own - taken[min(own, 3)], 0) / total + left * shorter

    @staticmethod
    def _discounts(table: dict[tuple[int, ...], int]) -> list[float]:
        n = [sum(count == c for count in table.values()) for c in range(5)]
        result = [0.0, 0.5, 1.0, 1.5]
        if n[1]:
            y = n[1] / (n[1] + 2 * n[2])
            for c in (1, 2, 3):
                if n[c] and n[c + 1]:
                    d = c - (c + 1) * y * n[c + 1] / n[c]
                    if 0 < d < c:
                        result[c] = d
        return result


@given(SENTENCES, st.integers(1, 6), st.lists(st.integers(2, SIZE - 1), max_size=7))
def test_agrees_with_the_paper_read_literally(sentences: list[list[int]], order: int, context: list[int]) -> None:
    model = KneserNey(size=SIZE, order=order)
    model.add(sentences)
    expected = reference(sentences, order, SIZE)
    history = (BEGIN, *context)
    np.testing.assert_allclose(
        model.distribution(context), [expected.probability(word, history) for word in range(SIZE)], rtol=1e-4, atol=1e-7
    )


@given(SENTENCES, st.integers(1, 6), SENTENCES)
def test_is_a_distribution_and_says_the_same_in_every_way(
    sentences: list[list[int]], order: int, asked: list[list[int]]
) -> None:
    model = KneserNey(size=SIZE, order=order)
    model.add(sentences)
    dense = model.distributions(asked)
    np.testing.assert_allclose(dense.sum(axis=1), 1, rtol=1e-5)
    assert not dense[:, BEGIN].any()
    targets = [word for sentence in asked for word in (*sentence, END)]
    np.testing.assert_allclose(
        np.exp(model.log_probabilities(asked)), dense[np.arange(len(targets)), targets], rtol=1e-4
    )
    contexts = [sentence[:i] for sentence in asked for i in range(len(sentence) + 1)]
    for row, context in zip(dense, contexts, strict=True):
        np.testing.assert_array_equal(model.distribution(context), row)


@given(SENTENCES, SENTENCES, st.integers(1, 5))
def test_adding_in_two_steps_equals_one(first: list[list[int]], second: list[list[int]], order: int) -> None:
    once, twice = KneserNey(size=SIZE, order=order), KneserNey(size=SIZE, order=order)
    once.add(first + second)
    twice.add(first)
    twice.distribution([2])
    twice.add(second)
    np.testing.assert_array_equal(once.distributions([*first, *second]), twice.distributions([*first, *second]))


def test_a_bigram_by_hand() -> None:
    a, b = 2, 3
    model = KneserNey(size=4, order=2)
    model.add([[a, b], [a]])
    # Ids count by what stands before them: a 1 (begin), b 1 (a), end 2 (a, b). D1 = 1 - 2 * 2/4 * 1/2 = 0.5, D2 = 1.
    # Bigrams: begin a twice; a b, b end, a end once each. D1 = 1 - 2 * 3/5 * 1/3 = 0.6.
    d1 = 0.6
    uniform, left = 1 / 3, (0.5 + 0.5 + 1) / 4
    p_a = p_b = 0.5 / 4 + left * uniform
    p_end = 1 / 4 + left * uniform
    left_after_a = 2 * d1 / 2
    after_a = [0, (1 - d1) / 2 + left_after_a * p_end, left_after_a * p_a, (1 - d1) / 2 + left_after_a * p_b]
    np.testing.assert_allclose(model.distribution([a]), after_a, rtol=1e-6)


def test_discounts_known_and_fallback() -> None:
    counts = np.repeat([1, 2, 3, 4, 9], [40, 15, 8, 5, 3])
    y = 40 / 70
    np.testing.assert_allclose(
        discounts(counts), [1 - 2 * y * 15 / 40, 2 - 3 * y * 8 / 15, 3 - 4 * y * 5 / 8], rtol=1e-12
    )
    np.testing.assert_array_equal(discounts(np.array([1, 1, 5])), [0.5, 1, 1.5])
    np.testing.assert_array_equal(discounts(np.zeros(0, np.int64)), [0.5, 1, 1.5])


def test_nothing_seen_gives_the_base() -> None:
    np.testing.assert_allclose(KneserNey(size=5, order=3).distribution([2, 4]), [0, 0.25, 0.25, 0.25, 0.25])
    base = [0, 0.5, 0.3, 0.2]
    np.testing.assert_allclose(KneserNey(size=4, order=2, base=base).distribution([]), base, rtol=1e-6)
    assert KneserNey(size=4, order=2).distributions([]).shape == (0, 4)


def test_order_one_ignores_the_context_and_an_unseen_context_is_no_context() -> None:
    unigram, trigram = KneserNey(size=6, order=1), KneserNey(size=6, order=3)
    for model in (unigram, trigram):
        model.add([[2, 3, 4], [3, 3, 2]])
    np.testing.assert_array_equal(unigram.distribution([2, 3]), unigram.distribution([]))
    np.testing.assert_array_equal(trigram.distribution([2, 5]), trigram.distribution([4, 5]))
    assert not np.array_equal(trigram.distribution([2, 3]), trigram.distribution([4, 3]))


@pytest.mark.parametrize("ids", [[0], [1], [-1], [7]])
def test_ids_out_of_range_are_refused_and_nothing_is_added(ids: list[int]) -> None:
    model = KneserNey(size=7, order=2)
    with pytest.raises(ValueError, match="ids must be 2 to 6"):
        model.add([[2], ids])
    assert not len(model.text)
    with pytest.raises(ValueError, match="ids must be 2 to 6"):
        model.distribution(ids)


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": 5, "order": 0},
        {"size": 1, "order": 2},
        {"size": 3, "order": 2, "base": [0, 1]},
        {"size": 3, "order": 2, "base": [0.5, 0.25, 0.25]},
        {"size": 3, "order": 2, "base": [0, 0.5, 0.6]},
        {"size": 3, "order": 2, "base": [0, 1.5, -0.5]},
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        KneserNey(**arguments)  # type: ignore[arg-type]


TEXT = [
    tokenise(line)
    for line in (
        "see you later!",
        "see you tomorrow, i'm at home",
        "call me at 555 123 or see http://a.bc",
        "you see me later?",
        "i'm late :)",
    )
]


def test_only_words_are_suggested_and_all_of_a_distribution_is_accounted_for() -> None:
    model = NgramWordModel.train(TEXT, order=3)
    assert list(model.words) == sorted(model.words)
    assert "i'm" in model.words
    assert not {"<number>", "<url>", "!", ":)"} & set(model.words)
    probabilities = model.distribution(["see"])
    assert model.words[int(probabilities.argmax())] == "you"
    assert 0 < probabilities.sum() < 1


def test_scores_have_a_row_for_each_word_and_follow_the_distribution() -> None:
    model = NgramWordModel.train(TEXT, order=3)
    messages = [TEXT[2], [], tokenise("see you")]
    scores = model.score(messages)
    assert scores.log_probabilities.shape == (sum(len(message) + 1 for message in messages),)
    words = [(message, i) for message in messages for i, token in enumerate(message) if token.is_word]
    assert scores.word_scores.shape == (len(words), len(model.words))
    for row, (message, i) in zip(scores.word_scores, words, strict=True):
        np.testing.assert_array_equal(row, model.distribution(token.symbol for token in message[:i]))
    assert scores.log_probabilities[-2] == pytest.approx(
        math.log(model.distribution(["see"])[model.words.index("you")]), rel=1e-5
    )


def test_an_unknown_word_costs_its_spelling() -> None:
    model = NgramWordModel.train(TEXT, order=2)

    def loss(word: str) -> float:
        return -float(model.score([tokenise(word)]).log_probabilities[0])

    assert loss("late") < loss("lates") < loss("qqqq")
    assert loss("qqqq") == loss("\u0436\u0436\u0436\u0436")
    # Each character that no training word has is one of all code points.
    assert loss("\u0436\u0436\u0436") - loss("\u0436\u0436") > math.log(0x110000)


def test_the_vocabulary_is_the_commonest_symbols() -> None:
    # "see" occurs four times, "you" three; of what occurs twice, "<number>" and "at" sort first.
    assert NgramWordModel.train(TEXT, vocabulary_size=3).words == ("see", "you")
    assert NgramWordModel.train(TEXT, vocabulary_size=4).words == ("at", "see", "you")


def test_a_personal_cache_learns_within_a_given_lexicon() -> None:
    lexicon = ["home", "late", "later", "see", "you"]
    cache = NgramWordModel(lexicon, order=3)
    np.testing.assert_array_equal(cache.distribution([]), cache.distribution(["see"]))
    cache.add([tokenise("see you later alligator")] * 3)
    assert cache.words[int(cache.distribution(["see", "you"]).argmax())] == "later"
    assert "alligator" not in cache.words


def test_save_and_load_round_trip(tmp_path: Path) -> None:
    model = NgramWordModel.train(TEXT, order=4, vocabulary_size=9, name="mine")
    path = tmp_path / "model"
    model.save(path)
    buffer = io.BytesIO()
    model.save(buffer)
    buffer.seek(0)
    for loaded in (NgramWordModel.load(path), NgramWordModel.load(buffer)):
        assert (loaded.name, loaded.words) == (model.name, model.words)
        for expected, found in zip(model.score(TEXT), loaded.score(TEXT), strict=True):
            np.testing.assert_array_equal(expected, found)
        loaded.add(TEXT)
        assert loaded.score(TEXT).log_probabilities.sum() > model.score(TEXT).log_probabilities.sum()


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    NgramWordModel.train(TEXT).save(path)
    good = path.read_bytes()
    foreign = io.BytesIO()
    np.savez(foreign, text=np.zeros(3, np.int32))
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    for content in (b"", b"not a model", good[: len(good) // 2], foreign.getvalue(), array.getvalue()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="train it anew"):
            NgramWordModel.load(path)
    with pytest.raises(FileNotFoundError):
        NgramWordModel.load(tmp_path / "missing")


def test_more_context_is_better_on_what_was_seen() -> None:
    unigram, trigram = (
        evaluate(NgramWordModel.train(TEXT, order=order), {"a": TEXT}, fixed_vocabulary=frozenset({"see", "you"}))
        for order in (1, 3)
    )
    assert trigram.value("top1") > unigram.value("top1")
    for metric in ("bits_per_character", "perplexity"):
        assert trigram.value(metric) < unigram.value(metric)
