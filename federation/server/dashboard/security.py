"""Who may see the dashboard: anyone who has its token, which a browser changes for a cookie."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from flask import Flask, Response, abort, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from federation.base.files import write_private
from model import files

COOKIE = "fedkey_dashboard"
TOKEN_FILE = "dashboard.token"  # noqa: S105 - a name
_OPEN = frozenset({"/healthz", "/readyz", "/metrics", "/login"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Access:
    """What a browser has to show.

    Attributes:
        token: for people, in the address that is printed.
    """

    token: str = field(repr=False)

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Read a folder's token, or draw one that only the folder's owner may read."""
        path = folder / TOKEN_FILE
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24).encode())
        return cls(files.read_text(path, "ascii").strip())

    @property
    def session(self) -> str:
        """What the cookie says."""
        return self._derived("session")

    @property
    def csrf(self) -> str:
        """What forms say, which no other site can know."""
        return self._derived("csrf")

    def guard(self, app: Flask) -> None:
        """Let nobody else see an application's pages, and have browsers help with that."""

        @app.before_request
        def check() -> AnyResponse | str | None:
            if request.path in _OPEN or request.path.startswith("/static/"):
                return None
            given = request.args.get("token", "")
            if given and _same(given, self.token):
                return self._admitted()
            if not _same(request.cookies.get(COOKIE, ""), self.session):
                return Response(render_template("login.html"), status=401)
            if request.method == "POST" and not _same(request.form.get("csrf", ""), self.csrf):
                abort(403, "the form is not of this dashboard: open the page again")
            return None

        @app.post("/login")
        def login() -> AnyResponse:
            if not _same(request.form.get("token", ""), self.token):
                return Response(render_template("login.html", wrong=True), status=401)
            return self._admitted()

        @app.after_request
        def harden(response: Response) -> Response:
            response.headers["Content-Security-Policy"] = _POLICY
            response.headers["X-Content-Type-Options"] = "nosniff"
            response.headers["Referrer-Policy"] = "no-referrer"
            response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
            if not request.path.startswith("/static/"):
                response.headers["Cache-Control"] = "no-store"
            return response

        app.context_processor(lambda: {"csrf": self.csrf})

    def _admitted(self) -> AnyResponse:
        response = redirect("/", code=303)
        response.set_cookie(COOKIE, self.session, httponly=True, samesite="Strict", secure=request.is_secure)
        return response

    def _derived(self, purpose: str) -> str:
        return hmac.new(self.token.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
