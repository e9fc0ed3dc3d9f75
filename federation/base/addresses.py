"""Addresses of programs on a network: how they are written, and listened on."""

import errno
import ipaddress
import socket
from dataclasses import dataclass
from typing import Self

from federation.errors import ConfigError

_MAX_PORT = 65535


@dataclass(frozen=True)
class Address:
    """Where a program listens.

    Attributes:
        host: name or IP address.
        port: 0 for any that is free, where one listens.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host:port`; an IPv6 address is in brackets.

        Raises:
            ConfigError: it is written in another way.
        """
        host, colon, port = text.strip().rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        brackets = bare != host
        if not (colon and bare and port.isascii() and port.isdigit() and 0 < int(port) <= _MAX_PORT):
            raise ConfigError(f"{text!r} is no address: write HOST:PORT, such as 127.0.0.1:7070")
        if brackets != (":" in bare) or " " in bare:
            raise ConfigError(f"{text!r} is no address: write an IPv6 address in brackets, such as [::1]:7070")
        return cls(bare, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but programs of this machine can be there. Names are not looked up."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def listen(address: Address) -> socket.socket:
    """Return a socket that listens at an address.

    Raises:
        ConfigError: it cannot; the message says why.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        why = "another program listens there" if error.errno == errno.EADDRINUSE else error.strerror
        raise ConfigError(f"cannot listen on {address}: {why}: choose another --host or --port") from error
