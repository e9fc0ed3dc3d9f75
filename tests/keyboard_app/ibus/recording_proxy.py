"""Hands connections on to a server, and keeps what went there."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


class Recorded:
    """What went to the server.

    Attributes:
        url: to send requests to.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._sent: dict[int, bytearray] = {}

    def streams(self) -> list[bytes]:
        """Return what each connection carried to the server so far."""
        return [bytes(each) for each in list(self._sent.values())]

    def carry(self, source: socket.socket, target: socket.socket, number: int | None) -> None:
        """Carry on until the source ends, and keep what there was if it has a number."""
        with contextlib.suppress(OSError):
            while content := source.recv(1 << 16):
                if number is not None:
                    self._sent.setdefault(number, bytearray()).extend(content)
                target.sendall(content)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def recording(url: str) -> Iterator[Recorded]:
    """Stand before a server of this machine."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    assert host is not None
    assert port is not None
    with socket.create_server(("127.0.0.1", 0)) as listening:
        recorded = Recorded(f"http://127.0.0.1:{listening.getsockname()[1]}")

        def accept() -> None:
            with contextlib.suppress(OSError):
                for number in range(1 << 20):
                    client, _ = listening.accept()
                    server = socket.create_connection((host, port))
                    for ends in ((client, server, number), (server, client, None)):
                        threading.Thread(target=recorded.carry, args=ends, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield recorded
        listening.shutdown(socket.SHUT_RDWR)
