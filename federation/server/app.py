"""The round server over HTTP; `openapi.json` describes every endpoint.

Handlers hold no state and no logic of rounds: they check who asks, read a bounded body, and call `CheckIns`, `Rounds`
and `Models`.
"""

import functools
import hashlib
import hmac
import io
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from flask import Blueprint, Flask, Response, g, request, send_file
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from federation.base.rate_limits import Limits
from federation.errors import FederationError
from federation.protocol import request_signing, versions
from federation.protocol.conditions import Conditions
from federation.protocol.credentials import CredentialError
from federation.protocol.drop_reasons import DropReason
from federation.protocol.steps import STEPS, Step
from federation.secure_aggregation import MAX_COHORT
from federation.server.check_ins import CheckedIn, CheckIns
from federation.server.errors import (
    BadRequestError,
    RevokedError,
    TooLargeError,
    UnauthorisedError,
    UnknownError,
    status_of,
)
from federation.server.metrics import Metrics
from federation.server.models import Models, ModelVersion
from federation.server.rounds import Rounds
from federation.server.session_events import REPORTED_BY_PHONES, Event

SMALL_BODY = 4096
_SHARE_BODY = 1024
"""Bytes for each phone of a round that a message of the protocol has at most, but for masked vectors."""

_MODEL_SECONDS = 30 * 86400
_DELTAS_KEPT = 8
_MAX_ID = (1 << 63) - 1
_PUBLISHED: Mapping[str, Callable[[Models, str], bytes]] = {
    "models": Models.weights,
    "means": Models.mean,
    "states": Models.optimizer_state,
}
"""What anyone may fetch to recompute models, under the hashes that the log has."""
_UNSPOKEN_SECONDS = 86400.0
_SPOKEN = "version " + " and ".join(map(str, versions.SPOKEN)) + " of the protocol"
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})

_LOG = logging.getLogger("fedkey.http")


@dataclass(frozen=True)
class Site:
    """What the application serves.

    Attributes:
        check_ins, rounds, models, counts: the core.
        public_key: raw Ed25519 key of this server, in the audience of every signed request.
        about: what anyone may know of this server.
        max_upload: bytes of a masked vector at most.
        limits: of requests.
        metrics: of requests, and of the database.
        clock: seconds since 1970.
    """

    check_ins: CheckIns
    rounds: Rounds
    models: Models
    counts: Models
    public_key: bytes
    about: Mapping[str, Any]
    max_upload: int
    limits: Limits
    metrics: Metrics
    clock: Callable[[], float] = time.time


def create_app(site: Site) -> Flask:
    """Return the WSGI application of a site."""
    app = Flask("fedkey", static_folder=None)
    app.register_blueprint(_public(site))
    app.register_blueprint(_for_phones(site))
    app.register_error_handler(FederationError, _refused)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _crashed)

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()
        site.limits.check_address(request.remote_addr or "")

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers[request_signing.TIME_HEADER] = str(int(site.clock()))
        route = request.url_rule.rule if request.url_rule else "none"
        method = request.method if request.method in _METHODS else "other"  # invented ones would grow without bound
        site.metrics.observe(route, method, response.status_code, time.perf_counter() - g.began)
        return response

    return app


def _public(site: Site) -> Blueprint:
    pages = Blueprint("public", __name__)
    description = (resources.files("federation.server") / "openapi.json").read_text(encoding="utf-8")

    @pages.get("/healthz")
    def health() -> Response:
        site.models.current_version()
        return _json({"status": "ok"})

    @pages.get("/openapi.json")
    def openapi() -> Response:
        return Response(description, content_type="application/json")

    @pages.get("/v1/server")
    def about() -> Response:
        return _json({**site.about, "time": site.clock()})

    @pages.get("/v1/log")
    def head() -> Response:
        return Response(site.models.log_head(), content_type="application/json")

    @pages.get("/v1/log/rounds/<int:round_id>")
    def of_round(round_id: int) -> Response:
        return _bytes(site.rounds.plan(_known(round_id)))

    @pages.get(f"/v1/log/<any({','.join(_PUBLISHED)}):what>/<sha256>")
    def published(what: str, sha256: str) -> Response:
        return _immutable(_PUBLISHED[what](site.models, sha256), sha256)

    @pages.get("/v1/log/<int:first>")
    def log(first: int) -> Response:
        return _bytes(site.models.log(_known(first)))

    @pages.get("/v1/models/current")
    def current() -> Response:
        return _json(_described(site.models.version(site.models.current_version())))

    @pages.get("/v1/counts/current")
    def counts() -> Response:
        return _json(_described(site.counts.version(site.counts.current_version())))

    return pages


