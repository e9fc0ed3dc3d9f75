from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.adaptation import Adaptation
from model.languages import language
from model.next_words import NextWords
from model.ngram_words import NgramWordModel
from model.spellings import Floats
from model.suggestions import Origin, PersonalModel, Suggester, split_word
from model.suggestions.casing import cased
from model.suggestions.corrections import HOPELESS, Corrections, costs
from model.suggestions.keys import NEIGHBOURS, QWERTY
from model.suggestions.surroundings import starts_sentence
from model.text import Token, tokenise

ENGLISH = language("en")
CHAT = [
    "how are you doing today",
    "i am going home tomorrow",
    "see you tomorrow then",
    "what are you doing tomorrow",
    "i don't think so",
    "you are funny",
    "that is the shit",
    "i think you are right",
    "i like the form",
    "where are you from",
]


class Counted:
    """N-grams one position at a time."""

    accepted: frozenset[str] = frozenset()

    def __init__(self, messages: Sequence[str]) -> None:
        self._model = NgramWordModel.train([tokenise(message) for message in messages], order=3)
        self.words = self._model.words

    def probabilities(self, tokens: Sequence[Token]) -> Floats:
        return self._model.distribution(token.symbol for token in tokens)

    def log_probability(self, tokens: Sequence[Token], symbol: str) -> float:
        found = self._model.score([[*tokens, Token(symbol, symbol, space_after=False)]])
        return float(found.log_probabilities[len(tokens)])

    def phrase_log_probability(self, words: Sequence[str]) -> float:
        tokens = [Token(word, word, space_after=True) for word in words]
        return sum(self.log_probability(tokens[:end], token.symbol) for end, token in enumerate(tokens))

    def observe(self, tokens: Sequence[Token], adaptation: Adaptation) -> Floats:
        assert adaptation.explained == ()
        return np.exp(self._model.score([tokens]).log_probabilities)

    def adapt(self, adaptation: Adaptation) -> None:
        pass


@pytest.fixture(scope="module")
def model() -> NextWords:
    return Counted(CHAT * 20)


@pytest.fixture
def suggester(model: NextWords) -> Suggester:
    return Suggester(model)


def texts(suggester: Suggester, text: str) -> list[str]:
    return [suggestion.text for suggestion in suggester.suggest(*split_word(text))]


def test_next_words_are_the_likeliest_first(suggester: Suggester) -> None:
    found = suggester.suggest("how are ")
    assert found[0].text == "you"
    assert found[0].origin == Origin.SHARED
    assert [s.probability for s in found] == sorted((s.probability for s in found), reverse=True)
    assert 0.5 < found[0].probability <= 1


def test_letters_complete_the_word_and_raise_its_probability(suggester: Suggester) -> None:
    before = suggester.suggest("see you ", "")[0].probability
    found = suggester.suggest("see you ", "tom")
    assert found[0].text == "tomorrow"
    assert found[0].probability >= before
    assert sum(s.probability for s in found) <= 1 + 1e-6


@pytest.mark.parametrize(
    ("text", "meant"),
    [("see you tomorow", "tomorrow"), ("i am goign", "going"), ("how are yuo", "you"), ("i dont", "don't")],
)
def test_slips_are_corrected(suggester: Suggester, text: str, meant: str) -> None:
    before, typed = split_word(text)
    assert suggester.suggest(before, typed)[0].text == meant
    assert suggester.suggest(before, typed)[0].origin == Origin.CORRECTION
    corrected = suggester.autocorrect(before, typed)
    assert corrected is not None
    assert corrected.text == meant
    assert 0.5 < corrected.probability <= 1


