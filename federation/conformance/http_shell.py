"""A phone trial on the network: one thread for each connection, and nothing but what the trial answers."""

import contextlib
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from federation.conformance.phone_trial import PhoneTrial
from federation.errors import ConfigError

_MAX_BODY = 64 << 20


@contextlib.contextmanager
def serving(trial: PhoneTrial, host: str, port: int) -> Iterator[str]:
    """Answer a phone while the context lasts; yield the address.

    Args:
        trial: that answers.
        host: to listen on.
        port: to listen on; 0 for any.

    Raises:
        ConfigError: the address cannot be listened on.
    """

    class Handler(_Handler):
        answering = trial

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror}: choose another --host or --port"
        ) from error
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    answering: PhoneTrial
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal() or int(length) > _MAX_BODY:
            self.send_error(413)
            return
        body = self.rfile.read(int(length))
        answer = self.answering.handle(self.command, self.path, dict(self.headers), body)
        if not answer.status:  # the answer is lost on its way
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if answer.status != 204:
            self.wfile.write(answer.body)

    def log_message(self, *_: Any) -> None:
        """Say nothing of each request: the report has what counts."""
