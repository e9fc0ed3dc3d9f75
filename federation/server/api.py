"""Every endpoint of a round server and of the enrolment service, and every answer with what it means.

`federation.server.openapi` writes `openapi.json` and the tables of `docs/protocol.md` from it. Tests hold both, and the
real routes and their real answers, against what is said here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

BINARY = "application/octet-stream"

PHONE_DOES = {
    "go on": "It goes on.",
    "wait": "It asks again after Retry-After seconds, or one second, for as long as the round can last.",
    "again": "It sends the same bytes again after Retry-After seconds; if none are named after 2, 4, 8 and up to 60.",
    "clock": "It takes over the time in Fedkey-Time, signs and sends once more if that differs by more than 150 s "
    "from what it signed; otherwise it asks the authority for a certificate of the present epoch, "
    "if this was a check-in; otherwise as `leave`.",
    "leave": "It wipes the round's secrets, and checks in again after about 30 s; if it refused the current model "
    "after a check-in without a round, not before that said.",
    "whole": "It goes on with what it has, or fetches the whole model in place of a difference.",
}
"""What a phone does about an answer."""

Action = Literal["go on", "wait", "again", "clock", "leave", "whole"]


@dataclass(frozen=True)
class Endpoint:
    """One method of one path.

    Attributes:
        method, path: as OpenAPI has them.
        name: unique.
        summary: what it is for.
        answers: meaning of each status.
        signed: whether the device signs the request.
        asks: schema of a JSON body, or `BINARY`; empty without a body.
        gives: schema of a JSON answer, or `BINARY`; empty without a body.
    """

    method: Literal["get", "post"]
    path: str
    name: str
    summary: str
    answers: Mapping[int, str]
    signed: bool = True
    asks: str = ""
    gives: str = ""

    def action(self, status: int) -> Action:
        """Return what a phone does about a status of this endpoint."""
        if status < 300:
            return "go on"
        if status in {304, 416} or (status == 404 and 416 in self.answers):
            return "whole"
        if status == 401 and self.signed:
            return "clock"
        if status == 425:
            return "wait"
        return "again" if status in {429, 500, 503} else "leave"


_ANYWHERE = {429: "The address asks too often.", 500: "The server failed; its log says more."}
_STORED = {503: "The database or the blob store does not answer; nothing was accepted."}
_SIGNED = {
    401: "A header is missing or damaged, the signature does not verify, it was made at another time, or the "
    "credential has expired, is another authority's, or was revoked.",
    429: "The device or its address asks too often.",
    500: _ANYWHERE[500],
    503: "The database, the blob store or the list of revoked devices cannot be read; nothing was accepted.",
}
_BODY = {
    400: "The body is not the one that was signed, or its length is not said.",
    413: "The body is larger than this request can be.",
}
_NO_CONFLICT: dict[int, str] = {}
"""There is one message that a device can sign in the step of confirmations."""

_NO_ROUND = {404: "There is no such round."}
_REPLAYED = {409: "A request with this nonce was made before: it counts once."}


def _public(path: str, name: str, summary: str, gives: str, answers: Mapping[int, str]) -> Endpoint:
    return Endpoint("get", path, name, summary, {**answers, **_ANYWHERE}, signed=False, gives=gives)


def _step(step: str, summary: str, *, first: bool = False) -> Endpoint:
    early = {} if first else {425: "The step before is still open."}
    others = "another plan" if first else "another plan, model or roster"
    answers = {
        204: "Stored: it counts. The same bytes again are answered so too, and count once.",
        **_BODY,
        403: "The device was not selected for this round, or another device signed the message."
        if first
        else "Another device signed the message.",
        **_NO_ROUND,
        **(_NO_CONFLICT if step == "confirm" else {409: "The device sent something else before; the first stands."}),
        410: "The step is over or the round was abandoned"
        + ("." if first else ", the phone missed an earlier step, or its group has lost too many."),
        412: f"The message was made for {others}.",
        422: "The message has another size, version, kind, sender or contents than it can have, or its signature "
        "does not verify.",
        **early,
        **_SIGNED,
    }
    return Endpoint("post", f"/v1/rounds/{{round_id}}/{step}", step, summary, answers, asks=BINARY)


def _awaited(name: str, summary: str, step: str, missed: str) -> Endpoint:
    answers = {
        200: "The message.",
        **_NO_ROUND,
        410: f"The round was abandoned, {missed}, or its group has lost too many phones.",
        425: f"`{step}` is still open.",
        **_SIGNED,
    }
    return Endpoint("get", f"/v1/rounds/{{round_id}}/{name}", name, summary, answers, gives=BINARY)


def _download(
    path: str, name: str, summary: str, missing: str = "There are no such weights, or no longer."
) -> Endpoint:
    answers = {
        200: "All of it; ETag is a strong one.",
        206: "The range that was asked for.",
        304: "What the phone has is right (If-None-Match).",
        404: missing + (" Or the two are not of one size." if name == "difference" else ""),
        416: "The range begins beyond the end.",
        **_SIGNED,
    }
    return Endpoint("get", path, name, summary, answers, gives=BINARY)


ENDPOINTS = (
    _public(
        "/healthz",
        "health",
        "Whether phones can be served.",
        "Health",
        {200: "They can.", 404: "There is no model yet.", **_STORED},
    ),
    _public("/openapi.json", "openapi", "This description.", "OpenApi", {200: "The description."}),
    _public("/v1/server", "server", "What the server says of itself.", "Server", {200: "Its account."}),
    _public(
        "/v1/log",
        "logHead",
        "The head of the log, and what all rounds cost a phone that was in each, signed by the server.",
        "LogHead",
        {200: "The head.", **_STORED},
    ),
    _public(
        "/v1/log/{first}",
        "log",
        "The log from an entry on, 1000 entries at most: each is its length u16 little-endian, and JSON.",
        BINARY,
        {200: "The entries; none beyond the end.", 404: "No log has so many entries.", **_STORED},
    ),
    _public(
        "/v1/log/rounds/{round_id}",
        "roundOfLog",
        "A round's plan, its signature, and the task, for anyone.",
        BINARY,
        {200: "They.", **_NO_ROUND, **_STORED},
    ),
    _public(
        "/v1/log/{what}/{sha256}",
        "published",
        "Weights, means of deltas and states of the server optimizer, by the hashes that the log has, for anyone.",
        BINARY,
        {
            200: "All of it; ETag is a strong one.",
            206: "The range that was asked for.",
            304: "What was fetched before is right (If-None-Match).",
            404: "There is none with this hash, or no longer.",
            416: "The range begins beyond the end.",
            **_STORED,
        },
    ),
    _public(
        "/v1/models/current",
        "currentModel",
        "Version, hash and signature of the model that is trained.",
        "Model",
        {200: "The version.", 404: "There is none yet.", **_STORED},
    ),
    _public(
        "/v1/counts/current",
        "currentCounts",
        "Version, hash and signature of what counting rounds counted.",
        "Model",
        {200: "The version.", 404: "This server has no counting rounds.", **_STORED},
    ),
    Endpoint(
        "post",
        "/v1/check-in",
        "checkIn",
        "Ask for a round; the answer is one, or when to come back.",
        {
            200: "A round, or a time.",
            400: "The body is not the one that was signed, its length is not said, or it is no check-in.",
            **_REPLAYED,
            413: _BODY[413],
            **_SIGNED,
        },
        asks="CheckIn",
        gives="CheckedIn",
    ),
    Endpoint(
        "get",
        "/v1/rounds/{round_id}/plan",
        "plan",
        "The plan, its signature, and the task, one behind the other.",
        {200: "They.", **_NO_ROUND, **_SIGNED},
        gives=BINARY,
    ),
    _step("advertise", "Kind 1: the device's keys for this round.", first=True),
    _awaited("roster", "Kind 2: the phones of the device's group.", "advertise", "the device did not join it"),
    _awaited(
        "cohort",
        "The opened nonce of the groups, and who joined the round, in all of its groups.",
        "advertise",
        "the device did not join it",
    ),
    _step("share", "Kind 3: encrypted shares for the others."),
    _awaited("inbox", "Kind 4: what the others dealt to the device.", "share", "the device dealt no shares"),
    Endpoint(
        "post",
        "/v1/rounds/{round_id}/complaint",
        "complaint",
        "Kind 10: which phones dealt the device shares that are not authentic. It leaves the round then.",
        {
            204: "Stored. The same again is answered so too, and counts once.",
            **_BODY,
            403: "Another device signed the message.",
            **_NO_ROUND,
            410: "The round was abandoned, the device dealt no shares itself, or its group has lost too many phones.",
            412: "The message was made for another plan, model or roster.",
            422: "The message has another size, version, kind, sender or contents than it can have, or its signature "
            "does not verify.",
            425: "`share` is still open.",
            **_SIGNED,
        },
        asks=BINARY,
    ),
    _step("upload", "Kind 5: the masked update."),
    _awaited("survivors", "Kind 6: who of the group uploaded.", "upload", "the device did not join it"),
    _step("confirm", "Kind 7: the device signs who survived."),
    _awaited("signatures", "Kind 8: who signed the survivors.", "confirm", "the device did not join it"),
    _step("unmask", "Kind 9: one share of each phone that dealt any."),
    Endpoint(
        "post",
        "/v1/rounds/{round_id}/events",
        "report",
        "What the device says of itself: one of five events with a reason code. It may say nothing.",
        {
            204: "Stored.",
            400: "The body is not the one that was signed, its length is not said, or it is no event.",
            403: "The device was not selected for this round.",
            **_NO_ROUND,
            **_REPLAYED,
            413: _BODY[413],
            **_SIGNED,
        },
        asks="Event",
    ),
    _download(
        "/v1/revoked/{sha256}",
        "revoked",
        "The authority's signed list of revoked devices that a task names.",
        "There is no such list.",
    ),
    _download("/v1/models/{sha256}", "model", "The weights with a hash."),
    _download("/v1/models/{sha256}/from/{old}", "difference", "What turns the weights of `old` into these."),
)
"""Of a round server."""

DESK = (
    Endpoint(
        "post",
        "/v1/enrol",
        "enrol",
        "Certify a pseudonym of a device for the current epoch.",
        {
            200: "The credential.",
            403: "The request is damaged, an id has another key, the device has another pseudonym in this epoch, "
            "or it was revoked.",
            413: "The body is larger than a request can be.",
            **_ANYWHERE,
        },
        signed=False,
        asks=BINARY,
        gives=BINARY,
    ),
)
"""Of an enrolment service."""
