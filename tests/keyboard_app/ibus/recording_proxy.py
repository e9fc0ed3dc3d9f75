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

    def connect(self, number: int, client: socket.socket, server: socket.socket) -> None:
        """Carry both ways until both sides have ended."""
        back = threading.Thread(target=_carry, args=(server, client, bytearray()), daemon=True)
        back.start()
        with client, server:
            _carry(client, server, self._sent.setdefault(number, bytearray()))
            back.join()


def _carry(source: socket.socket, target: socket.socket, seen: bytearray) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(1 << 16):
            seen.extend(content)
            target.sendall(content)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def recording(url: str) -> Iterator[Recorded]:
    """Stand before a server of this machine, until all connections to it have ended."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    assert host is not None
    assert port is not None
    connections: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        recorded = Recorded(f"http://127.0.0.1:{listening.getsockname()[1]}")

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    ends = client, socket.create_connection((host, port))
                    connections.append(
                        threading.Thread(target=recorded.connect, args=(len(connections), *ends), daemon=True)
                    )
                    connections[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield recorded
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join()
    for connection in connections:
        connection.join(10)
