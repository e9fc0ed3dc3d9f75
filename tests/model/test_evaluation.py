import importlib
import json
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation import (
    COUNTS,
    METRICS,
    STRIP,
    Evaluation,
    Lexicon,
    MessageScores,
    Spread,
    Totals,
    changes_table,
    compare,
    evaluate,
    spread_table,
    table,
)
from model.text import NUMBER, URL, Token, tokenise

Scores = npt.NDArray[np.float32]


class Scripted:
    """A model that gives every position one loss, and scores as it is told."""

    name = "scripted"

    def __init__(self, words: Sequence[str], scores: Callable[[Token], Sequence[float]], nats: float = 0.5) -> None:
        self.words = sorted(words)
        self._scores, self._nats = scores, nats
        self.batches: list[list[Sequence[Token]]] = []

    def score(self, messages: Sequence[Sequence[Token]]) -> MessageScores:
        self.batches.append(list(messages))
        tokens = [token for message in messages for token in message]
        rows = [self._scores(token) for token in tokens if token.is_word]
        return MessageScores(
            np.full(len(tokens) + len(messages), -self._nats, np.float32),
            np.array(rows, np.float32).reshape(-1, len(self.words)),
        )


def by_table(table: dict[str, float]) -> Scripted:
    return Scripted(list(table), lambda _: [table[word] for word in sorted(table)])


def oracle(words: Sequence[str]) -> Scripted:
    return Scripted(words, lambda token: [float(word == token.symbol) for word in sorted(words)])


def read(*messages: str) -> list[list[Token]]:
    return [tokenise(message) for message in messages]


def run(model: Scripted, *messages: str, fixed: frozenset[str] = frozenset()) -> Evaluation:
    return evaluate(model, {"user": read(*messages)}, fixed_vocabulary=fixed)


# The lexicon and the strip.

UNICODE = ["a", "don", "don't", "done", "dönt", "été", "été's", "z", "þing", "ня"]


def test_prefix_ranges_with_apostrophes_and_other_alphabets() -> None:
    lexicon = Lexicon(sorted(UNICODE))
    for prefix in ("", "d", "don", "don'", "ét", "été", "þ", "н", "x", "zz"):
        low, high = lexicon.range(prefix)
        assert lexicon.words[low:high] == [word for word in sorted(UNICODE) if word.startswith(prefix)]


@given(
    st.lists(st.text("abø'", min_size=1, max_size=4), min_size=1, unique=True),
    st.data(),
)
def test_ranks_ranges_and_strip_agree_with_sorting(words: list[str], data: st.DataObject) -> None:
    words.sort()
    lexicon = Lexicon(words)
    given = data.draw(st.lists(st.integers(0, 3), min_size=len(words), max_size=len(words)))
    scores = np.array(given, np.float32)
    target = data.draw(st.integers(0, len(words) - 1))
    first_shown = None
    for letters in range(len(words[target])):
        prefix = words[target][:letters]
        order = [w for _, w in sorted((-s, w) for s, w in zip(given, words, strict=True) if w.startswith(prefix))]
        assert lexicon.rank(scores, target, prefix) == order.index(words[target])
        assert lexicon.top(scores, prefix) == order[:STRIP]
        if first_shown is None and words[target] in order[:STRIP]:
            first_shown = letters
    assert lexicon.letters_until_shown(scores, target) == first_shown


@pytest.mark.parametrize("words", [["b", "a"], ["a", "a"]])
def test_an_unsorted_or_repeated_lexicon_is_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match="sorted"):
        Lexicon(words)


# The metrics.


def test_an_oracle_never_misses_and_types_one_key_a_word() -> None:
    found = run(oracle(["a", "see", "tomorrow", "you"]), "see you tomorrow", "a tomorrow")
    assert found.value("top1") == found.value("top3") == found.value("top1_known") == 100
    # 16 and 10 characters; three taps and two.
    assert found.value("ksr") == pytest.approx(100 * (26 - 5) / 26)