def _described(version: ModelVersion) -> dict[str, Any]:
    return {"version": version.version, "sha256": version.sha256, "signature": version.signature.hex()}


def _for_phones(site: Site) -> Blueprint:
    phones = Blueprint("phones", __name__, url_prefix="/v1")

    @phones.before_request
    def admit() -> None:
        """Know the device before the body is read."""
        target = request.full_path if request.query_string else request.path
        try:
            signed = request_signing.check(
                request.headers.get, site.public_key, method=request.method, target=target, now=site.clock()
            )
        except CredentialError as error:
            raise UnauthorisedError(str(error)) from error
        try:
            site.rounds.admit(signed.credential)
        except RevokedError:
            site.metrics.refused("revoked")
            raise
        site.limits.check_device(signed.credential.device_id)
        g.signed = signed

    @phones.post("/check-in")
    def check_in() -> Response:
        told = _object(_body(SMALL_BODY))
        conditions, theirs = _conditions(told.get("conditions")), _protocols(told.get("protocols", [versions.FIRST]))
        if versions.common(theirs) is None:
            answer = CheckedIn(None, _UNSPOKEN_SECONDS, f"this server speaks {_SPOKEN}: update the app")
        else:
            answer = site.check_ins.check_in(g.signed.credential, g.signed.nonce, conditions)
        return _json(
            {"round_id": answer.round_id, "retry_after_seconds": answer.retry_after_seconds, "reason": answer.reason}
        )

    _serve_answers(site, phones)
    _take_messages(site, phones)
    _serve_files(site, phones)
    return phones


def _serve_answers(site: Site, phones: Blueprint) -> None:
    """Answer what phones ask of a round, step by step."""

    @phones.get("/rounds/<int:round_id>/plan")
    def plan(round_id: int) -> Response:
        return _bytes(site.rounds.plan(_known(round_id)))

    @phones.get("/rounds/<int:round_id>/roster")
    def roster(round_id: int) -> Response:
        return _bytes(site.rounds.roster(_known(round_id), _device()))

    @phones.get("/rounds/<int:round_id>/cohort")
    def cohort(round_id: int) -> Response:
        return _bytes(site.rounds.cohort(_known(round_id), _device()))

    @phones.get("/rounds/<int:round_id>/inbox")
    def inbox(round_id: int) -> Response:
        return _bytes(site.rounds.inbox(_known(round_id), _device()))

    @phones.get("/rounds/<int:round_id>/survivors")
    def survivors(round_id: int) -> Response:
        return _bytes(site.rounds.survivors(_known(round_id), _device()))

    @phones.get("/rounds/<int:round_id>/signatures")
    def signatures(round_id: int) -> Response:
        return _bytes(site.rounds.signatures(_known(round_id), _device()))


def _take_messages(site: Site, phones: Blueprint) -> None:
    """Take what phones send in a round."""

    @phones.post(f"/rounds/<int:round_id>/<any({','.join(STEPS)}):step>")
    def take(round_id: int, step: str) -> Response:
        _known(round_id)
        largest = site.max_upload if step == Step.UPLOAD else SMALL_BODY + _SHARE_BODY * MAX_COHORT
        site.rounds.receive(round_id, Step(step), _body(largest), sender=_device(), digest=g.signed.body_sha256)
        return Response(status=204)

    @phones.post("/rounds/<int:round_id>/complaint")
    def complaint(round_id: int) -> Response:
        site.rounds.complain(_known(round_id), _device(), _body(SMALL_BODY))
        return Response(status=204)

    @phones.post("/rounds/<int:round_id>/events")
    def event(round_id: int) -> Response:
        told = _object(_body(SMALL_BODY))
        reported = list(REPORTED_BY_PHONES)  # compared one by one: what is told may not be hashable
        if not {"event", "reason"} <= set(told) or told["event"] not in reported:
            raise BadRequestError(f"phones report one of: {', '.join(sorted(REPORTED_BY_PHONES))}, with a reason")
        site.rounds.report(_known(round_id), _device(), g.signed.nonce, Event(told["event"]), _reason(told["reason"]))
        return Response(status=204)


