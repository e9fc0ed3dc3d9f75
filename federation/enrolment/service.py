"""The enrolment authority's desk on the network: a small application of its own, apart from the round server."""

from flask import Flask, Response, request

from federation.enrolment.authority import AuthorityFolder
from federation.errors import FederationError
from federation.protocol.credentials import CredentialError
from federation.server.errors import TooManyError
from federation.server.limits import Limits, RateLimits

_REQUEST_BYTES = 256


def create_desk(authority: AuthorityFolder, *, days: int, rates: RateLimits) -> Flask:
    """Return a WSGI application that enrols whoever asks.

    Whether a device is one person's phone is for its operator to find out: put an attestation service in front.

    Args:
        authority: that vouches.
        days: until credentials expire.
        rates: of requests.
    """
    app = Flask("fedkey-desk", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _REQUEST_BYTES
    limits = Limits(rates)

    @app.post("/v1/enrol")
    def enrol() -> Response:
        limits.check_address(request.remote_addr or "")
        return Response(authority.enrol(request.get_data(), days).to_bytes(), content_type="application/octet-stream")

    @app.errorhandler(FederationError)
    def refused(error: FederationError) -> tuple[dict[str, str], int]:
        status = 429 if isinstance(error, TooManyError) else 403 if isinstance(error, CredentialError) else 500
        return {"error": str(error)}, status

    return app