def test_a_typist_by_hand() -> None:
    model = by_table({"hat": 9, "have": 8, "he": 7, "hello": 6, "help": 5, "him": 4, "world": 1})
    found = run(model, "hello world, him")
    # Strip: hat have he | h: the same | he: he hello help. "hello " is tapped after 2 letters: 3 of 6 keystrokes saved.
    # "world" after 1 letter; its space is taken back by the comma: 5 - 2 = 3. The comma and a space are typed.
    # "him" ends the message, unseen among hat have he until "hi": 3 - 3 = 0.
    counts = {name: float(values[0]) for name, values in found.counts.items()}
    assert counts["characters"] == len("hello world, him")
    assert counts["keystrokes_saved"] == 3 + 3 + 0
    assert found.value("ksr") == pytest.approx(100 * 6 / 16)
    assert (counts["words"], counts["known_words"], counts["hits_at_1"], counts["hits_at_3"]) == (3, 3, 0, 0)


def test_a_word_that_is_shown_only_when_typed_saves_nothing() -> None:
    model = by_table({"he": 1, "hell": 5, "hello": 4, "help": 3})
    assert run(model, "he is").value("ksr") == 0


def test_of_equal_scores_the_earlier_word_is_shown() -> None:
    model = by_table(dict.fromkeys(["a", "b", "c", "d"], 1.0))
    found = run(model, "a", "b", "c", "d")
    assert found.counts["hits_at_1"][0] == 1
    assert found.counts["hits_at_3"][0] == 3


def test_unknown_words_and_numbers_are_misses_beside_the_known() -> None:
    found = run(oracle(["see", "you"]), "see 25 zebras, you")
    assert found.value("top1") == 50
    assert found.value("top1_known") == 100
    assert found.counts["words"][0] == 4
    assert found.counts["keystrokes_saved"][0] == len("see ") - 1 + len("you") - 1


def test_bits_per_character_and_perplexity() -> None:
    nats = 0.75
    found = run(Scripted(["see", "you"], lambda _: [0, 0], nats), "see you :)", "25", fixed=frozenset({"see", "zoo"}))
    spelled = 3 * math.log(96)  # "25" and its end
    tokens_and_ends = 4 + 2
    characters_and_ends = 10 + 2 + 2
    assert found.value("bits_per_character") == pytest.approx(
        (tokens_and_ends * nats + spelled) / math.log(2) / characters_and_ends
    )
    assert found.value("perplexity") == pytest.approx(math.exp(nats))
    assert found.counts["fixed_words"][0] == 1


def test_links_cost_their_spelling_and_are_no_word() -> None:
    tokens = tokenise("http://a.bc")
    assert [token.symbol for token in tokens] == [URL]
    found = evaluate(oracle(["a"]), {"u": [tokens]}, fixed_vocabulary=frozenset({URL, NUMBER}))
    assert found.counts["words"][0] == found.counts["fixed_words"][0] == 0
    assert found.counts["nats"][0] == pytest.approx(2 * 0.5 + 12 * math.log(96))
    assert math.isnan(found.value("top1"))


def test_batches_cross_users_and_hold_whole_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("model.evaluation.evaluate"), "_SCORES_AT_ONCE", 8)
    model = oracle(["a", "b"])
    seen: list[int] = []
    users = {"x": read("a", "", "b a b"), "y": read("a"), "z": read("a a a a a a", "b, b", "!")}
    found = evaluate(model, users, fixed_vocabulary=frozenset(), progress=seen.append)
    assert [len(batch) for batch in model.batches] == [2, 1, 1, 2]  # of at most four words, where a message lets it
    assert seen == [4, 1, 6, 2]
    assert found.counts["words"].tolist() == [4, 1, 8]
    assert found.counts["message_ends"].tolist() == [2, 1, 3]
    assert found.counts["hits_at_1"].tolist() == [4, 1, 8]


class Broken(Scripted):
    def __init__(self, answer: MessageScores) -> None:
        super().__init__(["a", "b"], lambda _: [0, 0])
        self._answer = answer

    def score(self, messages: Sequence[Sequence[Token]]) -> MessageScores:  # noqa: ARG002
        return self._answer