def _serve_files(site: Site, phones: Blueprint) -> None:
    """Serve what never changes under its hash."""

    @functools.lru_cache(_DELTAS_KEPT)
    def difference(old: str, new: str) -> bytes:
        return site.models.delta(old, new)

    @phones.get("/models/<sha256>")
    def weights(sha256: str) -> Response:
        return _immutable(site.models.weights(sha256), sha256)

    @phones.get("/models/<sha256>/from/<old>")
    def delta(sha256: str, old: str) -> Response:
        return _immutable(difference(old, sha256), f"{old}-{sha256}")

    @phones.get("/revoked/<sha256>")
    def revoked(sha256: str) -> Response:
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise UnknownError("there is no such list of revoked devices: fetch the plan again")
        return _immutable(site.rounds.revoked(sha256), sha256)


def _device() -> bytes:
    device: bytes = g.signed.credential.device_id
    return device


def _known(round_id: int) -> int:
    if round_id > _MAX_ID:
        raise UnknownError(f"there is no round {round_id}: check in")
    return round_id


def _body(largest: int) -> bytes:
    """Read the body, if it is as long as allowed and the one that was signed."""
    length = request.content_length
    if length is None:
        raise BadRequestError("a request says how long its body is: send Content-Length")
    if length > largest:
        raise TooLargeError(f"this request has {largest} bytes at most, not {length}")
    request.max_content_length = largest
    body = request.get_data(cache=False)
    if not hmac.compare_digest(hashlib.sha256(body).digest(), g.signed.body_sha256):
        raise BadRequestError("the body is not the one that was signed: send it again")
    return body


def _object(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError("the body is not JSON") from error
    if not isinstance(told, dict):
        raise BadRequestError("the body is not a JSON object")
    return told


def _conditions(told: object) -> Conditions:
    """Return a phone's conditions; what a later version adds to them is left alone."""
    names = Conditions.__dataclass_fields__
    if not isinstance(told, dict) or not all(isinstance(told.get(name), bool) for name in names):
        raise BadRequestError(f"a check-in says its conditions: {', '.join(sorted(names))}, each true or false")
    return Conditions(**{name: told[name] for name in names})


def _protocols(told: object) -> tuple[int, ...]:
    try:
        return versions.read(told)
    except ValueError as error:
        raise BadRequestError(str(error)) from error


def _reason(told: object) -> str:
    """Return a code of the fixed vocabulary: a trail has no room for what a phone writes freely."""
    try:
        return DropReason.read(told).value
    except ValueError as error:
        raise BadRequestError(f"a reason is a code such as: {', '.join(filter(None, DropReason))}") from error


def _json(content: Mapping[str, Any]) -> Response:
    return Response(json.dumps(content), content_type="application/json")


def _bytes(content: bytes) -> Response:
    return Response(content, content_type="application/octet-stream")


def _immutable(content: bytes, etag: str) -> Response:
    """Answer with bytes that never change under their name; ranges and If-None-Match are honoured."""
    response: Response = send_file(
        io.BytesIO(content),
        mimetype="application/octet-stream",
        etag=etag,
        conditional=True,
        max_age=_MODEL_SECONDS,
    )
    return response


def _refused(error: FederationError) -> Response:
    status = status_of(error)
    if status >= 500:
        _LOG.warning({"status": status, "path": request.path, "error": str(error)})
    response = _json({"error": str(error)})
    response.status_code = status
    later = getattr(error, "retry_after_seconds", None)
    if later is not None:
        response.headers["Retry-After"] = str(math.ceil(later))
    return response


def _http_error(error: HTTPException) -> Response:
    if isinstance(error, RequestEntityTooLarge):
        return _refused(TooLargeError("the body is larger than it said"))
    response = _json({"error": error.description or error.name})
    response.status_code = error.code or 500
    if response.status_code < 400 and error.response is None:  # a redirect to the canonical path
        response.headers.extend(error.get_headers())
    if getattr(error, "valid_methods", None):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))  # type: ignore[attr-defined]
    return response


def _crashed(error: Exception) -> Response:
    _LOG.error({"status": 500, "path": request.path, "error": type(error).__name__}, exc_info=error)
    response = _json({"error": "the server failed; its log says more"})
    response.status_code = 500
    return response
