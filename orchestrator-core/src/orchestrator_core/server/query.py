"""Reading what stands in the path and the query."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from aiohttp import web

from orchestrator_core.provider_api import InvalidRequest, NotFound
from orchestrator_core.server.endpoint import Parameter

MAX_OFFSET = 2**53
"""The largest offset: what JSON can say exactly."""

_SESSION_ID = re.compile(r"sess_[0-9a-f]{32}")

SESSION_ID = Parameter(
    name="id",
    place="path",
    description="The session.",
    schema={"type": "string", "examples": ["sess_019a7c3e51f20a1b2c3d4e5f60718293"]},
    required=True,
)
OFFSET = Parameter(
    name="offset",
    place="query",
    description="How many to skip.",
    schema={"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0},
)


def limit_parameter(default: int, maximum: int) -> Parameter:
    """Return the documentation of a `limit`."""
    return Parameter(
        name="limit",
        place="query",
        description="How many at most.",
        schema={"type": "integer", "minimum": 1, "maximum": maximum, "default": default},
    )


def checked_session_id(text: str, param: str = "session_id") -> str:
    """Return a session's id if it can be one; no other text reaches the store.

    Args:
        text: The id.
        param: Where the client wrote it.

    Raises:
        NotFound: It has not the form of an id: there is no such session.
    """
    if not _SESSION_ID.fullmatch(text):
        raise NotFound("There is no session with this id.", param=param)
    return text


def session_id(request: web.Request) -> str:
    """Return the session's id in the path.

    Raises:
        NotFound: As for `checked_session_id`.
    """
    return checked_session_id(request.match_info["id"])


def integer(request: web.Request, name: str, *, default: int, minimum: int, maximum: int) -> int:
    """Return a whole number of the query.

    Raises:
        InvalidRequest: It is none, or out of range.
    """
    text = request.query.get(name)
    if text is None:
        return default
    if re.fullmatch(r"[0-9]{1,16}", text) and minimum <= int(text) <= maximum:
        return int(text)
    raise InvalidRequest(f"{name} must be a whole number from {minimum} to {maximum}.", param=name)


def time_text(moment: datetime) -> str:
    """Return a time in ISO 8601, UTC, with `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
