from pathlib import Path

import numpy as np
import pytest

from data.corpus import Corpus, Message, SplitOptions, split
from data.stats import describe
from data.tokens import TokenTable, prepare


def corpus(*, alike: bool = True) -> Corpus:
    random = np.random.default_rng(0)
    pairs = []
    for user in range(60):
        words = ["a", "b", "c", "d"] if alike else [f"w{user % 6}", "a"]
        pairs += [(f"u{user}", Message(" ".join(random.choice(words, 6)))) for _ in range(20)]
    return Corpus.from_messages("made", pairs)


def encode(text: str) -> list[int]:
    return [ord(word[-1]) for word in text.split()]


def test_a_table_gives_back_what_went_in() -> None:
    table = TokenTable.encode({"x": ("a b", "", "c"), "none": (), "y": ("d",)}, encode)
    assert [[m.tolist() for m in table.messages(user)] for user in range(3)] == [[[97, 98], [99]], [], [[100]]]
    assert [m.tolist() for m in table.all_messages()] == [[97, 98], [99], [100]]


def test_the_cache_answers_the_second_time(tmp_path: Path) -> None:
    made, options = corpus(), SplitOptions()
    calls = []

    def counted(text: str) -> list[int]:
        calls.append(text)
        return encode(text)

    first = prepare(made, split(made), options, counted, "k", tmp_path)
    before = len(calls)
    assert before
    again = prepare(made, split(made), options, counted, "k", tmp_path)
    assert len(calls) == before
    for part, table in first.items():
        assert again[part].users == table.users
        np.testing.assert_array_equal(again[part].ids, table.ids)
    prepare(made, split(made), options, counted, "another vocabulary", tmp_path)
    assert len(calls) == 2 * before


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", None])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, damage: bytes | None) -> None:
    made = corpus()
    prepare(made, split(made), SplitOptions(), encode, "k", tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-100] if damage is None else damage)
    tables = prepare(made, split(made), SplitOptions(), encode, "k", tmp_path)
    assert len(tables["train"].all_messages())
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_an_encoder_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    made = corpus()

    def failing(_: str) -> list[int]:
        raise KeyError

    with pytest.raises(KeyError):
        prepare(made, split(made), SplitOptions(), failing, "k", tmp_path)
    assert not list(tmp_path.iterdir())


def test_stats_count_what_is_there() -> None:
    made = corpus()
    stats = describe(made, split(made), str.split)
    assert (stats.users, stats.messages, stats.words) == (60, 1200, 7200)
    assert stats.message_quantiles == (20, 20, 20, 20, 20)
    assert stats.top_ten_share[0] == pytest.approx(1 / 6)
    assert stats.coverage == {"train": 1.0, "held_out": 1.0}
    assert sum(users for users, _ in stats.roles.values()) == 60
    assert all(label and value for label, value in stats.rows())


def test_divergence_tells_users_apart() -> None:
    alike, unlike = (describe(c, split(c), str.split) for c in (corpus(), corpus(alike=False)))
    assert alike.divergence < 1.5 * alike.divergence_if_iid
    assert unlike.divergence > 2 * unlike.divergence_if_iid