def test_only_what_is_likelier_than_the_letters_is_searched_for_misspellings(
    suggester: Suggester, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[str] = []
    near = Corrections.near

    def seen(self: Corrections, typed: str, *among: npt.NDArray[np.bool_]) -> list[str]:
        searched.append(typed)
        return near(self, typed, *among)

    monkeypatch.setattr(Corrections, "near", seen)
    assert suggester.autocorrect("where are ", "from") is None
    assert set(searched) == {"from"}
    assert suggester.autocorrect("where are ", "frok") is not None
    assert set(searched) <= {"from", "frok"}


def test_a_word_is_not_corrected_to_a_misspelling() -> None:
    messages = ["see you tommorow then"] * 20 + ["see you tomorrow"]
    found = Suggester(Counted(messages)).autocorrect("see you ", "tommorpw")
    assert found is not None
    assert found.text == "tomorrow"


def test_a_slip_in_an_unfinished_word_is_seen(suggester: Suggester) -> None:
    assert "tomorrow" in texts(suggester, "see you tpmor")


@pytest.mark.parametrize("typed", ["you", "YUO", "y2o", "u", "from", "fuck", "qqqqq", "a" * 200, "👋", "don't"])
def test_some_words_are_left_alone(suggester: Suggester, typed: str) -> None:
    assert suggester.autocorrect("where are ", typed) is None


def test_capitals_follow_the_sentence_and_what_is_typed(suggester: Suggester) -> None:
    assert all(text[0].isupper() for text in texts(suggester, ""))
    assert all(text[0].isupper() for text in texts(suggester, "see you. "))
    assert texts(suggester, "see you ")[0][0].islower()
    assert "Tomorrow" in texts(suggester, "see you Tom")
    assert "TOMORROW" in texts(suggester, "see you TOM")
    assert cased("anna", typed="an", at_start=False, written="Anna") == "Anna"
    assert starts_sentence("Really?! ", ENGLISH)
    assert not starts_sentence("well, ", ENGLISH)


def test_offensive_words_are_typed_but_never_suggested(suggester: Suggester) -> None:
    assert "shit" in ENGLISH.offensive
    assert "shit" not in texts(suggester, "that is the ")
    assert "shit" not in texts(suggester, "that is the shi")
    assert suggester.autocorrect("that is the ", "shit") is None


def test_a_new_word_is_learned_the_second_time(suggester: Suggester) -> None:
    assert suggester.personal.learn("see you at Zanzibar") == []
    suggester.personal_changed()
    assert texts(suggester, "see you at zan") == []
    assert suggester.personal.learn("we go to Zanzibar") == ["zanzibar"]
    suggester.personal_changed()
    found = suggester.suggest("see you at ", "zan")
    assert found[0].text == "Zanzibar"
    assert found[0].origin == Origin.PERSONAL
    assert [(word.word, word.shown, word.messages) for word in suggester.personal.learned()] == [
        ("zanzibar", "Zanzibar", 2)
    ]
    assert suggester.autocorrect("we go to ", "zanzibar") is None
    correction = suggester.autocorrect("we go to ", "zanzobar")
    assert correction is not None
    assert correction.text == "Zanzibar"


def test_one_message_teaches_a_typo_only_once(suggester: Suggester) -> None:
    suggester.personal.learn("tomorrrrow tomorrrrow tomorrrrow")
    assert suggester.personal.learned() == []


def test_one_place_of_a_message_is_predicted_as_in_the_whole_message(model: NextWords) -> None:
    personal = PersonalModel(model.words)
    personal.learn_all(["see you at zanzibar", "how are things", "see you at home"])
    message = tokenise("see you at the unheard")
    own, weights = personal.distributions(message)
    for end in range(len(message) + 1):
        distribution, weight = personal.distribution(message[:end])
        np.testing.assert_allclose(distribution, own[end], rtol=1e-5)
        assert weight == pytest.approx(float(weights[end]))


def test_a_forgotten_word_is_gone_at_once(suggester: Suggester) -> None:
    for _ in range(3):
        suggester.personal.learn("see you at Zanzibar tomorrow")
    suggester.personal_changed()
    assert "Zanzibar" in texts(suggester, "see you at z")
    suggester.personal.forget("Zanzibar")
    suggester.personal_changed()
    assert "Zanzibar" not in texts(suggester, "see you at z")
    assert texts(suggester, "see you at zan") == []
    assert b"zanzibar" not in suggester.personal.to_bytes().lower()


def test_words_are_forgotten_however_their_apostrophe_is_written(model: NextWords) -> None:
    personal = PersonalModel(model.words)
    personal.learn_all(["ask O’Neil", "did O’Neil call"])
    assert [word.word for word in personal.learned()] == ["o'neil"]
    personal.never_suggest("O’Neil")
    assert personal.never == {"o'neil"}
    personal.allow("O’Neil")
    assert personal.never == set()
    personal.forget("O’Neil")
    assert personal.learned() == []
    assert b"neil" not in personal.to_bytes().lower()


def test_a_word_that_is_never_to_be_suggested_is_not(suggester: Suggester) -> None:
    suggester.personal.never_suggest("you")
    suggester.personal_changed()
    assert "you" not in texts(suggester, "how are ")
    assert suggester.autocorrect("how are ", "yuo") is None
    suggester.personal.allow("you")
    suggester.personal_changed()
    assert texts(suggester, "how are ")[0] == "you"


def test_own_habits_reach_the_strip_and_say_so(suggester: Suggester) -> None:
    suggester.personal.learn_all(["how are things today"] * 200)
    suggester.personal_changed()
    found = {suggestion.text: suggestion for suggestion in suggester.suggest("how are ")}
    assert found["things"].origin == Origin.PERSONAL
    suggester.personal.wipe()
    suggester.personal_changed()
    assert "things" not in texts(suggester, "how are ")
    assert suggester.personal.tokens == 0


def test_a_new_model_is_taken_and_one_of_another_lexicon_refused(suggester: Suggester) -> None:
    other = Counted([message.replace("you", "i") if "how" in message else message for message in CHAT * 20])
    suggester.use(other)
    assert texts(suggester, "how are ")[0] == "I"
    with pytest.raises(ValueError, match="another lexicon"):
        suggester.use(Counted(["something else"]))
    assert texts(suggester, "how are ")[0] == "I"


def test_a_word_can_be_taught_by_hand(suggester: Suggester) -> None:
    suggester.personal.add_word("McKenna")
    suggester.personal_changed()
    assert "McKenna" in texts(suggester, "hello mcke")


def test_what_is_learned_survives_storage(model: NextWords) -> None:
    personal = PersonalModel(model.words)
    personal.learn_all(["ask Anna", "did Anna call", "zorb zorb", "a zorb"])
    personal.never_suggest("you")
    again = PersonalModel.from_bytes(personal.to_bytes(), model.words)
    assert again.learned() == personal.learned()
    assert again.never == {"you"}
    assert again.written("anna") == "Anna"
    context = tokenise("did")
    (found, weight), (expected, expected_weight) = again.distribution(context), personal.distribution(context)
    np.testing.assert_array_equal(found, expected)
    assert 0 < weight == expected_weight < 1


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"format": 2}', b'{"format": 1, "messages": 3}'])
def test_what_is_no_personal_model_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a personal model"):
        PersonalModel.from_bytes(data, ())


