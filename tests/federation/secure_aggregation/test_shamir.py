import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.secure_aggregation import shamir
from tests.federation.secure_aggregation.cohort import entropy

SECRET = bytes(range(32))


def _combined(shares: dict[int, bytes]) -> bytes:
    return shamir.combine(shamir.coefficients(list(shares)), shares.values())


def test_shares_are_the_polynomial_at_one_two_three() -> None:
    coefficients = (5).to_bytes(32, "little") + (7).to_bytes(32, "little")
    shares = shamir.share((3).to_bytes(32, "little"), 3, 4, lambda size: coefficients[:size])
    assert [int.from_bytes(value, "little") for value in shares] == [3 + 5 * x + 7 * x * x for x in (1, 2, 3, 4)]


def test_every_subset_of_the_threshold_gives_the_secret_and_no_smaller_one_does() -> None:
    shares = dict(enumerate(shamir.share(SECRET, 3, 5, entropy("subsets"))))
    for size in range(1, 6):
        for holders in itertools.combinations(shares, size):
            found = _combined({holder: shares[holder] for holder in holders})
            assert (found == SECRET) == (size >= 3)


@given(st.integers(0, shamir.PRIME - 1), st.integers(1, 8), st.integers(0, 4), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_any_holders_give_any_secret(secret: int, threshold: int, more: int, random: object) -> None:
    data = secret.to_bytes(32, "little")
    shares = dict(enumerate(shamir.share(data, threshold, threshold + more, entropy(secret))))
    holders = random.sample(sorted(shares), threshold)  # type: ignore[attr-defined]
    assert _combined({holder: shares[holder] for holder in holders}) == data


@pytest.mark.parametrize("wrong", [[2], [0, 6], [1, 4, 8]])
def test_false_shares_within_half_of_the_surplus_are_corrected(wrong: list[int]) -> None:
    shares = dict(enumerate(shamir.share(SECRET, 4, 10, entropy("correct"))))
    for holder in wrong:
        shares[holder] = bytes(32)
    assert shamir.correct(shares, 4, SECRET.__eq__) == (SECRET, frozenset(wrong))


@pytest.mark.parametrize("holders", [5, 30])
def test_more_false_shares_are_found_by_trying_subsets(holders: int) -> None:
    threshold = 2 * holders // 3 + 1
    shares = dict(enumerate(shamir.share(SECRET, threshold, holders, entropy("subsets"))))
    shares = {holder: shares[holder] for holder in range(threshold + 1)}  # a surplus of one: nothing can be decoded
    shares[1] = bytes(32)
    assert shamir.correct(shares, threshold, SECRET.__eq__) == (SECRET, frozenset({1}))


def test_some_of_many_subsets_are_tried() -> None:
    shares = dict(enumerate(shamir.share(SECRET, 9, 13, entropy("many"))))
    for holder in (0, 4, 7):  # one more than half of the surplus; ten of the 715 subsets are clean
        shares[holder] = bytes(32)
    assert shamir.correct(shares, 9, SECRET.__eq__) == (SECRET, frozenset({0, 4, 7}))


def test_a_large_cohort_is_decoded_where_subsets_would_not_be_found() -> None:
    shares = dict(enumerate(shamir.share(SECRET, 67, 100, entropy("large"))))
    wrong = range(3, 19)  # half of the surplus of 33
    for holder in wrong:
        shares[holder] = bytes(32)
    assert shamir.correct(shares, 67, SECRET.__eq__) == (SECRET, frozenset(wrong))


def test_a_polynomial_of_too_high_a_degree_is_none() -> None:
    shares = dict(enumerate(shamir.share(SECRET, 4, 6, entropy("cubic"))))
    assert shamir.correct(shares, 2, lambda _: False) == (None, frozenset(range(6)))


def test_a_secret_that_was_never_shared_is_not_found() -> None:
    shares = dict(enumerate(shamir.share(SECRET, 4, 6, entropy("never"))))
    assert shamir.correct(shares, 4, lambda _: False) == (None, frozenset())


def test_shares_without_any_polynomial_all_misfit() -> None:
    shares = {holder: entropy("noise", holder)(32) for holder in range(6)}
    assert shamir.correct(shares, 4, lambda _: False) == (None, frozenset(range(6)))


def test_shares_of_zero_are_corrected() -> None:
    shares = dict.fromkeys(range(6), bytes(32))
    assert shamir.correct(shares, 2, bytes(32).__eq__) == (bytes(32), frozenset())


def test_field_elements_are_drawn_again_if_they_are_not_below_the_prime() -> None:
    draws = iter([shamir.PRIME.to_bytes(32, "little"), b"\xff" * 32, SECRET])
    assert shamir.field_element(lambda _: next(draws)) == SECRET
    draws = iter([SECRET + b"\xff" * 32, b"\xff" * 32, bytes(32)])
    assert shamir.field_elements(2, lambda _: next(draws)) == [SECRET, bytes(32)]


@pytest.mark.parametrize(
    ("secret", "threshold"), [(b"\xff" * 32, 2), (SECRET[:31], 2), (SECRET, 0), (SECRET, 4)], ids=str
)
def test_impossible_sharings_are_refused(secret: bytes, threshold: int) -> None:
    with pytest.raises(ValueError, match=r"threshold|below the prime"):
        shamir.share(secret, threshold, 3, entropy("impossible"))
