"""Reading request bodies: one way, for every surface."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar

from aiohttp import HttpVersion11, web
from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator_core.provider_api import (
    InvalidRequest,
    Json,
    PayloadTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)
from orchestrator_core.server.context import CONTEXT, RequestContext
from orchestrator_core.server.json_text import parse

JSON = "application/json"

_INSTEAD: Final[Mapping[str, str]] = {
    "application/x-ndjson": " Files of any size are imported by `orchestrator sessions import`; over HTTP the operator "
    "may raise ORCHESTRATOR_MAX_REQUEST_BYTES."
}
"""What to do about a body that is too large, by its type."""

_REMEMBERED_TYPES = 64
_SHOWN_PROBLEMS = 5
_ADDED, _MISSING = 2, 3
"""How badly a step fits that is not in the body: one that pydantic added, and a field that is missing."""

_NOWHERE: Final = object()

M = TypeVar("M", bound=BaseModel)


class RequestModel(BaseModel):
    """The base of request bodies: JSON types are not converted, and unknown fields are refused by name."""

    # `make_app` builds those that bodies are checked by, and what these are made of is built within them.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


async def read_bytes(
    request: web.Request, max_bytes: int | None = None, *, media_types: Sequence[str] = (JSON,)
) -> bytes:
    """Read a body as it came.

    Args:
        request: The request.
        max_bytes: The largest body; the configured limit where None.
        media_types: What it may be, the proper one first.

    Raises:
        PayloadTooLarge: It is larger.
        RequestTimeout: The client was too slow.
        UnsupportedMediaType: It is compressed, or of another type, or not in UTF-8.
        InvalidRequest: The transfer broke.
        Overloaded: The bodies of all requests together are too large.
    """
    context = request[CONTEXT]
    if context.body is not None:
        return context.body
    limit = context.settings.max_request_bytes if max_bytes is None else max_bytes
    patience = context.settings.client_body_timeout
    encoding = request.headers.get("Content-Encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        raise UnsupportedMediaType("Send the body without Content-Encoding.", param="Content-Encoding")
    _check_framing(request)
    if not request.body_exists:
        return b""
    _check_type(request.headers.get("Content-Type", ""), tuple(media_types))
    if (request.content_length or 0) > limit:
        raise _too_large(limit, media_types[0])
    content = request.content
    chunks: list[bytes] = []
    size = 0
    try:
        if content.is_eof():  # most bodies come with their head
            chunks.append(content.read_nowait())
            size = _held(context, chunks[0])
        else:
            with context.record.waited:
                async with asyncio.timeout(patience):
                    while size <= limit and (chunk := await content.readany()):
                        size += _held(context, chunk)
                        chunks.append(chunk)
                    if (broken := content.exception()) is not None:
                        raise broken
    except TimeoutError:
        raise RequestTimeout(f"The body did not arrive within {patience:g} seconds.") from None
    except web.RequestPayloadError:
        raise InvalidRequest("The body broke off or was framed wrongly.") from None
    if size > limit:
        raise _too_large(limit, media_types[0])
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _held(context: RequestContext, chunk: bytes) -> int:
    if context.burden is not None:
        context.burden.hold(len(chunk))
    return len(chunk)


async def read_json(request: web.Request, max_bytes: int | None = None) -> dict[str, Json]:
    """Read a body that is a JSON object.

    Raises:
        RequestError: As for `read_bytes`, or the JSON is not what `json_text.parse` takes, or no object.
    """
    value = parse(await read_bytes(request, max_bytes))
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object.", param="$")
    return value


async def read_model(request: web.Request, model: type[M], max_bytes: int | None = None) -> M:
    """Read a body as a model. No body at all counts as `{}` where every field of the model is optional.

    Raises:
        RequestError: As for `read_json`, or the model refuses it; `param` is the path of the first field
            at fault.
    """
    data = await read_bytes(request, max_bytes)
    if not data and not any(field.is_required() for field in model.model_fields.values()):
        return validate(model, {})
    value = parse(data)
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object.", param="$")
    return validate(model, value)


def validate(model: type[M], value: Mapping[str, Json]) -> M:
    """Check parsed JSON against a model.

    Raises:
        InvalidRequest: It does not fit. The message names fields and what they take, never what was sent.
    """
    try:
        return model.model_validate(value)
    except ValidationError as problem:
        found = problem.errors(include_url=False, include_context=True, include_input=False)
    # Outside the except block, so that the error, which holds the input, is not kept as the context of ours.
    problems: dict[str, list[Any]] = {}
    for error in found:
        problems.setdefault(_path(value, error["loc"]), []).append(error)
    # Of a union, the member that the value nearly is says most; the others only say that it is not theirs.
    paths = [path for path in problems if not any(other.startswith(f"{path}.") for other in problems)]
    text = "; ".join(f"{path}: {_messages(problems[path])}" for path in paths[:_SHOWN_PROBLEMS])
    more = len(paths) - _SHOWN_PROBLEMS
    raise InvalidRequest(f"{text}{f'; and {more} more' if more > 0 else ''}."[:1000], param=paths[0])


def _messages(errors: Sequence[Any]) -> str:
    """Say what is wrong with one field: the members of a union say it each, those of another type without weight."""
    near = [error for error in errors if not error["type"].endswith("_type")] or errors
    return ", or ".join(dict.fromkeys(map(_message, near)))


def _message(error: Any) -> str:
    if error["type"] == "union_tag_invalid":
        return f"'{error['ctx']['discriminator'].strip(chr(39))}' must be one of {error['ctx']['expected_tags']}"
    if error["type"] == "extra_forbidden":
        return "unknown field"
    return str(error["msg"]).removeprefix("Value error, ").rstrip(".")


def _path(value: Json, location: Sequence[str | int]) -> str:
    """Return the path of a problem in the body; what pydantic adds, such as members of unions, is left out."""
    return ".".join(_walk(value, location)[1])[:200] or "$"


def _walk(here: Json, location: Sequence[str | int]) -> tuple[int, tuple[str, ...]]:
    """Return the names of a location that stand in the body, and how badly it fits: what pydantic adds fits nowhere.

    The tag of a union may be the name of a field as well (`{"type": "text", "text": ...}`): both are tried.
    """
    if not location:
        return 0, ()
    step, rest = location[0], location[1:]
    field = isinstance(here, dict) and isinstance(step, str)
    found: list[tuple[int, tuple[str, ...]]] = []
    inner = _NOWHERE
    if isinstance(here, dict):
        inner = here.get(step, _NOWHERE)
    elif isinstance(here, list) and isinstance(step, int) and step < len(here):
        inner = here[step]
    if inner is not _NOWHERE:
        misfit, names = _walk(inner, rest)
        found.append((misfit, (str(step), *names)))
    elif field and not rest:
        found.append((_MISSING, (str(step),)))
    if rest or not found:
        misfit, names = _walk(here, rest)
        # A problem is more often with a field than with what pydantic added last.
        found.append((misfit + (_ADDED if rest else _MISSING), names))
    return min(found, key=lambda each: each[0])


def _check_framing(request: web.Request) -> None:
    coding = request.headers.get("Transfer-Encoding")
    if coding is None:
        return
    # The parser takes any coding whose last one is chunked, and undoes that one alone.
    if coding.strip().lower() != "chunked":
        raise UnsupportedMediaType("The only Transfer-Encoding is chunked.", param="Transfer-Encoding")
    if request.version < HttpVersion11:  # RFC 9112, 6.1: a proxy of that time would not know where the body ends
        raise InvalidRequest("HTTP/1.0 has no Transfer-Encoding.", param="Transfer-Encoding")


@lru_cache(_REMEMBERED_TYPES)
def _check_type(header: str, media_types: tuple[str, ...]) -> None:
    kind, *parameters = (item.strip().lower() for item in header.split(";"))
    charsets = [item.partition("=")[2].strip().strip('"') for item in parameters if item.startswith("charset")]
    if kind not in media_types or any(charset not in ("utf-8", "utf8") for charset in charsets):
        what, proper = "JSON" if JSON in media_types else "the body, in UTF-8,", media_types[0]
        raise UnsupportedMediaType(f"Send {what} with the header Content-Type: {proper}.", param="Content-Type")


def _too_large(limit: int, media_type: str) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than {limit} bytes.{_INSTEAD.get(media_type, '')}")
