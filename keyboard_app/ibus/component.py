"""The file by which IBus finds the keyboard, for one user.

IBus looks for components in its own folder and, if `IBUS_COMPONENT_PATH` is set, in the folders that it names instead.
The session is told of that variable by a file of `environment.d`, so that nothing outside the user's folder changes.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from federation.base.files import write_private
from keyboard_app.ibus.bindings import IBusError
from model import files

NAME = "org.fedkey.IBus"
ENGINE = "fedkey"
SYSTEM_COMPONENTS = Path("/usr/share/ibus/component")

_MARK = "fedkey ibus install"  # in every file of ours


@dataclass(frozen=True)
class Component:
    """Where a user's files are.

    Attributes:
        data: XDG_DATA_HOME.
        config: XDG_CONFIG_HOME.
    """

    data: Path
    config: Path

    @classmethod
    def of_user(cls, environment: Mapping[str, str] = os.environ) -> "Component":
        """Return the files of the user who runs this."""
        home = Path(environment.get("HOME", "~")).expanduser()
        return cls(
            Path(environment.get("XDG_DATA_HOME") or home / ".local/share"),
            Path(environment.get("XDG_CONFIG_HOME") or home / ".config"),
        )

    @property
    def description(self) -> Path:
        """What IBus reads."""
        return self.data / "ibus/component/fedkey.xml"

    @property
    def variable(self) -> Path:
        """What tells the session where `description` is."""
        return self.config / "environment.d/60-fedkey-ibus.conf"

    @property
    def search_path(self) -> str:
        """What IBUS_COMPONENT_PATH has to be."""
        return f"{SYSTEM_COMPONENTS}:{self.description.parent}"

    def install(self, command: Sequence[str]) -> None:
        """Write both files, or write them anew.

        Args:
            command: that IBus starts the keyboard with.

        Raises:
            IBusError: a file is there that is not ours, or cannot be written.
        """
        self._check()
        try:
            for path, content in (
                (self.description, _xml(command)),
                (self.variable, f"# {_MARK}\nIBUS_COMPONENT_PATH={self.search_path}\n"),
            ):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_private(path, content.encode())
        except OSError as error:
            raise IBusError(f"the keyboard cannot be installed: {error}") from error

    def remove(self) -> bool:
        """Delete both files; return whether there were any.

        Raises:
            IBusError: a file is there that is not ours, or cannot be deleted.
        """
        self._check()
        paths = [path for path in (self.description, self.variable) if path.exists()]
        try:
            for path in paths:
                path.unlink()
        except OSError as error:
            raise IBusError(f"the keyboard cannot be removed: {error}") from error
        return bool(paths)

    def _check(self) -> None:
        for path in (self.description, self.variable):
            try:
                if path.exists() and _MARK not in files.read(path).decode(errors="replace"):
                    raise IBusError(f"{path} was not written by fedkey: move it away first")
            except OSError as error:
                raise IBusError(f"{path} cannot be read: {error.strerror}") from error


def _xml(command: Sequence[str]) -> str:
    return f"""<?xml version="1.0" encoding="utf-8"?>
<!-- {_MARK} -->
<component>
  <name>{NAME}</name>
  <description>Keyboard prediction that learns across phones without seeing what anyone types</description>
  <exec>{escape(shlex.join(command))}</exec>
  <version>0.1.0</version>
  <author>fedkey</author>
  <license></license>
  <homepage></homepage>
  <textdomain>fedkey</textdomain>
  <engines>
    <engine>
      <name>{ENGINE}</name>
      <longname>fedkey</longname>
      <description>English with predictions and corrections</description>
      <language>en</language>
      <license></license>
      <author>fedkey</author>
      <icon></icon>
      <layout>default</layout>
      <symbol>f</symbol>
      <rank>0</rank>
    </engine>
  </engines>
</component>
"""
