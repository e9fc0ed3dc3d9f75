import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.ngram_table import FILES, Explicit, NgramTable, NgramTableError

SIZE = 7
pieces = st.integers(0, SIZE - 1)


@st.composite
def contents(draw: st.DrawFn) -> tuple[np.ndarray, list[Explicit]]:
    """A unigram and n-grams of two and three pieces."""
    unigram = np.array(draw(st.lists(st.floats(0.01, 1), min_size=SIZE, max_size=SIZE)))
    explicit = []
    for order in (2, 3):
        grams = sorted(draw(st.sets(st.tuples(*[pieces] * order), min_size=1, max_size=12)))
        shares = draw(st.lists(st.floats(0.001, 1 / SIZE - 0.001), min_size=len(grams), max_size=len(grams)))
        explicit.append(Explicit(np.array(grams, np.int64), np.array(shares)))
    return unigram / unigram.sum(), explicit


def naive(unigram: np.ndarray, explicit: list[Explicit], context: Sequence[int]) -> np.ndarray:
    """The back-off distribution, as the textbook has it."""
    if not context:
        return unigram
    known: dict[tuple[int, ...], float] = {}
    for own in explicit:
        known |= dict(zip(map(tuple, own.grams.tolist()), own.probabilities.tolist(), strict=True))
    shorter = naive(unigram, explicit, context[1:])
    here = {follower: known[*context, follower] for follower in range(SIZE) if (*context, follower) in known}
    left = (1 - sum(here.values())) / (1 - sum(shorter[follower] for follower in here))
    return np.array([here.get(follower, left * shorter[follower]) for follower in range(SIZE)])


@given(contents(), st.lists(pieces, max_size=4))
def test_distributions_back_off_as_the_textbook_says(
    content: tuple[np.ndarray, list[Explicit]], context: list[int]
) -> None:
    unigram, explicit = content
    table = NgramTable.assemble(unigram, explicit)
    (found,) = table.distributions([context])
    assert found.sum() == pytest.approx(1, abs=2e-3)
    assert found.sum() <= 1 + 1e-6
    # Codes are a twentieth of a nat apart and are rounded down.
    np.testing.assert_allclose(found, naive(unigram, explicit, context[-2:]), rtol=0.2, atol=0.02)


@given(contents(), st.lists(st.lists(pieces, max_size=4), min_size=1, max_size=4))
def test_a_context_is_judged_alike_alone_and_among_others(
    content: tuple[np.ndarray, list[Explicit]], contexts: list[list[int]]
) -> None:
    table = NgramTable.assemble(*content)
    alone = np.concatenate([table.distributions([context]) for context in contexts])
    np.testing.assert_array_equal(table.distributions(contexts), alone)


@given(contents())
def test_what_a_table_tells_of_itself_makes_the_same_table(content: tuple[np.ndarray, list[Explicit]]) -> None:
    table = NgramTable.assemble(*content)
    again = NgramTable.assemble(table.unigram, table.explicit())
    contexts = [own.grams[0, :-1].tolist() for own in content[1]]
    np.testing.assert_allclose(again.distributions(contexts), table.distributions(contexts), rtol=0.06)
    for own, told in zip(content[1], table.explicit(), strict=True):
        assert sorted(map(tuple, own.grams.tolist())) == sorted(map(tuple, told.grams.tolist()))


@pytest.fixture
def table() -> NgramTable:
    grams = np.array([[0, 1], [0, 2], [3, 1]], np.int64)
    longer = np.array([[3, 0, 1], [4, 5, 6]], np.int64)
    shares = Explicit(grams, np.array([0.5, 0.2, 0.3])), Explicit(longer, np.array([0.7, 0.1]))
    return NgramTable.assemble(np.full(SIZE, 1 / SIZE), shares)


def test_a_table_comes_back_from_disk(table: NgramTable, tmp_path: Path) -> None:
    table.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    read = NgramTable.load(tmp_path)
    contexts = [[3, 0], [4, 5], [0], [6], []]
    np.testing.assert_array_equal(read.distributions(contexts), table.distributions(contexts))
    assert (read.size, read.order) == (SIZE, 3)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_table_is_refused(table: NgramTable, tmp_path: Path, name: str) -> None:
    table.save(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:-3])
    with pytest.raises(NgramTableError):
        NgramTable.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(NgramTableError, match=r"no usable n-gram|cannot"):
        NgramTable.load(tmp_path)


def test_parts_of_two_tables_do_not_make_one(table: NgramTable, tmp_path: Path) -> None:
    for name, other in (("one", table), ("two", NgramTable.assemble(table.unigram, table.explicit()[:1]))):
        (tmp_path / name).mkdir()
        other.save(tmp_path / name)
    for name in FILES[2:]:
        mixed = tmp_path / f"mixed-{name}"
        mixed.mkdir()
        table.save(mixed)
        (mixed / name).write_bytes((tmp_path / "two" / name).read_bytes())
        with pytest.raises(NgramTableError, match="do not fit together"):
            NgramTable.load(mixed)


def test_another_version_is_refused(table: NgramTable, tmp_path: Path) -> None:
    table.save(tmp_path)
    described = json.loads((tmp_path / FILES[0]).read_text())
    (tmp_path / FILES[0]).write_text(json.dumps(described | {"format": 99}))
    with pytest.raises(NgramTableError, match="another version"):
        NgramTable.load(tmp_path)


def test_too_many_pieces_are_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        NgramTable.assemble(np.full(40_000, 1 / 40_000), [])
