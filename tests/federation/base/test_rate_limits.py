"""How often somebody may ask."""

import threading

import pytest

from federation.base.rate_limits import Limits, RateLimits
from federation.errors import TooManyError


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(limits: Limits, device: bytes, asked: int) -> int:
    """Ask some times; return how many of these were taken."""
    count = 0
    for _ in range(asked):
        try:
            limits.check_device(device)
        except TooManyError:
            continue
        count += 1
    return count


def test_a_device_may_ask_so_often_in_a_window_and_others_are_none_of_its_concern() -> None:
    limits = Limits(RateLimits(device="5/minute"), Clock())
    assert taken(limits, b"one", 20) == 5
    assert taken(limits, b"other", 20) == 5


def test_the_window_slides() -> None:
    clock = Clock()
    limits = Limits(RateLimits(device="10/minute"), clock)
    clock.now = 1020.0  # a window begins
    assert taken(limits, b"one", 20) == 10
    clock.now = 1080.0 + 1
    assert taken(limits, b"one", 20) == 0  # almost the whole of the window before still counts
    clock.now = 1080.0 + 30
    assert taken(limits, b"one", 20) == 5
    clock.now = 1080.0 + 300
    assert taken(limits, b"one", 20) == 10


def test_what_was_refused_does_not_count() -> None:
    clock = Clock()
    limits = Limits(RateLimits(device="2/second"), clock)
    taken(limits, b"one", 100)
    clock.now += 2
    assert taken(limits, b"one", 100) == 2


def test_an_address_is_told_when_to_come_back() -> None:
    limits = Limits(RateLimits(address="1/hour"), Clock())
    limits.check_address("192.0.2.1")
    limits.check_address("192.0.2.2")
    with pytest.raises(TooManyError, match="an address may ask 1 per 1 hour: slow down") as refused:
        limits.check_address("192.0.2.1")
    assert refused.value.retry_after_seconds == 3600


def test_threads_count_together_and_no_thread_is_started() -> None:
    limits = Limits(RateLimits(device="1000/hour"), Clock())
    running = threading.active_count()
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(taken(limits, b"one", 400))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 1000
    assert threading.active_count() == running
