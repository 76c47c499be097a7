"""`POST /api/orchestrate`: one turn of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web

from orchestrator_core.orchestration import TurnAnswer, TurnResult, reading
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatResponse,
    FilePart,
    Finish,
    ImagePart,
    NotFound,
    PermissionDenied,
    ProviderError,
    ReasoningDelta,
    ReasoningPart,
    RefusalDelta,
    RefusalPart,
    ServerSentEvent,
    SessionBusy,
    SessionEnded,
    StorageError,
    TextDelta,
    ToolCallDelta,
    UsageReport,
    WholePart,
)
from orchestrator_core.server.body import read_model
from orchestrator_core.server.context import (
    gateway,
    principal,
    tell_session,
)
from orchestrator_core.server.endpoint import Endpoint
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.json_answer import dumps, json_response
from orchestrator_core.server.query import time_text
from orchestrator_core.server.routes.answers import answer_headers
from orchestrator_core.server.routes.orchestrate_request import turn_request, wants_stream
from orchestrator_core.server.routes.orchestrate_schema import (
    OrchestrateBody,
)
from orchestrator_core.server.routes.usage_bodies import usage_body
from orchestrator_core.server.sse import EventWriter
from orchestrator_core.server.translate.openai_notes import said_beyond
from orchestrator_core.server.translate.openai_response import media, tool_call
from orchestrator_core.sessions.models import Attempt


async def orchestrate(request: web.Request) -> web.StreamResponse:
    """Answer a turn, whole or as a stream of events."""
    body = await read_model(request, OrchestrateBody)
    streams = wants_stream(request, body.stream)
    turn = await gateway(request).turn(principal(request), await turn_request(request, body, streams=streams))
    return await send_turn(request, turn, streams=streams)


async def send_turn(request: web.Request, turn: TurnAnswer, *, streams: bool) -> web.StreamResponse:
    """Send the answer of a turn, whole or as a stream of events."""
    tell_session(request, turn.session_id, turn.turn_id)
    if streams:
        return await _stream(request, turn)
    result = await turn.result()
    return json_response(_answer(result, turn.folded), headers=answer_headers(turn, result.cost))


async def _stream(request: web.Request, turn: TurnAnswer) -> web.StreamResponse:
    writer = EventWriter(request, answer_headers(turn))
    try:
        start = {
            "session_id": turn.session_id,
            "turn_id": turn.turn_id,
            "agent_used": turn.provider,
            "model_used": turn.model,
        }
        await writer.write(_framed("start", start))
        async with reading(turn.batches()) as batches:
            async for events in batches:
                if framed := [_framed(*named) for event in events if (named := _event(event)) is not None]:
                    await writer.write(*framed)
        return await writer.end(_framed("done", _answer(await turn.result(), turn.folded)))
    finally:
        await turn.aclose()


def _framed(kind: str, data: dict[str, Any]) -> ServerSentEvent:
    return ServerSentEvent(dumps({"type": kind, **data}, ensure_ascii=False).encode(), kind)


def _event(event: ChatEvent) -> tuple[str, dict[str, Any]] | None:
    """Return the name and the data of an event; None for kinds that the client does not see."""
    found: tuple[str, dict[str, Any]] | None = None
    match event:
        case TextDelta(text=text) if text:
            found = "text", {"text": text}
        case ReasoningDelta(text=text) if text:
            found = "reasoning", {"text": text}
        case RefusalDelta(text=text) if text:
            found = "refusal", {"text": text}
        case ToolCallDelta(index=index, id=known, name=name, arguments=arguments):
            found = "tool_call", {"index": index, "id": known, "name": name, "arguments": arguments}
        case WholePart(part=ImagePart() | FilePart() as part):
            found = "media", {"part": part.model_dump(exclude={"provider_metadata"}, exclude_none=True)}
        case UsageReport(usage=usage) if usage is not None:
            found = "usage", usage_body(usage)
        case Finish(reason=reason):
            found = "finish", {"reason": reason}
    if found is not None and event.choice:
        found[1]["choice"] = event.choice
    return found


def _answer(result: TurnResult, folded: ChatResponse) -> dict[str, Any]:
    message, used = result.message, result.usage
    answer: dict[str, Any] = {
        "response": message.text,
        "agent_used": result.provider,
        "model_used": result.model,
        "session_id": result.session.id,
        "message_count": result.session.message_count,
        "timestamp": time_text(result.timestamp),
        "execution_time": round(result.duration, 4),
        "metadata": {
            "turn_id": result.turn_id,
            "tokens_used": used.total if used else None,
            "cost_estimate": result.cost,
            "was_summarized": result.was_summarized,
            "finish_reason": result.finish_reason,
            "usage": usage_body(used) if used else None,
            "attempts": [_attempt(attempt) for attempt in result.attempts],
            "portability": [asdict(adjustment) for adjustment in result.adjustments],
        },
    }
    if said := said_beyond(folded):
        answer["metadata"]["provider"] = said
    answer.update(media(message.parts))
    if message.tool_calls:
        answer["tool_calls"] = [tool_call(call) for call in message.tool_calls]
    for field, kind in (("reasoning", ReasoningPart), ("refusal", RefusalPart)):
        text = "".join(part.text for part in message.parts if isinstance(part, kind))
        if text:
            answer[field] = text
    return answer


def _attempt(attempt: Attempt) -> dict[str, Any]:
    # Every turn has one, and `asdict` takes ten times as long.
    return {
        "provider": attempt.provider,
        "model": attempt.model,
        "duration": attempt.duration,
        "error": attempt.error,
    }


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="POST",
        path="/api/orchestrate",
        handler=orchestrate,
        summary="Say something in a conversation, and get the answer",
        tag="Orchestration",
        surface=Surface.API,
        description=(
            "Any turn may go to another provider; the conversation goes on as if it were one. The events of a "
            "stream are `start`, `text`, `reasoning`, `refusal`, `tool_call`, `media`, `usage` and `finish`; the "
            "last is `done`, with the whole answer, or `error`, with a problem as other errors have it."
        ),
        request=OrchestrateBody,
        bodies="orchestrate_answer:ANSWER",
        errors=(PermissionDenied, NotFound, SessionBusy, SessionEnded, ProviderError, StorageError),
        request_examples={
            "shortest": {"message": "Who wrote the first program?"},
            "chosen": {
                "message": "And when?",
                "agent_config": {"provider": "mistral", "temperature": 0.2, "fallbacks": ["openai"]},
                "session_id": "sess_019a7c3e51f20a1b2c3d4e5f60718293",
            },
            "tool results": {
                "tool_results": [{"tool_call_id": "call_1", "content": "19 degrees"}],
                "session_id": "sess_019a7c3e51f20a1b2c3d4e5f60718293",
            },
        },
        idempotent=True,
        takes_provider_key=True,
        cached=True,
    ),
)
