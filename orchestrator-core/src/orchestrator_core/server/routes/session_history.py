"""What was said in a session, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from pydantic import Field

from orchestrator_core.provider_api import NotFound, StorageError
from orchestrator_core.server.context import gateway, principal
from orchestrator_core.server.endpoint import Described, Endpoint
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.json_answer import json_response
from orchestrator_core.server.query import (
    CURSOR,
    MAX_OFFSET,
    OFFSET,
    SESSION_ID,
    integer,
    limit_parameter,
    make_cursor,
    read_place,
    session_id,
    time_text,
)
from orchestrator_core.server.routes.session_bodies import (
    MESSAGES_EXAMPLE,
    SESSION_EXAMPLE,
    HistoryMessage,
    message_body,
)

MAX_HISTORY = 100


class SessionMetricsBody(Described):
    """Totals of a session."""

    session_id: str
    message_count: int
    providers_used: list[str]
    total_tokens: int = Field(description="Of its turns, its summaries, and what was used for it in vain.")
    total_cost: float | None = Field(description="USD, of all that has a known price; null where nothing has.")
    average_response_time: float = Field(description="Seconds.")
    last_summary_at: str | None
    created_at: str


class HistoryBody(Described):
    """Messages, oldest first."""

    session_id: str
    messages: list[HistoryMessage]
    summary: str | None
    has_more: bool
    next_cursor: str | None


async def metrics(request: web.Request) -> web.Response:
    """Read the totals of a session."""
    found = await gateway(request).store.metrics(principal(request).tenant, session_id(request))
    return json_response(
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
    # Places have no gaps, so that a place is an offset.
    offset = read_place(request, "history") or integer(request, "offset", default=0, minimum=0, maximum=MAX_OFFSET)
    store, tenant = gateway(request).store, principal(request).tenant
    session = await store.get_session(tenant, known)
    messages = await store.history(tenant, known, limit=limit, offset=offset)
    return json_response(
        {
            "session_id": known,
            "messages": [message_body(stored) for stored in messages.items],
            "summary": session.summary,
            "has_more": messages.has_more,
            "next_cursor": make_cursor("history", messages.items[-1].sequence) if messages.has_more else None,
        }
    )


ENDPOINTS: Sequence[Endpoint] = (
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
            "session_id": SESSION_EXAMPLE["session_id"],
            "message_count": 2,
            "providers_used": ["openai", "mistral"],
            "total_tokens": 412,
            "total_cost": 0.00118,
            "average_response_time": 1.24,
            "last_summary_at": None,
            "created_at": SESSION_EXAMPLE["created_at"],
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
            "session_id": SESSION_EXAMPLE["session_id"],
            "messages": MESSAGES_EXAMPLE,
            "summary": None,
            "has_more": False,
            "next_cursor": None,
        },
        parameters=(SESSION_ID, limit_parameter(10, MAX_HISTORY), OFFSET, CURSOR),
    ),
)