def scores(log_probabilities: Sequence[float], word_scores: Sequence[Sequence[float]]) -> MessageScores:
    return MessageScores(np.array(log_probabilities, np.float32), np.array(word_scores, np.float32))


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (scores([-1], [[0, 1]]), "shapes"),
        (scores([-1, -1], [[0, 1], [0, 1]]), "shapes"),
        (scores([-1, -1], [[0, 1, 2]]), "shapes"),
        (scores([-1, -1], [[0, math.nan]]), "NaN"),
        (scores([-1, math.nan], [[0, 1]]), "log probabilities"),
        (scores([-1, -math.inf], [[0, 1]]), "log probabilities"),
        (scores([-1, 0.5], [[0, 1]]), "log probabilities"),
    ],
)
def test_nonsense_from_a_model_is_refused(answer: MessageScores, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"scripted.*{complaint}"):
        run(Broken(answer), "a")


# Users, errors and comparisons.


def counted(
    hits: npt.ArrayLike, words: npt.ArrayLike, name: str = "m", nats: npt.ArrayLike | None = None
) -> Evaluation:
    words = np.asarray(words, np.float64)
    counts = dict.fromkeys(COUNTS, words)
    counts["hits_at_1"] = np.asarray(hits, np.float64)
    counts["fixed_nats"] = np.asarray(words if nats is None else nats, np.float64)
    return Evaluation(name, tuple(map(str, range(len(words)))), counts)


def test_pooled_and_per_user() -> None:
    found = counted([1, 30, 0], [10, 40, 0])
    assert found.value("top1") == pytest.approx(62)
    np.testing.assert_allclose(found.per_user("top1"), [10, 75, math.nan])
    assert found.quantiles("top1") == pytest.approx((13.25, 26.25, 42.5, 58.75, 71.75))
    assert all(map(math.isnan, counted([0], [0]).quantiles("top1")))


def test_a_table_shows_how_evenly_models_serve() -> None:
    lines = spread_table([counted([1, 30, 0], [10, 40, 0], "mine")]).splitlines()
    assert lines[0].split() == ["top-1", "%", "of", "users", "at", "5", "%", "25", "%", "50", "%", "75", "%", "95", "%"]
    assert lines[1].split() == ["mine", "13.2", "26.2", "42.5", "58.8", "71.8"]


def test_a_spread_has_the_quantiles_of_clients() -> None:
    spread = Spread.of([Totals(1.0, hits, 10.0) for hits in (0.0, 1.0, 2.0, 5.0, 10.0)] + [Totals(0.0, 0.0, 0.0)])
    assert spread.clients.sum() == 5
    assert [spread.quantile(percent) for percent in (0, 20, 21, 50, 80, 81, 100)] == [0, 0, 10, 20, 50, 100, 100]
    assert math.isnan(Spread.of([]).quantile(50))
    with pytest.raises(ValueError, match="101 bins"):
        Spread(np.zeros(100, np.int64))


def test_standard_errors_match_a_simulation_with_known_truth() -> None:
    rng = np.random.default_rng(3)
    values, errors, logs, log_errors = [], [], [], []
    for _ in range(1500):
        words = rng.geometric(1 / 200, 80)
        rate = rng.beta(4, 16, 80)
        found = counted(rng.binomial(words, rate), words, nats=words * rng.gamma(50, 0.1, 80))
        values.append(found.value("top1"))
        errors.append(found.standard_error("top1"))
        logs.append(found.value("perplexity"))
        log_errors.append(found.standard_error("perplexity"))
    assert np.mean(values) == pytest.approx(20, abs=0.1)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.08)
    assert np.mean(log_errors) == pytest.approx(np.std(logs), rel=0.08)
    covered = np.abs(np.array(values) - 20) < 1.96 * np.array(errors)
    assert 0.91 < covered.mean() < 0.97


