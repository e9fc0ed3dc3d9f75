import numpy as np
import pytest

from model.evaluation.typist import COUNTS, Typing, slipped, type_messages, typing_table
from model.suggestions import Suggester
from tests.model.test_suggestions import CHAT, Counted

USERS = {"a": ["see you tomorrow", "how are you doing"], "b": ["i think you are right", "go to zanzibar!"]}


@pytest.fixture(scope="module")
def suggester() -> Suggester:
    return Suggester(Counted(CHAT * 5))


def typed(suggester: Suggester, rate: float, earlier: dict[str, list[str]] | None = None) -> Typing:
    return type_messages(suggester, USERS, name="keyboard", slip_rate=rate, earlier=earlier)


def test_without_slips_nothing_is_wrong_and_keys_are_saved(suggester: Suggester) -> None:
    found = typed(suggester, 0)
    assert found.counts["slipped"].sum() == found.counts["corrected"].sum() == 0
    assert found.counts["words"].tolist() == [7, 8]
    assert found.counts["characters"].tolist() == [16 + 17, 21 + 15]
    assert 20 < found.saving()[0] < 80
    assert found.counts["wrong_at_the_end"].sum() == 0


def test_slips_are_the_same_every_time_and_mostly_mended(suggester: Suggester) -> None:
    found, again = typed(suggester, 0.2), typed(suggester, 0.2)
    for count in COUNTS:
        np.testing.assert_array_equal(found.counts[count], again.counts[count])
    assert found.counts["slipped"].sum() > 2
    assert (found.counts["corrected"] + found.counts["wrong_at_the_end"] >= found.counts["slipped"]).all()
    assert found.saving()[0] <= typed(suggester, 0).saving()[0]


def test_what_is_learned_saves_keys_and_does_not_pass_to_the_next_user(suggester: Suggester) -> None:
    learned = typed(suggester, 0, {"b": ["go to zanzibar"] * 3})
    assert learned.counts["keystrokes"][1] < typed(suggester, 0).counts["keystrokes"][1]
    taught = typed(suggester, 0, {"a": ["go to zanzibar"] * 3})
    assert taught.counts["keystrokes"][1] == typed(suggester, 0, {}).counts["keystrokes"][1]


def test_every_kind_of_slip_is_drawn() -> None:
    random = np.random.default_rng(1)
    drawn = {slipped("hello", 0.3, random) for _ in range(500)}
    assert "hello" in drawn
    assert "hllo" in drawn
    assert "hhello" in drawn
    assert "ehllo" in drawn
    assert any(len(word) == 5 and word[0] in "gjyubn" for word in drawn)
    assert slipped("hello", 0, random) == "hello"
    assert all(slipped("a", 1, random) for _ in range(50))
    assert slipped("123", 1, random) == "123"


def test_the_table_and_the_summary_say_it_all(suggester: Suggester) -> None:
    found = typed(suggester, 0.1)
    assert "keyboard" in typing_table([found])
    summary = found.summary()
    assert summary["users"] == 2
    assert len(found.saving_quantiles()) == 5
    empty = type_messages(suggester, {}, name="nobody", slip_rate=0)
    assert "nobody" in typing_table([empty])


def test_standard_errors_are_those_of_users() -> None:
    counts = {name: np.array([1.0, 3.0]) for name in COUNTS} | {"characters": np.array([10.0, 10.0])}
    value, error = Typing("x", ("a", "b"), counts).rate("keystrokes", "characters")
    assert value == 20
    assert error == pytest.approx(10)
