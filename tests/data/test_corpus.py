import hashlib
from collections.abc import Iterator

import pytest

from data.corpus import Corpus, CorpusError, Message, SplitOptions, split


def made(users: int, messages: int = 20) -> Corpus:
    def pairs() -> Iterator[tuple[str, Message]]:
        for user in range(users):
            for i in range(messages):
                yield f"u{user}", Message(f"message {i} of {user}", float(i))

    return Corpus.from_messages("made", pairs())


def bucket(user: str) -> int:
    return int(hashlib.sha256(user.encode()).hexdigest(), 16) % 10


def test_messages_are_in_time_order() -> None:
    pairs = [("a", Message("second", 2.0)), ("b", Message("x", None)), ("a", Message("first", 1.0))]
    assert Corpus.from_messages("c", pairs).users == {"a": ("first", "second"), "b": ("x",)}


def test_without_times_the_order_of_the_file_holds() -> None:
    pairs = [("a", Message("z", 5.0)), ("a", Message("y", None)), ("a", Message("x", 1.0))]
    assert Corpus.from_messages("c", pairs).users["a"] == ("z", "y", "x")


def test_no_messages_are_an_error() -> None:
    with pytest.raises(CorpusError, match="no messages"):
        Corpus.from_messages("empty", [])


def test_the_fingerprint_sees_every_message_and_its_user() -> None:
    texts = [[("a", "x"), ("b", "y")], [("a", "x"), ("b", "z")], [("a", "x"), ("a", "y")], [("a", "xb"), ("b", "y")]]
    prints = {Corpus.from_messages("c", [(u, Message(t)) for u, t in pairs]).fingerprint for pairs in texts}
    assert len(prints) == len(texts)


def test_roles_are_by_hash_and_disjoint() -> None:
    parts = split(made(200))
    for role, buckets in ((parts.seed, {0}), (parts.train, set(range(1, 8))), (parts.held_out, {8, 9})):
        assert {bucket(user) for user in role} == buckets
    assert len(parts.seed) + len(parts.train) + len(parts.held_out) == 200


def test_clients_are_split_in_time() -> None:
    parts = split(made(100))
    user = next(iter(parts.train))
    texts = made(100).users[user]
    assert parts.train[user] == texts[:16]
    assert parts.validation[user] == texts[16:18]
    assert parts.test[user] == texts[18:]


def test_light_users_are_left_out_and_heavy_ones_capped() -> None:
    assert all(len(texts) == 15 for texts in split(made(100, 40), SplitOptions(max_messages=15)).held_out.values())
    with pytest.raises(CorpusError, match="use a corpus with more users"):
        split(made(100, 5))
