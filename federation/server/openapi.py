"""The endpoints of `federation.server.api` as OpenAPI 3.1, with the schemas of JSON bodies, and as tables.

    python -m federation.server.openapi

writes `openapi.json` anew.
"""

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from federation.protocol import versions
from federation.protocol.drop_reasons import MAX_CODE_CHARACTERS, DeviceEvent
from federation.server.api import BINARY, DESK, ENDPOINTS, PHONE_DOES, Endpoint
from model import files

OPENAPI = Path(str(resources.files("federation.server") / "openapi.json"))

_KEY = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_VERSIONS = {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 32}
_TEXT = {"type": "string"}


def _object(properties: Mapping[str, Any], *, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
    }


def _closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {**_object(properties), "additionalProperties": False}


SCHEMAS = {
    "Error": _closed({"error": {"type": "string", "description": "One sentence: what is wrong and what to do."}}),
    "Health": _closed({"status": {"const": "ok"}}),
    "OpenApi": {"type": "object"},
    "Server": _closed(
        {
            "protocols": {**_VERSIONS, "description": "Versions of the protocol that the server speaks."},
            "server_key": _KEY,
            "authority_key": _KEY,
            "vocabulary": _TEXT,
            "dimension": {"type": "integer", "minimum": 1},
            "enrolment_url": {"type": "string", "description": "Where devices enrol; empty if elsewhere."},
            "time": {"type": "number", "description": "Seconds since 1970."},
        }
    ),
    "Model": _closed(
        {
            "version": {"type": "integer", "minimum": 1},
            "sha256": _KEY,
            "signature": {"type": "string", "pattern": "^[0-9a-f]{128}$"},
        }
    ),
    "LogHead": _closed(
        {
            "head": _closed(
                {
                    "instance": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
                    "size": {"type": "integer", "minimum": 0},
                    "root": _KEY,
                    "rounds": {"type": "integer", "minimum": 0},
                    "unnoised": {"type": "integer", "minimum": 0},
                    "rho": {"type": "number", "minimum": 0},
                }
            ),
            "signature": {"type": "string", "pattern": "^[0-9a-f]{128}$"},
        }
    ),
    "CheckIn": _object(
        {
            "conditions": _object({name: {"type": "boolean"} for name in ("idle", "charging", "unmetered")}),
            "protocols": {**_VERSIONS, "description": f"That the phone speaks; [{versions.FIRST}] if it names none."},
        },
        optional=("protocols",),
    ),
    "CheckedIn": _closed(
        {
            "round_id": {"type": ["integer", "null"], "minimum": 1},
            "retry_after_seconds": {"type": "number", "minimum": 0},
            "reason": {"type": "string", "description": "Why there is no round, for the owner."},
        }
    ),
    "Event": _object(
        {
            "event": {"enum": [event.value for event in DeviceEvent]},
            "reason": {"type": "string", "pattern": f"^[a-z_]{{0,{MAX_CODE_CHARACTERS}}}$"},
        }
    ),
}
"""Of JSON bodies. What phones send may have more members, which a server leaves alone; its answers have no others."""

_PARAMETERS = {
    "round_id": ("path", {"type": "integer", "minimum": 0}),
    "first": ("path", {"type": "integer", "minimum": 0}),
    "what": ("path", {"type": "string", "enum": ["models", "means", "states"]}),
    "sha256": ("path", {"type": "string"}),
    "old": ("path", {"type": "string"}),
}
_HEADERS = ("Fedkey-Credential", "Fedkey-Time", "Fedkey-Nonce", "Fedkey-Content-SHA256", "Fedkey-Signature")


def openapi() -> dict[str, Any]:
    """Return the description of both services in OpenAPI 3.1."""
    paths: dict[str, Any] = {}
    for endpoint in (*ENDPOINTS, *DESK):
        item = paths.setdefault(endpoint.path, {})
        item[endpoint.method] = _operation(endpoint)
        if endpoint in DESK:
            item["servers"] = [{"url": "/", "description": "The enrolment service: `enrolment_url` of the app."}]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fedkey round server",
            "version": str(versions.SPOKEN[-1]),
            "description": "Federated rounds with secure aggregation; docs/protocol.md has the bytes of bodies, and "
            "how requests are signed. `x-phone` is what a phone does about an answer.",
        },
        "security": [{name: [] for name in _HEADERS}],
        "paths": paths,
        "components": {
            "securitySchemes": {name: {"type": "apiKey", "in": "header", "name": name} for name in _HEADERS},
            "schemas": SCHEMAS,
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    names = [part[1:-1] for part in endpoint.path.split("/") if part.startswith("{")]
    parameters = [
        {"name": name, "in": _PARAMETERS[name][0], "required": True, "schema": _PARAMETERS[name][1]} for name in names
    ]
    if 206 in endpoint.answers:
        parameters += [
            {"name": name, "in": "header", "required": False, "schema": _TEXT} for name in ("Range", "If-None-Match")
        ]
    operation: dict[str, Any] = {"operationId": endpoint.name, "summary": endpoint.summary}
    if parameters:
        operation["parameters"] = parameters
    if endpoint.asks:
        operation["requestBody"] = {"required": True, "content": _content(endpoint.asks)}
    if not endpoint.signed:
        operation["security"] = []
    operation["responses"] = {
        str(status): _response(endpoint, status, meaning) for status, meaning in sorted(endpoint.answers.items())
    }
    return operation


def _response(endpoint: Endpoint, status: int, meaning: str) -> dict[str, Any]:
    response: dict[str, Any] = {"description": meaning, "x-phone": endpoint.action(status)}
    if status in {425, 429, 503}:
        response["headers"] = {"Retry-After": {"schema": {"type": "integer", "minimum": 0}}}
    if status >= 400:
        response["content"] = _content("Error")
    elif status in {200, 206} and endpoint.gives:
        response["content"] = _content(endpoint.gives)
    return response


def _content(what: str) -> dict[str, Any]:
    if what == BINARY:
        return {BINARY: {"schema": {"type": "string", "format": "binary"}}}
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{what}"}}}


def tables() -> str:
    """Return the tables of `docs/protocol.md`: what a phone does, and every endpoint with every status."""
    lines = ["| a phone does | |", "|---|---|"]
    lines += [f"| {action} | {what} |" for action, what in PHONE_DOES.items()]
    for endpoint in (*ENDPOINTS, *DESK):
        signed = "signed" if endpoint.signed else "not signed"
        lines += ["", f"`{endpoint.method.upper()} {endpoint.path}`, {signed}. {endpoint.summary}", ""]
        lines += ["| status | meaning | a phone does |", "|---|---|---|"]
        lines += [
            f"| {status} | {meaning} | {endpoint.action(status)} |"
            for status, meaning in sorted(endpoint.answers.items())
        ]
    return "\n".join(lines) + "\n"


def to_json() -> str:
    """Return what is in `openapi.json`."""
    return json.dumps(openapi(), indent=1) + "\n"


if __name__ == "__main__":
    files.write(OPENAPI, to_json())
