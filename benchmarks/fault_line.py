"""A TCP line within this machine that can be cut, for `benchmarks/faults.py`."""

import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path

_CHUNK = 1 << 16
_RESET = struct.pack("ii", 1, 0)  # closing sends RST, as a middle box does that has forgotten the connection


class Line:
    """Hands connections on, until it is told to hold what is under way, or to break it off.

    Args:
        target: Port of this machine, or a socket in the file system.

    Attributes:
        port: That it listens on.
    """

    def __init__(self, target: int | Path) -> None:
        self._target = target
        self._moving, self._broken = threading.Event(), False
        self._moving.set()
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self) -> None:
        """Let nothing arrive from now on, without a word to either end."""
        self._moving.clear()

    def break_off(self) -> None:
        """Reset all connections, also in the middle of a message, and every new one."""
        self._broken = True
        with self._lock:
            for end in self._ends:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    end.shutdown(socket.SHUT_RD)  # wakes its thread, which closes it

    def mend(self) -> None:
        """Hand on again, what was held first."""
        self._broken = False
        self._moving.set()

    def close(self) -> None:
        """End everything."""
        self.break_off()
        self.mend()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._broken:
                    raise ConnectionError
                far = self._connected()
            except OSError:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                near.close()
                continue
            for end in (near, far):
                if end.family == socket.AF_INET:
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._ends |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _connected(self) -> socket.socket:
        if isinstance(self._target, int):
            return socket.create_connection(("127.0.0.1", self._target), 5)
        far = socket.socket(socket.AF_UNIX)
        far.connect(str(self._target))
        return far

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            source.settimeout(None)
            while data := source.recv(_CHUNK):
                self._moving.wait()
                if self._broken:
                    break
                sink.sendall(data)
        with self._lock:
            self._ends.discard(source)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RD)
        source.close()
