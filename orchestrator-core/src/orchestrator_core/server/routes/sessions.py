"""Sessions: make, read, change, delete, and look at what was said and what it cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from orchestrator_core.provider_api import (
    Json,
    NotFound,
    OpaquePart,
    ReasoningPart,
    RefusalPart,
    StorageError,
    TextPart,
    ToolCallPart,
)
from orchestrator_core.server.body import RequestModel, read_model
from orchestrator_core.server.context import gateway, principal
from orchestrator_core.server.endpoint import Endpoint, Parameter
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.query import (
    MAX_OFFSET,
    OFFSET,
    SESSION_ID,
    integer,
    limit_parameter,
    session_id,
    time_text,
)
from orchestrator_core.server.translate.openai_notes import notes_apart
from orchestrator_core.server.translate.openai_response import tool_call
from orchestrator_core.sessions.models import Session, SessionStatus, StoredMessage, TurnState

MAX_HISTORY = 100
MAX_SESSIONS = 100
MAX_USER_ID = 256


class NewSessionBody(RequestModel):
    """A session to be made."""

    user_id: str | None = Field(default=None, max_length=MAX_USER_ID, description="A label of the caller.")
    metadata: dict[str, Json] | None = Field(default=None, description="The caller's own data.")


class SessionChangeBody(RequestModel):
    """What is to change of a session; what is left out stays."""

    metadata: dict[str, Json] | None = Field(default=None, description="Replaces the caller's data.")
    status: Literal["closed"] | None = Field(default=None, description="`closed` ends the session.")


class SessionBody(BaseModel):
    """A session."""

    session_id: str
    created_at: str
    status: SessionStatus
    message_count: int = Field(description="The user's messages.")
    summary: str | None
    user_id: str | None
    metadata: dict[str, Json]
    last_turn_at: str | None


class SessionPageBody(BaseModel):
    """Sessions, newest first."""

    sessions: list[SessionBody]
    has_more: bool


class SessionMetricsBody(BaseModel):
    """Totals of a session."""

    session_id: str
    message_count: int
    providers_used: list[str]
    total_tokens: int
    total_cost: float | None = Field(description="USD, of the turns whose price is known; null where none is.")
    average_response_time: float = Field(description="Seconds.")
    last_summary_at: str | None
    created_at: str


class HistoryMessage(BaseModel):
    """A message; `provider` and `model` are there for answers."""

    id: str
    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[dict[str, Json]] = Field(description="Text, or parts where there is more than text.")
    timestamp: str
    state: TurnState = Field(description="How the turn of the message stands.")
    provider: str | None = None
    model: str | None = None
    reasoning: str | None = None
    tool_calls: list[dict[str, Json]] | None = None
    extra: dict[str, Json] | None = Field(
        default=None,
        description="What its provider noted on it, as in `metadata.provider.message` of a turn's answer.",
    )


class HistoryBody(BaseModel):
    """Messages, oldest first."""

    session_id: str
    messages: list[HistoryMessage]
    summary: str | None
    has_more: bool


async def create(request: web.Request) -> web.Response:
    """Make a session."""
    body = await read_model(request, NewSessionBody)
    session = await gateway(request).store.create_session(
        principal(request).tenant, user_id=body.user_id, metadata=body.metadata
    )
    return web.json_response(_session(session), status=201)


async def read(request: web.Request) -> web.Response:
    """Read a session."""
    session = await gateway(request).store.get_session(principal(request).tenant, session_id(request))
    return web.json_response(_session(session))


async def page(request: web.Request) -> web.Response:
    """Read a page of sessions."""
    sessions = await gateway(request).store.list_sessions(
        principal(request).tenant,
        limit=integer(request, "limit", default=20, minimum=1, maximum=MAX_SESSIONS),
        offset=integer(request, "offset", default=0, minimum=0, maximum=MAX_OFFSET),
        user_id=request.query.get("user_id"),
    )
    return web.json_response(
        {"sessions": [_session(session) for session in sessions.items], "has_more": sessions.has_more}
    )


async def update(request: web.Request) -> web.Response:
    """Change a session."""
    known = session_id(request)
    body = await read_model(request, SessionChangeBody)
    session = await gateway(request).store.update_session(
        principal(request).tenant, known, metadata=body.metadata, status=body.status
    )
    return web.json_response(_session(session))


async def delete(request: web.Request) -> web.Response:
    """Delete a session."""
    await gateway(request).store.delete_session(principal(request).tenant, session_id(request))
    return web.Response(status=204)


async def metrics(request: web.Request) -> web.Response:
    """Read the totals of a session."""
    found = await gateway(request).store.metrics(principal(request).tenant, session_id(request))
    return web.json_response(
        {
            "session_id": found.session_id,
            "message_count": found.message_count,
            "providers_used": list(found.providers_used),
            "total_tokens": found.total_tokens,
            "total_cost": found.total_cost,
            "average_response_time": found.average_response_time,
            "last_summary_at": time_text(found.last_summary_at) if found.last_summary_at else None,
            "created_at": time_text(found.created_at),
        }
    )


async def history(request: web.Request) -> web.Response:
    """Read what was said in a session."""
    known = session_id(request)
    limit = integer(request, "limit", default=10, minimum=1, maximum=MAX_HISTORY)
    offset = integer(request, "offset", default=0, minimum=0, maximum=MAX_OFFSET)
    store, tenant = gateway(request).store, principal(request).tenant
    session = await store.get_session(tenant, known)
    messages = await store.history(tenant, known, limit=limit, offset=offset)
    return web.json_response(
        {
            "session_id": known,
            "messages": [_message(stored) for stored in messages.items],
            "summary": session.summary,
            "has_more": messages.has_more,
        }
    )


def _session(session: Session) -> dict[str, Any]:
    return {
        "session_id": session.id,
        "created_at": time_text(session.created_at),
        "status": session.status,
        "message_count": session.message_count,
        "summary": session.summary,
        "user_id": session.user_id,
        "metadata": dict(session.metadata),
        "last_turn_at": time_text(session.last_turn_at) if session.last_turn_at else None,
    }


def _message(stored: StoredMessage) -> dict[str, Any]:
    message = stored.message
    shown: dict[str, Any] = {
        "id": stored.id,
        "role": message.role,
        "content": _content(message.parts),
        "timestamp": time_text(stored.created_at),
        "state": stored.turn_state,
    }
    if stored.provider is not None:
        shown |= {"provider": stored.provider, "model": stored.model}
    reasoning = "".join(part.text for part in message.parts if isinstance(part, ReasoningPart))
    if reasoning:
        shown["reasoning"] = reasoning
    if extra := notes_apart(message.parts):
        shown["extra"] = extra
    if message.tool_calls:
        shown["tool_calls"] = [tool_call(call) for call in message.tool_calls]
    return shown


def _content(parts: Sequence[Any]) -> str | list[dict[str, Json]]:
    """Return text as a string. Thoughts, tool calls and what only a provider reads have fields of their own."""
    said = [part for part in parts if not isinstance(part, ReasoningPart | ToolCallPart | OpaquePart)]
    if all(isinstance(part, TextPart | RefusalPart) for part in said):
        return "".join(part.text for part in said)
    return [json.loads(part.model_dump_json(exclude={"provider_metadata"}, exclude_none=True)) for part in said]


_EXAMPLE = {
    "session_id": "sess_019a7c3e51f20a1b2c3d4e5f60718293",
    "created_at": "2026-11-21T09:30:00.000Z",
    "status": "active",
    "message_count": 0,
    "summary": None,
    "user_id": "ada",
    "metadata": {"topic": "engines"},
    "last_turn_at": None,
}

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
        response_example=_EXAMPLE,
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
        response_example={"sessions": [_EXAMPLE], "has_more": False},
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
        response_example=_EXAMPLE,
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
        response_example=_EXAMPLE,
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
    Endpoint(
        method="GET",
        path="/api/sessions/{id}/metrics",
        handler=metrics,
        summary="Read what a session cost",
        tag="Sessions",
        surface=Surface.API,
        response=SessionMetricsBody,
        errors=(NotFound, StorageError),
        response_example={
            "session_id": _EXAMPLE["session_id"],
            "message_count": 2,
            "providers_used": ["openai", "mistral"],
            "total_tokens": 412,
            "total_cost": 0.00118,
            "average_response_time": 1.24,
            "last_summary_at": None,
            "created_at": _EXAMPLE["created_at"],
        },
        parameters=(SESSION_ID,),
    ),
    Endpoint(
        method="GET",
        path="/api/sessions/{id}/history",
        handler=history,
        summary="Read what was said in a session",
        tag="Sessions",
        surface=Surface.API,
        response=HistoryBody,
        errors=(NotFound, StorageError),
        response_example={
            "session_id": _EXAMPLE["session_id"],
            "messages": [
                {
                    "id": "msg_019a7c3e51f30a1b2c3d4e5f60718293",
                    "role": "user",
                    "content": "Who wrote the first program?",
                    "timestamp": "2026-11-21T09:30:05.000Z",
                    "state": "complete",
                },
                {
                    "id": "msg_019a7c3e51f40a1b2c3d4e5f60718293",
                    "role": "assistant",
                    "content": "Ada Lovelace.",
                    "timestamp": "2026-11-21T09:30:06.000Z",
                    "state": "complete",
                    "provider": "mistral",
                    "model": "mistral-small-latest",
                },
            ],
            "summary": None,
            "has_more": False,
        },
        parameters=(SESSION_ID, limit_parameter(10, MAX_HISTORY), OFFSET),
    ),
)
