"""The enrolment authority's HTTP service: a small application of its own, apart from the round server."""

import logging
import math

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from federation.base.rate_limits import Limits, RateLimits
from federation.enrolment.authority import AuthorityFolder
from federation.errors import FederationError, TooManyError
from federation.protocol.credentials import CredentialError

_REQUEST_BYTES = 256

_LOG = logging.getLogger("fedkey.enrolment")


def create_desk(authority: AuthorityFolder, *, rates: RateLimits) -> Flask:
    """Return a WSGI application that enrols anyone who asks.

    Whether a device is one person's phone is for its operator to find out: put an attestation service in front.

    Args:
        authority: The authority.
        rates: Maximum rates of requests.
    """
    app = Flask("fedkey-enrolment", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _REQUEST_BYTES
    limits = Limits(rates)

    @app.post("/v1/enrol")
    def enrol() -> Response:
        limits.check_address(request.remote_addr or "")
        return Response(authority.enrol(request.get_data()).to_bytes(), content_type="application/octet-stream")

    @app.errorhandler(FederationError)
    def refused(error: FederationError) -> tuple[dict[str, str], int, dict[str, str]]:
        told = {"error": str(error)}
        if isinstance(error, TooManyError):
            return told, 429, {"Retry-After": str(math.ceil(error.retry_after_seconds))}
        return told, 403 if isinstance(error, CredentialError) else 500, {}

    @app.errorhandler(HTTPException)
    def not_taken(error: HTTPException) -> tuple[dict[str, str], int]:
        return {"error": error.description or error.name}, error.code or 500

    @app.errorhandler(Exception)
    def crashed(error: Exception) -> tuple[dict[str, str], int]:
        _LOG.error({"status": 500, "error": type(error).__name__}, exc_info=error)
        return {"error": "the service failed; its log says more"}, 500

    return app
