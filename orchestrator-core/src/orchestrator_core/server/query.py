"""Reading what stands in the path and the query, and making the cursors that clients send back."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable
from datetime import UTC, datetime

from aiohttp import web

from orchestrator_core.config.messages import nearest
from orchestrator_core.provider_api import InvalidRequest, NotFound
from orchestrator_core.server.endpoint import Parameter

MAX_OFFSET = 2**53
"""The largest offset: what JSON can say exactly."""

MAX_PLACE = 2**31 - 1
"""The largest place of a message in a session."""

_SHOWN = 64
_SESSION_ID = re.compile(r"sess_[0-9a-f]{32}")
_TURN_ID = re.compile(r"turn_[0-9a-f]{32}")
_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,200}")

SESSION_ID = Parameter(
    name="id",
    place="path",
    description="The session.",
    schema={"type": "string", "examples": ["sess_019a7c3e51f20a1b2c3d4e5f60718293"]},
    required=True,
)
TURN_ID = Parameter(
    name="turn_id",
    place="path",
    description="The turn.",
    schema={"type": "string", "examples": ["turn_019a7c3e51f30a1b2c3d4e5f60718293"]},
    required=True,
)
CURSOR = Parameter(
    name="cursor",
    place="query",
    description="Where to go on: `next_cursor` of the page before. However far it is, it takes the same time.",
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


def check_names(request: web.Request, parameters: Iterable[Parameter]) -> None:
    """Refuse a query that has a name which nothing reads: what it was to leave out would be there.

    Args:
        request: The request.
        parameters: What the endpoint takes. One that ends in `.name` stands for any name after the dot.

    Raises:
        InvalidRequest: It has one.
    """
    known = [parameter.name for parameter in parameters if parameter.place == "query"]
    prefixes = tuple(name.removesuffix("name") for name in known if name.endswith(".name"))
    for name in request.query:
        if name not in known and not (prefixes and name.startswith(prefixes)):
            takes = f"It takes {', '.join(known)}." if known else "It takes none."
            raise InvalidRequest(
                f"There is no query parameter {name[:_SHOWN]!r} here.{nearest(name, known)} {takes}",
                param=name[:_SHOWN],
            )


class NoId(ValueError):
    """A text that stands in the place of an id and cannot be one."""


def checked_session_id(text: str, param: str = "session_id") -> str:
    """Return a session's id if it can be one; no other text reaches the store.

    Args:
        text: The id.
        param: Where the client wrote it.

    Raises:
        NotFound: It has not the form of an id: there is no such session; the cause is `NoId`.
    """
    if not _SESSION_ID.fullmatch(text):
        raise NotFound("There is no session with this id.", param=param) from NoId(text)
    return text


def session_id(request: web.Request) -> str:
    """Return the session's id in the path.

    Raises:
        NotFound: As for `checked_session_id`.
    """
    return checked_session_id(request.match_info["id"])


def turn_id(request: web.Request) -> str:
    """Return the turn's id in the path.

    Raises:
        NotFound: It has not the form of an id: there is no such turn; the cause is `NoId`.
    """
    text = request.match_info["turn_id"]
    if not _TURN_ID.fullmatch(text):
        raise NotFound("There is no turn with this id.", param="turn_id") from NoId(text)
    return text


def make_cursor(kind: str, *values: str | int) -> str:
    """Return a cursor: where a list of a kind goes on."""
    text = "|".join(map(str, (kind, *values)))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(request: web.Request, kind: str) -> list[str] | None:
    """Return the values of the cursor in the query; None where there is none.

    Raises:
        InvalidRequest: It is none of this kind of list, or an offset stands beside it.
    """
    text = request.query.get("cursor")
    if text is None:
        return None
    if "offset" in request.query:
        raise InvalidRequest("Send either cursor or offset.", param="cursor")
    found: list[str] = []
    if _CURSOR.fullmatch(text):
        try:
            found = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split("|")
        except (NotBase64, UnicodeDecodeError):
            found = []
    if not found or found[0] != kind:
        raise bad_cursor()
    return found[1:]


def bad_cursor() -> InvalidRequest:
    """Return the error of a cursor that no list gave."""
    return InvalidRequest("The cursor is none of this list: send next_cursor as it was given.", param="cursor")


def read_place(request: web.Request, kind: str) -> int:
    """Return the place that the cursor in the query names; 0, the beginning, where there is none.

    Raises:
        InvalidRequest: As for `read_cursor`.
    """
    values = read_cursor(request, kind)
    if values is None:
        return 0
    if len(values) != 1 or not re.fullmatch(r"[0-9]{1,10}", values[0]):
        raise bad_cursor()
    return min(int(values[0]), MAX_PLACE)


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