def test_old_messages_make_room(model: NextWords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.suggestions.personal.MAX_TOKENS", 10)
    personal = PersonalModel(model.words)
    personal.learn_all([f"word{chr(97 + i)} and more" for i in range(20)])
    assert personal.tokens <= 10
    assert "wordt" in personal.symbols
    assert "worda" not in personal.symbols


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\n",
        "😀",
        "😀😀 he",
        "\u200f\u202e",
        "\x00\x07 ab",
        "؟ שלום",
        "שלום",
        "e\u0301" * 50,
        "İstanbul İ",
        "ﬁ",
    ],
)
def test_no_text_is_too_odd(suggester: Suggester, text: str) -> None:
    before, typed = split_word(text)
    assert before + typed == text
    assert len(suggester.suggest(before, typed)) <= 3
    suggester.autocorrect(before, typed)
    suggester.personal.learn(text)


def test_huge_texts_are_read_at_their_end(suggester: Suggester) -> None:
    assert texts(suggester, "x" * 100_000 + " how are ")[0] == "you"
    assert texts(suggester, "see you then " * 8000 + "how are ")[0] == "you"
    assert suggester.suggest(*split_word("x" * 100_000)) == []


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_text_gives_suggestions_or_none(text: str) -> None:
    suggester = Suggester(_SMALL)
    found = suggester.suggest(*split_word(text))
    assert len({s.text for s in found}) == len(found) <= 3
    assert all(0 <= s.probability <= 1 for s in found)


