"""The device's side of rounds: what a keyboard app, a headless phone and the tests run.

`DeviceClient` is a small state machine: call `step` when it says. `PhoneStore` is what lasts, `Connection` a line to
one server, `LocalTraining` makes updates of text.
"""

from federation.device.client import DeviceClient, Status
from federation.device.connection import Connection, enrol
from federation.device.errors import (
    DistrustError,
    PhoneError,
    ServerRefusedError,
    TooLittleError,
    UnreachableError,
)
from federation.device.records import Contribution, Pins, RequestLogEntry, RoundRecord
from federation.device.store import PhoneStore
from federation.device.training import LocalTraining

__all__ = [
    "Connection",
    "Contribution",
    "DeviceClient",
    "DistrustError",
    "LocalTraining",
    "PhoneError",
    "PhoneStore",
    "Pins",
    "RequestLogEntry",
    "RoundRecord",
    "ServerRefusedError",
    "Status",
    "TooLittleError",
    "UnreachableError",
    "enrol",
]
