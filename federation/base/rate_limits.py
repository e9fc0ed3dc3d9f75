"""How often one device and one address may ask. Each worker counts for itself, so the limits are per worker."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from limits import RateLimitItem, parse

from federation.errors import ConfigError, TooManyError
from model.wording import in_words


@dataclass(frozen=True, kw_only=True)
class RateLimits:
    """Numbers of requests and times, such as `20/second`.

    Attributes:
        device: Rate of one device; a round takes about fifteen requests and some polling.
        address: Rate of one network address, behind which there may be many phones.
    """

    device: str = "600/minute"
    address: str = "60000/minute"

    def __post_init__(self) -> None:
        for rate in (self.device, self.address):
            try:
                parse(rate)
            except ValueError as error:
                raise ConfigError(f"a rate is a number and a time, such as 20/second, not {in_words(rate)}") from error


class Limits:
    """Counts requests.

    Args:
        rates: Maximum rates.
        clock: Seconds of any steady clock.
    """

    def __init__(self, rates: RateLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._device, self._address = _Window(parse(rates.device), clock), _Window(parse(rates.address), clock)

    def check_device(self, device_id: bytes) -> None:
        """Count a request of a device.

        Raises:
            TooManyError: it is one too many.
        """
        if not self._device.takes(device_id):
            raise TooManyError(f"a device may ask {self._device.rate}: slow down", self._device.seconds)

    def check_address(self, address: str) -> None:
        """Count a request from an address.

        Raises:
            TooManyError: it is one too many.
        """
        if not self._address.takes(address):
            raise TooManyError(f"an address may ask {self._address.rate}: slow down", self._address.seconds)


class _Window:
    """A sliding window over two counts: of this window, and of the share of the one before that it still covers.

    The storage in memory of `limits` counts likewise, but with a thread for each request that looks through all who
    asked: almost half of what a check-in cost.
    """

    def __init__(self, rate: RateLimitItem, clock: Callable[[], float]) -> None:
        self.rate, self.seconds = rate, rate.get_expiry()
        self._clock, self._lock = clock, threading.Lock()
        self._number = 0
        self._before: Counter[Hashable] = Counter()
        self._counts: Counter[Hashable] = Counter()

    def takes(self, who: Hashable) -> bool:
        """Return whether somebody may ask once more, and count it if so."""
        with self._lock:
            number, into = divmod(self._clock(), self.seconds)
            if number != self._number:
                self._before = self._counts if number == self._number + 1 else Counter()
                self._number, self._counts = int(number), Counter()
            covered = self._before[who] * (1 - into / self.seconds)
            if covered + self._counts[who] + 1 > self.rate.amount:
                return False
            self._counts[who] += 1
            return True
