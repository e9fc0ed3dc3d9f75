"""The ranking of the strip that the benchmark of typing compares with probability."""

import pytest

from benchmarks.typing import BySaving
from model.suggestions import Origin, Suggester, Suggestion


@pytest.mark.parametrize(
    ("weight", "typed", "ranked"),
    [
        (0.0, "", ["be", "before", "beautiful"]),
        (1.0, "", ["before", "beautiful", "be"]),
        (1.0, "be", ["beautiful", "before", "be"]),
        (0.2, "", ["be", "before", "beautiful"]),
    ],
)
def test_the_strip_is_ranked_by_what_a_tap_is_expected_to_save(
    monkeypatch: pytest.MonkeyPatch, weight: float, typed: str, ranked: list[str]
) -> None:
    words = {"be": 0.5, "before": 0.3, "beautiful": 0.19}
    found = [Suggestion(word, probability, Origin.SHARED) for word, probability in words.items()]
    monkeypatch.setattr(Suggester, "suggest", lambda *_: found)
    suggester = BySaving.__new__(BySaving)
    suggester.weight = weight
    assert [suggestion.text for suggestion in suggester.suggest("", typed)] == ranked