def test_paired_errors_match_a_simulation_with_known_truth() -> None:
    rng = np.random.default_rng(4)
    differences, errors = [], []
    for _ in range(1000):
        words = rng.geometric(1 / 300, 60)
        rate = rng.beta(4, 16, 60)
        base, other = (counted(words * (rate + rng.normal(gain, 0.01, 60)), words) for gain in (0, 0.02))
        comparison = compare(base, other)
        differences.append(comparison.difference)
        errors.append(comparison.standard_error)
        assert comparison.standard_error < other.standard_error("top1") / 2
    assert np.mean(differences) == pytest.approx(2, abs=0.05)
    assert np.mean(errors) == pytest.approx(np.std(differences), rel=0.08)


def test_helped_and_harmed_users() -> None:
    base = counted([1, 2, 3, 4], [10, 10, 10, 10], nats=[5, 5, 5, 5])
    other = counted([2, 2, 2, 6], [10, 10, 10, 10], nats=[4, 4, 5, 6])
    assert compare(base, other)[:2] == pytest.approx((5, 6.455), abs=1e-3)
    assert compare(base, other)[2:4] == (0.5, 0.25)
    assert compare(base, other, margin=15)[2:4] == (0.25, 0)
    assert compare(base, other, "perplexity")[2:4] == (0.5, 0.25)  # lower is better
    assert compare(base, base)[:2] == (0, 0)
    for stranger in (counted([1], [10]), counted([1, 2, 3, 4], [10, 10, 10, 11])):
        with pytest.raises(ValueError, match="same corpus"):
            compare(base, stranger)


def test_changes_of_users_count_users_alike_and_leave_out_those_without_words() -> None:
    words = [10, 10, 10, 10, 1000, 0]
    base = counted([1, 2, 3, 4, 100, 0], words, nats=[5, 5, 5, 5, 5, 5])
    other = counted([3, 2, 2, 8, 100, 0], words, nats=[4, 4, 5, 6, 5, 5], name="mine")  # +20, 0, -10, +40, 0 points
    assert compare(base, other).quantiles == pytest.approx((-6, 0, 0, 20, 32))
    assert compare(base, other, "perplexity").quantiles[0] < 0 < compare(base, other, "perplexity").quantiles[-1]
    assert all(map(math.isnan, compare(counted([0], [0]), counted([0], [0])).quantiles))
    head, line = changes_table(base, [other]).splitlines()
    assert "of a user, over" in head
    assert line.split() == ["mine", "-6.0", "+0.0", "+0.0", "+20.0", "+32.0", "40", "20"]


def test_one_user_has_no_standard_error() -> None:
    assert math.isnan(counted([1], [10]).standard_error("top1"))


def test_json_round_trip() -> None:
    found = counted([1, 30, 0], [10, 40, 0], name="naïve")
    document = found.to_json()
    read_back = Evaluation.from_json(document)
    assert (read_back.name, read_back.users) == (found.name, found.users)
    for name in COUNTS:
        np.testing.assert_array_equal(read_back.counts[name], found.counts[name])
    figures = json.loads(document)["figures"]
    assert figures["top1"]["value"] == found.value("top1")
    assert figures["top1"]["user_quantiles"]["50"] == 42.5
    assert json.loads(counted([0], [0]).to_json())["figures"]["top1"]["value"] is None


@pytest.mark.parametrize("document", ["", "[]", "{}", '{"name": "m", "users": ["a"], "counts": {}}'])
def test_another_document_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match="not an evaluation"):
        Evaluation.from_json(document)


def test_counts_that_do_not_fit_the_users_are_refused() -> None:
    found = counted([1, 2], [3, 4])
    with pytest.raises(ValueError, match="'words' of each of its 1"):
        Evaluation("m", ("a",), found.counts)


def test_the_table_has_a_line_for_each_model() -> None:
    lines = table([counted([1, 30], [10, 40], name="longer name"), counted([2, 30], [10, 40], name="m")]).splitlines()
    assert len(lines) == 3
    assert len({len(line) for line in lines}) == 1
    assert all(metric.label in lines[0] for metric in METRICS.values())
    assert lines[1].startswith("longer name  ")
    assert "62.0 (20.8)" in lines[1]
