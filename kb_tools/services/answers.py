"""JSON answers, read strictly: what is no answer is an error that says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from kb_tools.errors import KbError, NetworkError
from kb_tools.services.transport import BusyError, Reply

T = TypeVar("T", dict[str, Any], list[Any])


class Unlisted(KbError):
    """A service answered, and does not know the work or has no list of what it cites."""

    exit_code = 3


def read_json(reply: Reply, name: str, shape: type[T]) -> T:
    """The JSON of an answer.  Raises Unlisted for a 404, NetworkError for whatever is not a whole `shape`."""
    if reply.status == 404:
        raise Unlisted(f"{name} does not know this work")
    if reply.status != 200:
        raise NetworkError(f"{name} answers HTTP {reply.status}: {_reason(reply)}", hint="try again later")
    if reply.kind != "application/json":
        what = "a web page" if reply.kind == "text/html" else reply.kind or "no content type"
        raise NetworkError(f"{name} answers with {what} instead of JSON: {reply.excerpt()}", hint="try again later")
    try:
        data = json.loads(reply.body)
    except (ValueError, RecursionError):
        raise BusyError(f"{name} sends broken JSON: cut off on the way?", hint="try again later") from None
    if not isinstance(data, shape):
        raise NetworkError(f"{name} sends JSON of another shape: {reply.excerpt()}", hint="try again later")
    return data


def listing(data: Mapping[str, Any], field: str, name: str) -> list[Any]:
    """A field that must be a list."""
    value = data.get(field)
    if not isinstance(value, list):
        raise NetworkError(f"{name} sends an answer without {field}", hint="try again later")
    return value


def _reason(reply: Reply) -> str:
    """What the service says of an error: under `error`, or under `message`, or the body itself."""
    try:
        data = json.loads(reply.body)
    except (ValueError, RecursionError):
        return reply.excerpt()
    words = (data.get("error") or data.get("message")) if isinstance(data, dict) else None
    return str(words)[:200] if words else reply.excerpt()