_SMALL = Counted(CHAT)


def test_neighbours_are_mutual_and_near() -> None:
    assert set(NEIGHBOURS["g"]) == set("tyfhcvb")
    assert all(a in NEIGHBOURS[b] for a in QWERTY.places for b in NEIGHBOURS[a])


def test_costs_order_what_may_have_been_meant() -> None:
    words = ["hello", "jello", "help", "yellow", "zebra"]
    found = dict(zip(words, costs("hello", words, whole=True).tolist(), strict=True))
    assert found["hello"] == 0
    assert 0 < found["jello"] < found["yellow"] < HOPELESS  # j is beside h, and the first letter is looked at
    assert found["zebra"] == HOPELESS
    assert costs("hel", ["help"], whole=False) < costs("hel", ["help"], whole=True)
    assert costs("yuo", ["you"], whole=True) < costs("yuo", ["duo"], whole=True)
    assert costs("dont", ["don't"], whole=True) < costs("dont", ["done"], whole=True)
    assert (costs("a" * 60, words, whole=True) == HOPELESS).all()
    assert costs("a", [], whole=True).shape == (0,)


@settings(max_examples=100, deadline=None)
@given(st.text("abcdefgh'", min_size=2, max_size=8), st.text("abcdefgh'", min_size=1, max_size=8))
def test_cost_is_zero_only_for_the_word_itself(word: str, typed: str) -> None:
    cost = float(costs(typed, [word], whole=True)[0])
    assert (cost == 0) == (word == typed)
    assert 0 <= cost <= HOPELESS


def edits(one: str, other: str) -> int:
    """Count insertions, deletions, substitutions and swaps of neighbours, each place changed once at most."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and (a, one[i - 2]) == (other[j - 2], b):
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


@given(st.lists(st.text("abcé'", min_size=1, max_size=10), unique=True), st.text("abcé'", max_size=10))
def test_all_words_within_the_edits_are_near_and_none_of_other_letters(words: list[str], typed: str) -> None:
    found = Corrections(words).near(typed)
    most = 1 if len(typed) <= 3 else 2
    assert len(found) == len(set(found))
    some = frozenset(words[::2])
    corrections = Corrections(words)
    assert corrections.near(typed, corrections.which(some)) == [word for word in found if word in some]
    assert set(found) >= {word for word in words if len(typed) > 1 and edits(word, typed) <= most}
    for word in found:
        assert abs(len(word) - len(typed)) <= most
        assert max(len(set(word) - set(typed)), len(set(typed) - set(word))) <= most


def test_what_is_too_short_or_too_long_has_no_corrections() -> None:
    corrections = Corrections(["hello", "world", "a" * 30])
    assert corrections.near("helo") == ["hello"]
    assert corrections.near("h") == corrections.near("") == corrections.near("a" * 30) == []
    assert Corrections([]).near("helo") == []


def test_words_with_most_of_the_letters_are_alike() -> None:
    corrections = Corrections(["hello", "lohel", "help", "world"])
    assert corrections.alike("hello", np.array([0, 1, 2, 3])) == ["hello", "lohel", "help", "world"]
    assert corrections.alike("hellish", np.array([3, 1])) == ["lohel"]


def test_habits_weigh_more_the_better_they_predict(suggester: Suggester) -> None:
    phrase = "the ferry leaves at noon"
    suggester.personal.wipe()
    for _ in range(12):
        suggester.observe(phrase)
        suggester.personal.learn(phrase)
    suggester.personal_changed()
    assert suggester.personal.adaptation.own_factor > 1.2
    kept = PersonalModel.from_bytes(suggester.personal.to_bytes(), ())
    assert kept.adaptation == suggester.personal.adaptation
    suggester.personal.wipe()
    assert suggester.personal.adaptation.own_factor == 1
