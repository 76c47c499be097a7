"""The turns of a session: how each went, and what it was billed for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from orchestrator_core.provider_api import FinishReason, NotFound, StorageError
from orchestrator_core.server.context import gateway, principal
from orchestrator_core.server.endpoint import Described, Endpoint
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.json_answer import json_response
from orchestrator_core.server.query import (
    CURSOR,
    SESSION_ID,
    TURN_ID,
    integer,
    limit_parameter,
    make_cursor,
    read_place,
    session_id,
    time_text,
    turn_id,
)
from orchestrator_core.server.routes.session_bodies import (
    MESSAGES_EXAMPLE,
    SESSION_EXAMPLE,
    HistoryMessage,
    message_body,
)
from orchestrator_core.server.routes.usage_bodies import USAGE_EXAMPLE, UsageBody, usage_body
from orchestrator_core.sessions.models import StoredTurn, TurnState

MAX_TURNS = 100


class AttemptBody(Described):
    """One try at one provider."""

    provider: str
    model: str
    duration: float = Field(description="Seconds.")
    error: str | None = Field(description="The code of the error that ended it.")


class PortabilityBody(Described):
    """What had to be changed in the request for the provider that answered."""

    subject: str
    action: Literal["mapped", "downgraded", "dropped"]
    reason: str


class TurnBody(Described):
    """A turn."""

    turn_id: str
    session_id: str
    state: TurnState
    started_at: str
    finished_at: str | None = Field(description="Null while it is pending.")
    duration: float = Field(description="Seconds from the request to the end of the answer.")
    provider: str | None = Field(description="Who answered.")
    model: str | None
    finish_reason: FinishReason | None
    usage: UsageBody | None
    cost: float | None = Field(description="USD; null where the price is unknown.")
    price_version: str | None = Field(description="The price table that `cost` was computed with.")
    attempts: list[AttemptBody]
    portability: list[PortabilityBody]
    error_code: str | None = Field(description="The code of the error that ended it.")
    idempotent: bool = Field(description="Whether it was sent with an `Idempotency-Key`.")
    client: str = Field(description="The public id of the client key.")
    summary_id: str | None = Field(description="The summary that the answer was made with.")
    was_summarized: bool = Field(description="Whether this is the first answer made with that summary.")
    message_ids: list[str] = Field(description="Its messages in order, the answer last.")
    answer_id: str | None


class WholeTurnBody(TurnBody):
    """A turn with what was said in it."""

    messages: list[HistoryMessage]


class TurnPageBody(Described):
    """Turns, oldest first."""

    session_id: str
    turns: list[TurnBody]
    has_more: bool
    next_cursor: str | None


async def page(request: web.Request) -> web.Response:
    """Read a page of turns."""
    known = session_id(request)
    turns = await gateway(request).store.turns(
        principal(request).tenant,
        known,
        limit=integer(request, "limit", default=20, minimum=1, maximum=MAX_TURNS),
        after=read_place(request, "turns"),
    )
    return json_response(
        {
            "session_id": known,
            "turns": [_turn(turn) for turn in turns.items],
            "has_more": turns.has_more,
            "next_cursor": make_cursor("turns", turns.items[-1].first_sequence) if turns.has_more else None,
        }
    )


async def read(request: web.Request) -> web.Response:
    """Read a turn with its messages."""
    turn = await gateway(request).store.turn(principal(request).tenant, session_id(request), turn_id(request))
    return json_response({**_turn(turn), "messages": [message_body(stored) for stored in turn.messages]})


def _turn(turn: StoredTurn) -> dict[str, Any]:
    outcome = turn.outcome
    return {
        "turn_id": turn.id,
        "session_id": turn.session_id,
        "state": outcome.state,
        "started_at": time_text(turn.started_at),
        "finished_at": time_text(turn.finished_at) if turn.finished_at else None,
        "duration": round(outcome.duration, 4),
        "provider": outcome.provider,
        "model": outcome.model,
        "finish_reason": outcome.finish_reason,
        "usage": usage_body(outcome.usage) if outcome.usage else None,
        "cost": outcome.cost,
        "price_version": outcome.price_version,
        "attempts": [asdict(attempt) for attempt in outcome.attempts],
        "portability": [asdict(adjustment) for adjustment in outcome.adjustments],
        "error_code": outcome.error_code,
        "idempotent": turn.idempotent,
        "client": turn.client,
        "summary_id": outcome.summary_id,
        "was_summarized": turn.first_with_summary,
        "message_ids": [stored.id for stored in turn.messages],
        "answer_id": turn.answer.id if turn.answer else None,
    }


_TURN = {
    "turn_id": "turn_019a7c3e51f30a1b2c3d4e5f60718293",
    "session_id": SESSION_EXAMPLE["session_id"],
    "state": "complete",
    "started_at": "2026-11-21T09:30:05.000Z",
    "finished_at": "2026-11-21T09:30:06.000Z",
    "duration": 0.84,
    "provider": "mistral",
    "model": "mistral-small-latest",
    "finish_reason": "stop",
    "usage": USAGE_EXAMPLE,
    "cost": 0.0000065,
    "price_version": "genai-prices 0.0.49",
    "attempts": [{"provider": "mistral", "model": "mistral-small-latest", "duration": 0.81, "error": None}],
    "portability": [],
    "error_code": None,
    "idempotent": False,
    "client": "anonymous",
    "summary_id": None,
    "was_summarized": False,
    "message_ids": ["msg_019a7c3e51f30a1b2c3d4e5f60718293", "msg_019a7c3e51f40a1b2c3d4e5f60718293"],
    "answer_id": "msg_019a7c3e51f40a1b2c3d4e5f60718293",
}

ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/api/sessions/{id}/turns",
        handler=page,
        summary="List the turns of a session, and what each cost",
        tag="Sessions",
        surface=Surface.API,
        response=TurnPageBody,
        errors=(NotFound, StorageError),
        response_example={
            "session_id": SESSION_EXAMPLE["session_id"],
            "turns": [_TURN],
            "has_more": False,
            "next_cursor": None,
        },
        parameters=(SESSION_ID, limit_parameter(20, MAX_TURNS), CURSOR),
    ),
    Endpoint(
        method="GET",
        path="/api/sessions/{id}/turns/{turn_id}",
        handler=read,
        summary="Read a turn, and what was said in it",
        tag="Sessions",
        surface=Surface.API,
        description="For a client that left before the answer: its id came with the first event of the stream, with "
        "the headers, or with the error.",
        response=WholeTurnBody,
        errors=(NotFound, StorageError),
        response_example={**_TURN, "messages": MESSAGES_EXAMPLE},
        parameters=(SESSION_ID, TURN_ID),
    ),
)
