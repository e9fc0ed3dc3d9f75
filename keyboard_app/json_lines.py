"""The keyboard without a screen: JSON lines in and out, so that any other keyboard can be put in front of it.

docs/suggest.md describes the protocol. Every line is answered by one line, in order; a line that is no request is
answered with an error, and nothing else happens.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from federation.protocol.model_codec import SharedKind
from keyboard_app.phone import Phone
from keyboard_app.status import Status
from model.suggestions import Suggestion

PROTOCOL = 1
MAX_CHARACTERS = 100_000
"""A longer line is refused."""

_SECONDS = 5.0  # for an answer, before it is said that there is none yet


class RequestError(ValueError):
    """A line that is no request; the message is one sentence that says why."""


class JsonLines:
    """Answers lines.

    Args:
        phone: that suggests and learns.
    """

    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self._does: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "suggest": self._suggest,
            "learn": self._learn,
            "forget": self._forget,
            "consent": self._consent,
            "incognito": self._incognito,
            "status": self._status,
        }

    def answers(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the answer to each line, without a line break; blank lines get none."""
        for line in lines:
            if line.strip():
                yield json.dumps(self.answer(line), ensure_ascii=False)

    def answer(self, line: str) -> dict[str, Any]:
        """Return the answer to one line."""
        request: dict[str, Any] = {}
        try:
            request = _parsed(line)
            answer = self._does[_text(request, "do", self._does)](request)
        except RequestError as error:
            answer = {"error": str(error)}
        return ({"id": request["id"]} if "id" in request else {}) | answer

    def _suggest(self, request: dict[str, Any]) -> dict[str, Any]:
        offer = self._phone.answer(_text(request, "before"), _text(request, "typed"), _SECONDS)
        if offer is None:
            raise RequestError("the model is still being read: ask again")
        return {
            "strip": [_plain(suggestion) for suggestion in offer.suggestions],
            "correction": None if offer.correction is None else _plain(offer.correction),
        }

    def _learn(self, request: dict[str, Any]) -> dict[str, Any]:
        text = _text(request, "text")
        if self._phone.settings.consent is not True:
            return {"learned": False, "because": "the owner has not agreed"}
        if self._phone.settings.incognito:
            return {"learned": False, "because": "the keyboard is incognito"}
        if not text.strip():
            return {"learned": False, "because": "there is nothing in it"}
        self._phone.learn(text)
        return {"learned": True}

    def _forget(self, request: dict[str, Any]) -> dict[str, Any]:
        self._phone.forget(_text(request, "word"))
        return {"done": True}

    def _consent(self, request: dict[str, Any]) -> dict[str, Any]:
        self._phone.agree(_switch(request, "agree"))
        return {"done": True}

    def _incognito(self, request: dict[str, Any]) -> dict[str, Any]:
        self._phone.go_incognito(on=_switch(request, "on"))
        return {"done": True}

    def _status(self, _: dict[str, Any]) -> dict[str, Any]:
        self._phone.settle(_SECONDS)
        status = self._phone.status()
        messages, words = status.logged
        return {
            "protocol": PROTOCOL,
            "profile": status.profile,
            "consent": status.consent,
            "incognito": self._phone.settings.incognito,
            "activity": status.activity,
            "problem": status.problem,
            "model": _in_use(status, "model"),
            "counts": _in_use(status, "counts"),
            "messages": messages,
            "words": words,
            "rounds": len(status.rounds),
            "epsilon": status.budget.spent if math.isfinite(status.budget.spent) else None,
        }


def _in_use(status: Status, kind: SharedKind) -> int | None:
    """Return the version of the weights or counts that predicts; None if there is none."""
    return next((model.version for model in status.models if model.kind == kind and model.in_use), None)


def _parsed(line: str) -> dict[str, Any]:
    if len(line) > MAX_CHARACTERS:
        raise RequestError(f"a line has at most {MAX_CHARACTERS} characters")
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError("a line must be one JSON object") from error
    if not isinstance(request, dict):
        raise RequestError("a line must be one JSON object")
    return request


def _text(request: dict[str, Any], name: str, choices: Iterable[str] = ()) -> str:
    value = request.get(name)
    if not isinstance(value, str) or (choices and value not in choices):
        wanted = f"one of {', '.join(choices)}" if choices else "text"
        raise RequestError(f'"{name}" must be {wanted}')
    return value.encode(errors="ignore").decode()  # half a surrogate pair is no character


def _switch(request: dict[str, Any], name: str) -> bool:
    value = request.get(name)
    if not isinstance(value, bool):
        raise RequestError(f'"{name}" must be true or false')
    return value


def _plain(suggestion: Suggestion) -> dict[str, Any]:
    return {
        "text": suggestion.text,
        "probability": suggestion.probability,
        "origin": suggestion.origin.value,
    }
