"""The dashboard's application: of a server, or of runs on disk."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from flask import Flask, Response, redirect, render_template
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from federation.errors import FederationError
from federation.server.dashboard import figures, runs
from federation.server.dashboard.security import Access
from federation.server.errors import status_of
from federation.server.history import rounds_of
from federation.server.installation import Installation
from federation.server.metrics import Metrics

_LOOK_SECONDS = 1.0
_ALIVE_SECONDS = 15.0
_WATCHERS = 5
"""Browsers that are told of news at once; each takes a thread, and the others ask now and then."""


def create_dashboard(shown: Installation | Sequence[Path], access: Access) -> Flask:
    """Return the application.

    Args:
        shown: a server, or folders of runs.
        access: who may see it.
    """
    app = Flask("federation.server.dashboard", static_folder="static", template_folder="templates")
    app.jinja_env.filters.update(moment=figures.clock_time, byte_size=figures.byte_size)
    app.config["MAX_CONTENT_LENGTH"] = 4096
    access.guard(app)
    if isinstance(shown, Installation):
        _of_server(app, shown)
    else:
        _of_runs(app, shown)

    @app.errorhandler(FederationError)
    def refused(error: FederationError) -> tuple[str, int]:
        return render_template("error.html", problem=str(error)), status_of(error)

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> tuple[str, int]:
        return render_template("error.html", problem=error.description), error.code or 500

    return app


def _of_server(app: Flask, installation: Installation) -> None:
    metrics = Metrics(installation.database)
    _live(app, lambda: figures.mark(installation))

    @app.get("/healthz")
    def alive() -> Response:
        return _json({"status": "ok"})

    @app.get("/readyz")
    def ready() -> Response:
        """Whether database and model are there: a load balancer sends phones to those that are."""
        installation.models.current_version()
        return _json({"status": "ready"})

    @app.get("/metrics")
    def exposition() -> Response:
        return Response(metrics.exposition(), content_type=metrics.content_type)

    @app.get("/")
    def page() -> str:
        return render_template("server.html", seen=figures.overview(installation), fragment=False)

    @app.get("/fragment")
    def fragment() -> str:
        return render_template("overview.html", seen=figures.overview(installation), fragment=True)

    @app.get("/charts.json")
    def charts() -> Response:
        return _json(figures.charts(installation))

    @app.post("/models/<int:version>/promote")
    def promote(version: int) -> AnyResponse:
        installation.holding(version).promote(version)
        return redirect("/#models", code=303)

    @app.post("/rounds/<int:round_id>/rollback")
    def rollback(round_id: int) -> AnyResponse:
        before = {each.round_id: each.model_version for each in rounds_of(installation.database)}
        if round_id in before:
            installation.holding(before[round_id]).promote(before[round_id])
        return redirect("/#models", code=303)


def _of_runs(app: Flask, folders: Sequence[Path]) -> None:
    def stored() -> list[runs.StoredRun]:
        return [runs.StoredRun.load(folder) for folder in folders]

    def mark() -> tuple[Any, ...]:
        files = [folder / "metrics.csv" for folder in folders]
        return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)

    _live(app, mark)

    @app.get("/healthz")
    def alive() -> Response:
        return _json({"status": "ok"})

    @app.get("/")
    def page() -> str:
        return render_template("runs.html", runs=(found := stored()), differing=runs.differing(found))

    @app.get("/fragment")
    def fragment() -> str:
        return render_template("runs_table.html", runs=(found := stored()), differing=runs.differing(found))

    @app.get("/charts.json")
    def charts() -> Response:
        return _json(runs.charts(stored()))


def _live(app: Flask, mark: Callable[[], tuple[Any, ...]]) -> None:
    """Tell browsers when something has changed, by server-sent events."""
    places = threading.BoundedSemaphore(_WATCHERS)

    def changes() -> Iterator[str]:
        try:
            last, spoke = mark(), time.monotonic()
            yield "retry: 3000\n\n"
            while True:
                time.sleep(_LOOK_SECONDS)
                fresh = mark()
                if fresh != last:
                    last, spoke = fresh, time.monotonic()
                    yield "event: changed\ndata: 1\n\n"
                elif time.monotonic() - spoke > _ALIVE_SECONDS:
                    spoke = time.monotonic()
                    yield ": still here\n\n"  # and a browser that left is noticed
        finally:
            places.release()

    @app.get("/events")
    def events() -> Response:
        if not places.acquire(blocking=False):
            return Response(status=204)  # a browser does not ask again; its page asks now and then
        response = Response(changes(), content_type="text/event-stream")
        response.headers["X-Accel-Buffering"] = "no"
        return response


def _json(content: Any) -> Response:
    return Response(json.dumps(content), content_type="application/json")
