"""A device takes weights only if they have the hash that it asked for, by whatever way they come."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from federation.device.connection import Connection
from federation.device.downloads import Downloads
from federation.device.errors import ServerRefusedError, UnreachableError
from federation.device.store import PhoneStore
from federation.protocol import model_codec as codec

OLD, NEW = (codec.to_bytes(np.full(50, value, np.float32)) for value in (1.0, 2.0))


class Answers:
    """A server that answers every download alike; None is a refusal."""

    def __init__(self, whole: bytes, difference: bytes | None = None) -> None:
        self._whole, self._difference = whole, difference

    def download(self, path: str, _: str, **_kwargs: object) -> bytes:
        answer = self._difference if "/from/" in path else self._whole
        if answer is None:
            raise ServerRefusedError("there is none", 404)
        return answer


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PhoneStore]:
    with closing(PhoneStore(tmp_path)) as store:
        yield store


def fetched(store: PhoneStore, answers: Answers) -> bytes:
    return Downloads(store, cast("Connection", answers), "model", len(NEW)).fetched(codec.sha256(NEW), 7)


DIFFERENCES = {
    "refused": None,
    "right": codec.delta(OLD, NEW),
    "another": codec.delta(OLD, OLD),
    "garbage": b"no difference",
}
WRONG = {"another": OLD, "cut off": NEW[:-1], "longer": NEW + b"\0", "empty": b""}
KEPT = {"nothing": None, "old": OLD, "new": NEW}


@pytest.mark.parametrize("difference", DIFFERENCES.values(), ids=DIFFERENCES)
@pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)
def test_what_was_asked_for_is_taken(store: PhoneStore, kept: bytes | None, difference: bytes | None) -> None:
    if kept is not None:
        store.keep_model(kept)
    assert fetched(store, Answers(NEW, difference)) == NEW


@pytest.mark.parametrize("whole", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("holds_old", [False, True])
def test_weights_with_another_hash_are_not_taken(store: PhoneStore, holds_old: bool, whole: bytes) -> None:
    if holds_old:
        store.keep_model(OLD)
    with pytest.raises(UnreachableError, match="came damaged"):
        fetched(store, Answers(whole, codec.delta(OLD, OLD)))
