"""Where a phone's things are, and what its owner has chosen. Several phones can live on one desktop."""

import contextlib
import dataclasses
import fcntl
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import platformdirs

from federation.base.files import write_private
from federation.errors import FederationError
from federation.protocol.conditions import Conditions
from keyboard_app.settings import Settings
from model import files

_NAME = re.compile(r"[\w-]{1,40}")


class ProfileError(FederationError):
    """A profile that cannot be used; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Profile:
    """The folders of one phone.

    Attributes:
        name: of the phone.
        folder: of everything that it keeps.
    """

    name: str
    folder: Path

    @classmethod
    def named(cls, name: str, parent: Path | None = None) -> "Profile":
        """Return a profile, its folder made if it does not exist.

        Args:
            name: letters, digits, `_` and `-`.
            parent: of its folder; by default where this system keeps data of applications.

        Raises:
            ProfileError: the name cannot be used, or the folder cannot be made.
        """
        if not _NAME.fullmatch(name):
            raise ProfileError(f"{name!r} cannot name a profile: use up to 40 letters, digits, _ and -")
        folder = (parent or platformdirs.user_data_path("fedkey") / "keyboards") / name
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ProfileError(f"the folder {folder} cannot be made: {error.strerror}") from error
        return cls(name, folder)

    @contextlib.contextmanager
    def held(self) -> Iterator["Profile"]:
        """Hold the profile for this process: two that use it at once would not know of each other's keys.

        Raises:
            ProfileError: another process holds it, or its folder cannot be written to.
        """
        try:
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ProfileError(f"the folder {self.folder} cannot be written to: {error.strerror}") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ProfileError(
                    f"the profile {self.name!r} is in use: close the keyboard that has it, or choose another --profile"
                ) from error
            yield self
        finally:
            os.close(descriptor)

    @property
    def log(self) -> Path:
        """The vault with the typing log and the user's own words."""
        return self.folder / "typing.sqlite"

    @property
    def key(self) -> Path:
        """Of the vault."""
        return self.folder / "typing.key"

    @property
    def device(self) -> Path:
        """The folder of `federation.device.PhoneStore`."""
        return self.folder / "device"

    @property
    def models(self) -> Path:
        """The folder of shared models."""
        return self.folder / "models"

    @property
    def exports(self) -> Path:
        """The folder of the owner's exported data."""
        return self.folder / "exports"

    def settings(self) -> Settings:
        """Return what the owner chose; what cannot be read is as at the first start, with consent unanswered."""
        try:
            return chosen(json.loads(files.read(self.settings_file)))
        except (OSError, AttributeError, TypeError, ValueError):
            return Settings()

    def keep(self, settings: Settings) -> None:
        """Write what the owner chose.

        Raises:
            OSError: it cannot be written; what was chosen before stays.
        """
        write_private(self.settings_file, json.dumps(plain(settings), indent=1).encode())

    @property
    def settings_file(self) -> Path:
        """What the owner chose."""
        return self.folder / "settings.json"


def chosen(values: Mapping[str, Any]) -> Settings:
    """Return settings from what `plain` made; what this version does not know is left out.

    Raises:
        AttributeError, TypeError, ValueError: it is something else.
    """
    known = {field.name for field in dataclasses.fields(Settings)}
    taken = {name: value for name, value in values.items() if name in known}
    limit = taken.get("epsilon_limit")
    return Settings(**taken | {"epsilon_limit": math.inf if limit is None else float(limit)})


def plain(settings: Settings) -> dict[str, Any]:
    """Return settings as JSON can have them: no limit is None."""
    limit = None if math.isinf(settings.epsilon_limit) else settings.epsilon_limit
    return dataclasses.asdict(settings) | {"epsilon_limit": limit}


class DeviceConditions(Protocol):
    """Asks the device how it is; a phone has answers of its own."""

    def now(self) -> Conditions:
        """Return how it is at the moment."""


class SimulatedConditions:
    """A desktop's switches; the device is idle only if nothing was typed for a while, too.

    Args:
        settings: returns the switches.
        last_key: returns when a key was pressed last, in seconds of `clock`.
        clock: any steady one.
    """

    def __init__(
        self, settings: Callable[[], Settings], last_key: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._last_key = last_key
        self._clock = clock

    def now(self) -> Conditions:
        """See `DeviceConditions.now`."""
        chosen = self._settings()
        rested = self._clock() - self._last_key() >= chosen.rest_seconds
        return Conditions(idle=chosen.idle and rested, charging=chosen.charging, unmetered=chosen.unmetered)
