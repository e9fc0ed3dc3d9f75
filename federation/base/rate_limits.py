"""How often one device and one address may ask. Each worker counts for itself, so the limits are per worker."""

from dataclasses import dataclass

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

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
    """

    def __init__(self, rates: RateLimits) -> None:
        self._device, self._address = parse(rates.device), parse(rates.address)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def check_device(self, device_id: bytes) -> None:
        """Count a request of a device.

        Raises:
            TooManyError: it is one too many.
        """
        if not self._limiter.hit(self._device, "device", device_id.hex()):
            raise TooManyError(f"a device may ask {self._device}: slow down", self._device.get_expiry())

    def check_address(self, address: str) -> None:
        """Count a request from an address.

        Raises:
            TooManyError: it is one too many.
        """
        if not self._limiter.hit(self._address, "address", address):
            raise TooManyError(f"an address may ask {self._address}: slow down", self._address.get_expiry())
