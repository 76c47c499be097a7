"""A session and a message as the API shows them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from orchestrator_core.provider_api import Json, OpaquePart, ReasoningPart, RefusalPart, TextPart, ToolCallPart
from orchestrator_core.server.endpoint import Described
from orchestrator_core.server.query import time_text
from orchestrator_core.server.translate.openai_notes import notes_apart
from orchestrator_core.server.translate.openai_response import tool_call
from orchestrator_core.sessions.models import Session, SessionStatus, StoredMessage, TurnState

MAX_USER_ID = 256


class SessionBody(Described):
    """A session."""

    session_id: str
    created_at: str
    status: SessionStatus
    message_count: int = Field(description="The user's messages.")
    summary: str | None
    user_id: str | None
    metadata: dict[str, Json]
    last_turn_at: str | None
    parent_id: str | None = Field(description="The session that it was copied from; it may be gone.")


class HistoryMessage(Described):
    """A message; `provider` and `model` are there for answers."""

    id: str
    turn_id: str = Field(description="The turn that it belongs to.")
    sequence: int = Field(description="Its place in the session, from 1, without gaps.")
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


def session_body(session: Session) -> dict[str, Any]:
    """Return a session as JSON."""
    return {
        "session_id": session.id,
        "created_at": time_text(session.created_at),
        "status": session.status,
        "message_count": session.message_count,
        "summary": session.summary,
        "user_id": session.user_id,
        "metadata": dict(session.metadata),
        "last_turn_at": time_text(session.last_turn_at) if session.last_turn_at else None,
        "parent_id": session.parent_id,
    }


def message_body(stored: StoredMessage) -> dict[str, Any]:
    """Return a message as JSON."""
    message = stored.message
    shown: dict[str, Any] = {
        "id": stored.id,
        "turn_id": stored.turn_id,
        "sequence": stored.sequence,
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
    if message.role == "assistant" and (extra := notes_apart(message.parts)):
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


SESSION_EXAMPLE = {
    "session_id": "sess_019a7c3e51f20a1b2c3d4e5f60718293",
    "created_at": "2026-11-21T09:30:00.000Z",
    "status": "active",
    "message_count": 0,
    "summary": None,
    "user_id": "ada",
    "metadata": {"topic": "engines"},
    "last_turn_at": None,
    "parent_id": None,
}

MESSAGES_EXAMPLE = [
    {
        "id": "msg_019a7c3e51f30a1b2c3d4e5f60718293",
        "turn_id": "turn_019a7c3e51f30a1b2c3d4e5f60718293",
        "sequence": 1,
        "role": "user",
        "content": "Who wrote the first program?",
        "timestamp": "2026-11-21T09:30:05.000Z",
        "state": "complete",
    },
    {
        "id": "msg_019a7c3e51f40a1b2c3d4e5f60718293",
        "turn_id": "turn_019a7c3e51f30a1b2c3d4e5f60718293",
        "sequence": 2,
        "role": "assistant",
        "content": "Ada Lovelace.",
        "timestamp": "2026-11-21T09:30:06.000Z",
        "state": "complete",
        "provider": "mistral",
        "model": "mistral-small-latest",
    },
]
