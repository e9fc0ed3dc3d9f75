"""What makes a thread of a desktop behave like a phone of a scenario: its network, its hours, the time it trains."""

import time
from collections.abc import Callable

import httpx

from federation.fleet.scenario import Device
from federation.protocol.conditions import Conditions
from federation.protocol.task import TrainingTask
from federation.updates.update import Update

DAY_SECONDS = 86_400.0


class SlowNetwork(httpx.BaseTransport):
    """Carries requests as slowly as a device's network does.

    Args:
        inner: what really carries them.
        device: whose network it is.
        sleep: waits for this many seconds.
    """

    def __init__(
        self, inner: httpx.BaseTransport, device: Device, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._inner, self._kind, self._sleep = inner, device.kind, sleep

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read all of its answer."""
        self._sleep(len(request.read()) / self._kind.upload_bytes_per_second)
        response = self._inner.handle_request(request)
        self._sleep(len(response.read()) / self._kind.download_bytes_per_second)
        return response

    def close(self) -> None:
        """Hang up."""
        self._inner.close()


class Hours:
    """When a device is idle, charging and on a network without a meter, by the scenario's hours.

    Args:
        device: of the scenario.
        day_seconds: that a day of the scenario takes; its first midnight is when `clock` says 0.
        clock: seconds since 1970.
    """

    def __init__(
        self, device: Device, day_seconds: float = DAY_SECONDS, clock: Callable[[], float] = time.time
    ) -> None:
        self._device, self._faster, self._clock = device, DAY_SECONDS / day_seconds, clock

    def __call__(self) -> Conditions:
        """Return how the device is now."""
        there = self._device.available(self._clock() * self._faster)
        return Conditions(idle=there, charging=there, unmetered=there)


class SlowTraining:
    """Takes as long as a device does.

    Args:
        train: in the speed of this machine.
        device: of the scenario.
        sleep: waits for this many seconds.
        monotonic: seconds.
    """

    def __init__(
        self,
        train: Callable[[bytes, TrainingTask], Update],
        device: Device,
        sleep: Callable[[float], object] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._train, self._device, self._sleep, self._monotonic = train, device, sleep, monotonic

    def __call__(self, weights: bytes, task: TrainingTask) -> Update:
        """Train, and be done no sooner than the device."""
        began = self._monotonic()
        update = self._train(weights, task)
        took = self._monotonic() - began
        self._sleep(max(0.0, self._device.train_seconds(update.tally.tokens) - took))
        return update
