"""Sessions: make, read, find, change, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from aiohttp import web
from pydantic import Field

from orchestrator_core.provider_api import InvalidRequest, NotFound, StorageError
from orchestrator_core.server.body import RequestModel, read_model
from orchestrator_core.server.context import gateway, principal, tell_session
from orchestrator_core.server.endpoint import Described, Endpoint, Parameter
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.json_answer import json_response
from orchestrator_core.server.metadata import Metadata
from orchestrator_core.server.query import (
    CURSOR,
    MAX_OFFSET,
    OFFSET,
    SESSION_ID,
    bad_cursor,
    checked_session_id,
    integer,
    limit_parameter,
    make_cursor,
    read_cursor,
    session_id,
)
from orchestrator_core.server.routes.session_bodies import MAX_USER_ID, SESSION_EXAMPLE, SessionBody, session_body
from orchestrator_core.sessions.models import SessionFilter, SessionStatus

MAX_SESSIONS = 100
MAX_LABELS = 8
_ID_PATTERN = "{id:(?!import$)[^/]+}"
"""`import` is a resource of its own."""

_STATUSES: Mapping[str, SessionStatus] = {"active": "active", "expired": "expired", "closed": "closed"}


class NewSessionBody(RequestModel):
    """A session to be made."""

    user_id: str | None = Field(default=None, max_length=MAX_USER_ID, description="A label of the caller.")
    metadata: Metadata | None = Field(default=None, description="The caller's own data.")


class SessionChangeBody(RequestModel):
    """What is to change of a session; what is left out stays."""

    metadata: Metadata | None = Field(default=None, description="Replaces the caller's data.")
    status: Literal["closed"] | None = Field(default=None, description="`closed` ends the session.")


class SessionPageBody(Described):
    """Sessions, newest first."""

    sessions: list[SessionBody]
    has_more: bool
    next_cursor: str | None


async def create(request: web.Request) -> web.Response:
    """Make a session."""
    body = await read_model(request, NewSessionBody)
    session = await gateway(request).store.create_session(
        principal(request).tenant, user_id=body.user_id, metadata=body.metadata
    )
    gateway(request).metrics.sessions_created.inc()
    tell_session(request, session.id)
    return json_response(session_body(session), status=201)


async def read(request: web.Request) -> web.Response:
    """Read a session."""
    session = await gateway(request).store.get_session(principal(request).tenant, session_id(request))
    return json_response(session_body(session))


async def page(request: web.Request) -> web.Response:
    """Read a page of sessions."""
    sessions = await gateway(request).store.list_sessions(
        principal(request).tenant,
        limit=integer(request, "limit", default=20, minimum=1, maximum=MAX_SESSIONS),
        offset=integer(request, "offset", default=0, minimum=0, maximum=MAX_OFFSET),
        matching=_filter(request),
        after=_after(request),
    )
    last = sessions.items[-1] if sessions.has_more else None
    return json_response(
        {
            "sessions": [session_body(session) for session in sessions.items],
            "has_more": sessions.has_more,
            "next_cursor": make_cursor("sessions", last.created_at.isoformat(), last.id) if last else None,
        }
    )


def _filter(request: web.Request) -> SessionFilter:
    text = request.query.get("status")
    status = _STATUSES.get(text or "")
    if text is not None and status is None:
        raise InvalidRequest("status must be active, expired or closed.", param="status")
    metadata: dict[str, str] = {}
    for param, value in request.query.items():
        prefix, dot, name = param.partition(".")
        if prefix != "metadata" or not dot:
            continue
        if metadata.setdefault(name, value) != value:
            raise InvalidRequest("A name of the metadata has one value: send it once.", param=param)
    if len(metadata) > MAX_LABELS:
        raise InvalidRequest(f"Send at most {MAX_LABELS} names of the metadata.", param="metadata")
    return SessionFilter(user_id=request.query.get("user_id"), metadata=metadata, status=status)


def _after(request: web.Request) -> tuple[datetime, str] | None:
    values = read_cursor(request, "sessions")
    if values is None:
        return None
    try:
        moment, known = values
        return datetime.fromisoformat(moment).astimezone(UTC), checked_session_id(known)
    except (ValueError, NotFound, OverflowError):
        raise bad_cursor() from None


async def update(request: web.Request) -> web.Response:
    """Change a session."""
    known = session_id(request)
    body = await read_model(request, SessionChangeBody)
    session = await gateway(request).store.update_session(
        principal(request).tenant, known, metadata=body.metadata, status=body.status
    )
    return json_response(session_body(session))


async def delete(request: web.Request) -> web.Response:
    """Delete a session."""
    await gateway(request).store.delete_session(principal(request).tenant, session_id(request))
    return web.Response(status=204)


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="POST",
        path="/api/sessions",
        handler=create,
        summary="Make a session",
        tag="Sessions",
        surface=Surface.API,
        request=NewSessionBody,
        response=SessionBody,
        status=201,
        errors=(StorageError,),
        request_examples={"labelled": {"user_id": "ada", "metadata": {"topic": "engines"}}},
        response_example=SESSION_EXAMPLE,
        idempotent=True,
    ),
    Endpoint(
        method="GET",
        path="/api/sessions",
        handler=page,
        summary="List sessions",
        tag="Sessions",
        surface=Surface.API,
        response=SessionPageBody,
        errors=(StorageError,),
        response_example={"sessions": [SESSION_EXAMPLE], "has_more": False, "next_cursor": None},
        parameters=(
            limit_parameter(20, MAX_SESSIONS),
            OFFSET,
            CURSOR,
            Parameter(name="user_id", place="query", description="Only those with this label.", words=True),
            Parameter(
                name="status",
                place="query",
                description="Only those that are so.",
                schema={"type": "string", "enum": ["active", "expired", "closed"]},
            ),
            Parameter(
                name="metadata.name",
                place="query",
                description="Only those whose metadata have this value for `name`, any name; several names must "
                "all match. Texts, numbers and truth of up to 256 characters can be found.",
                words=True,
            ),
        ),
    ),
    Endpoint(
        method="GET",
        path=f"/api/sessions/{_ID_PATTERN}",
        handler=read,
        summary="Read a session",
        tag="Sessions",
        surface=Surface.API,
        response=SessionBody,
        errors=(NotFound, StorageError),
        response_example=SESSION_EXAMPLE,
        parameters=(SESSION_ID,),
    ),
    Endpoint(
        method="PATCH",
        path=f"/api/sessions/{_ID_PATTERN}",
        handler=update,
        summary="Change a session's metadata, or close it",
        tag="Sessions",
        surface=Surface.API,
        request=SessionChangeBody,
        response=SessionBody,
        errors=(NotFound, StorageError),
        request_examples={
            "metadata": {"metadata": {"topic": "looms"}},
            "close": {"status": "closed"},
        },
        response_example=SESSION_EXAMPLE,
        parameters=(SESSION_ID,),
    ),
    Endpoint(
        method="DELETE",
        path=f"/api/sessions/{_ID_PATTERN}",
        handler=delete,
        summary="Delete a session and all that was said in it",
        tag="Sessions",
        surface=Surface.API,
        status=204,
        errors=(NotFound, StorageError),
        parameters=(SESSION_ID,),
    ),
)
