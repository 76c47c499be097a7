"""Sessions: make, read, find, change, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, Field

from orchestrator_core.provider_api import Json, NotFound, StorageError
from orchestrator_core.server.body import RequestModel, read_model
from orchestrator_core.server.context import gateway, principal
from orchestrator_core.server.endpoint import Endpoint, Parameter
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.query import MAX_OFFSET, OFFSET, SESSION_ID, integer, limit_parameter, session_id
from orchestrator_core.server.routes.session_bodies import MAX_USER_ID, SESSION_EXAMPLE, SessionBody, session_body

MAX_SESSIONS = 100


class NewSessionBody(RequestModel):
    """A session to be made."""

    user_id: str | None = Field(default=None, max_length=MAX_USER_ID, description="A label of the caller.")
    metadata: dict[str, Json] | None = Field(default=None, description="The caller's own data.")


class SessionChangeBody(RequestModel):
    """What is to change of a session; what is left out stays."""

    metadata: dict[str, Json] | None = Field(default=None, description="Replaces the caller's data.")
    status: Literal["closed"] | None = Field(default=None, description="`closed` ends the session.")


class SessionPageBody(BaseModel):
    """Sessions, newest first."""

    sessions: list[SessionBody]
    has_more: bool


async def create(request: web.Request) -> web.Response:
    """Make a session."""
    body = await read_model(request, NewSessionBody)
    session = await gateway(request).store.create_session(
        principal(request).tenant, user_id=body.user_id, metadata=body.metadata
    )
    return web.json_response(session_body(session), status=201)


async def read(request: web.Request) -> web.Response:
    """Read a session."""
    session = await gateway(request).store.get_session(principal(request).tenant, session_id(request))
    return web.json_response(session_body(session))


async def page(request: web.Request) -> web.Response:
    """Read a page of sessions."""
    sessions = await gateway(request).store.list_sessions(
        principal(request).tenant,
        limit=integer(request, "limit", default=20, minimum=1, maximum=MAX_SESSIONS),
        offset=integer(request, "offset", default=0, minimum=0, maximum=MAX_OFFSET),
        user_id=request.query.get("user_id"),
    )
    return web.json_response(
        {"sessions": [session_body(session) for session in sessions.items], "has_more": sessions.has_more}
    )


async def update(request: web.Request) -> web.Response:
    """Change a session."""
    known = session_id(request)
    body = await read_model(request, SessionChangeBody)
    session = await gateway(request).store.update_session(
        principal(request).tenant, known, metadata=body.metadata, status=body.status
    )
    return web.json_response(session_body(session))


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
        response_example={"sessions": [SESSION_EXAMPLE], "has_more": False},
        parameters=(
            limit_parameter(20, MAX_SESSIONS),
            OFFSET,
            Parameter(name="user_id", place="query", description="Only those with this label."),
        ),
    ),
    Endpoint(
        method="GET",
        path="/api/sessions/{id}",
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
        path="/api/sessions/{id}",
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
        path="/api/sessions/{id}",
        handler=delete,
        summary="Delete a session and all that was said in it",
        tag="Sessions",
        surface=Surface.API,
        status=204,
        errors=(NotFound, StorageError),
        parameters=(SESSION_ID,),
    ),
)
