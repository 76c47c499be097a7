"""`POST /api/orchestrate`: one turn of a conversation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from aiohttp import web

from orchestrator_core.orchestration import Gateway, Selection, TurnAnswer, TurnRequest, TurnResult
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    ChatResponse,
    FilePart,
    Finish,
    ImagePart,
    Message,
    NamedTool,
    NotFound,
    Part,
    PermissionDenied,
    ProviderError,
    ReasoningDelta,
    ReasoningPart,
    RefusalDelta,
    RefusalPart,
    ResponseFormat,
    SessionBusy,
    SessionEnded,
    StorageError,
    TextDelta,
    TextPart,
    Tool,
    ToolCallDelta,
    ToolChoice,
    ToolResultPart,
    UsageReport,
    WholePart,
    text_message,
)
from orchestrator_core.server.body import read_model
from orchestrator_core.server.context import (
    admit_session,
    gateway,
    principal,
    provider_key,
    request_id,
    strict,
    tell_session,
)
from orchestrator_core.server.endpoint import Endpoint, EventStream
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.idempotency import idempotency_key
from orchestrator_core.server.query import checked_session_id, time_text
from orchestrator_core.server.routes.orchestrate_events import OrchestrateEvent
from orchestrator_core.server.routes.orchestrate_schema import (
    AgentConfig,
    FunctionInput,
    ImageInput,
    ImageUrlInput,
    NamedFunction,
    NamedToolInput,
    OrchestrateAnswer,
    OrchestrateBody,
    ResponseFormatInput,
    TextInput,
    ToolInput,
)
from orchestrator_core.server.sse import EventWriter
from orchestrator_core.server.translate.openai_notes import said_beyond
from orchestrator_core.server.translate.openai_response import media, tool_call


async def orchestrate(request: web.Request) -> web.StreamResponse:
    """Answer a turn, whole or as a stream of events."""
    body = await read_model(request, OrchestrateBody)
    streams = body.stream
    if streams is None:
        streams = "text/event-stream" in request.headers.get("Accept", "")
    turn = await gateway(request).turn(principal(request), await _turn(request, body, streams=streams))
    return await send_turn(request, turn, streams=streams)


async def send_turn(request: web.Request, turn: TurnAnswer, *, streams: bool) -> web.StreamResponse:
    """Send the answer of a turn, whole or as a stream of events."""
    tell_session(request, turn.session_id, turn.turn_id)
    if streams:
        return await _stream(request, turn)
    return web.json_response(_answer(await turn.result(), turn.folded))


async def _stream(request: web.Request, turn: TurnAnswer) -> web.StreamResponse:
    writer = EventWriter(request)
    try:
        start = {
            "session_id": turn.session_id,
            "turn_id": turn.turn_id,
            "agent_used": turn.provider,
            "model_used": turn.model,
        }
        await _write(writer, "start", start)
        async with aclosing(turn.events()) as events:
            async for event in events:
                named = _event(event)
                if named is not None:
                    await _write(writer, *named)
        await _write(writer, "done", _answer(await turn.result(), turn.folded))
    finally:
        await turn.aclose()
    return await writer.close()


async def _write(writer: EventWriter, kind: str, data: dict[str, Any]) -> None:
    await writer.write(json.dumps({"type": kind, **data}, ensure_ascii=False).encode(), kind)


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
            found = "usage", usage.buckets()
        case Finish(reason=reason):
            found = "finish", {"reason": reason}
    if found is not None and event.choice:
        found[1]["choice"] = event.choice
    return found


async def _turn(request: web.Request, body: OrchestrateBody, *, streams: bool) -> TurnRequest:
    agent = body.agent_config or AgentConfig()
    served = gateway(request)
    session = None if body.session_id is None else checked_session_id(body.session_id)
    if session is not None:
        await admit_session(request, session)
    return TurnRequest(
        selection=_selection(request, served, agent),
        messages=_messages(body),
        template=_template(request, served, agent, streams=streams),
        session_id=session,
        user_id=body.user_id,
        metadata=body.metadata or {},
        idempotency_key=idempotency_key(request),
    )


def _selection(request: web.Request, served: Gateway, agent: AgentConfig) -> Selection:
    provider, model = agent.provider, agent.model
    if provider is None and model is not None and _names_provider(served, model):
        provider, model = served.router.parse_model(model)
    return Selection(provider=provider, model=model, fallbacks=agent.fallbacks, credential=provider_key(request))


def _names_provider(served: Gateway, model: str) -> bool:
    return model in served.config.settings.aliases or model.partition("/")[0] in served.registry


def _template(request: web.Request, served: Gateway, agent: AgentConfig, *, streams: bool) -> ChatRequest:
    prompt = agent.system_prompt
    return ChatRequest(
        model="",
        messages=() if prompt is None else (text_message("system", prompt),),
        deadline=served.deadline(agent.timeout),
        stream=streams,
        strict=agent.strict or strict(request),
        tools=tuple(_tool(tool) for tool in agent.tools or ()),
        tool_choice=_tool_choice(agent.tool_choice),
        parallel_tool_calls=agent.parallel_tool_calls,
        response_format=_response_format(agent.response_format),
        reasoning_effort=agent.reasoning_effort,
        temperature=agent.temperature,
        top_p=agent.top_p,
        max_tokens=agent.max_tokens,
        stop=[agent.stop] if isinstance(agent.stop, str) else agent.stop,
        seed=agent.seed,
        presence_penalty=agent.presence_penalty,
        frequency_penalty=agent.frequency_penalty,
        extra=agent.model_extra or {},
        request_id=request_id(request),
    )


def _messages(body: OrchestrateBody) -> Sequence[Message]:
    if body.tool_results is not None:
        results = (
            ToolResultPart(tool_call_id=found.tool_call_id, content=found.content, is_error=found.is_error)
            for found in body.tool_results
        )
        return (Message(role="tool", parts=tuple(results)),)
    if isinstance(body.message, str):
        return (text_message("user", body.message),)
    return (Message(role="user", parts=tuple(_part(part) for part in body.message or ())),)


def _part(part: TextInput | ImageInput | ImageUrlInput) -> Part:
    match part:
        case TextInput():
            return TextPart(text=part.text)
        case ImageInput():
            return ImagePart(url=part.url, data=part.data, media_type=part.media_type)
    url, detail = part.image_url.url, part.image_url.detail
    head, comma, data = url.partition(",")
    if head.startswith("data:") and head.endswith(";base64") and comma:
        return ImagePart(data=data, media_type=head[5:-7] or "image/png", detail=detail)
    return ImagePart(url=url, detail=detail)


def _tool(tool: ToolInput | FunctionInput) -> Tool:
    function = tool.function if isinstance(tool, ToolInput) else tool
    return Tool(
        name=function.name,
        description=function.description,
        parameters=function.parameters,
        strict=function.strict,
    )


def _tool_choice(choice: str | NamedToolInput | NamedFunction | None) -> ToolChoice | None:
    match choice:
        case NamedToolInput():
            return NamedTool(name=choice.function.name)
        case NamedFunction():
            return NamedTool(name=choice.name)
        case "auto" | "none" | "required":
            return choice
    return None


def _response_format(form: ResponseFormatInput | None) -> ResponseFormat | None:
    if form is None:
        return None
    schema = form.json_schema
    if schema is None:
        return ResponseFormat(type=form.type)
    return ResponseFormat(
        type=form.type,
        name=schema.name,
        description=schema.description,
        json_schema=schema.json_schema,
        strict=schema.strict,
    )


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
            "usage": used.buckets() if used else None,
            "attempts": [asdict(attempt) for attempt in result.attempts],
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


_ANSWER = {
    "response": "Ada Lovelace wrote it in 1843.",
    "agent_used": "mistral",
    "model_used": "mistral-small-latest",
    "session_id": "sess_019a7c3e51f20a1b2c3d4e5f60718293",
    "message_count": 1,
    "timestamp": "2026-11-21T09:30:06.000Z",
    "execution_time": 0.84,
    "metadata": {
        "turn_id": "turn_019a7c3e51f30a1b2c3d4e5f60718293",
        "tokens_used": 31,
        "cost_estimate": 0.0000065,
        "was_summarized": False,
        "finish_reason": "stop",
        "usage": {
            "input_tokens": 21,
            "cached_input_tokens": 0,
            "cache_write_tokens": 0,
            "output_tokens": 10,
            "reasoning_tokens": 0,
        },
        "attempts": [{"provider": "mistral", "model": "mistral-small-latest", "duration": 0.81, "error": None}],
        "portability": [],
    },
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
        response=OrchestrateAnswer,
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
        response_example=_ANSWER,
        stream=EventStream(
            event=OrchestrateEvent,
            opening=(
                'event: start\ndata: {"type": "start", "session_id": "sess_019a7c3e51f20a1b2c3d4e5f60718293", '
                '"turn_id": "turn_019a7c3e51f30a1b2c3d4e5f60718293", '
                '"agent_used": "mistral", "model_used": "mistral-small-latest"}\n\n'
                'event: text\ndata: {"type": "text", "text": "Ada"}\n\n'
            ),
            ending=(
                'event: finish\ndata: {"type": "finish", "reason": "stop"}\n\n'
                f"event: done\ndata: {json.dumps({'type': 'done', **_ANSWER})}\n\n"
            ),
        ),
        idempotent=True,
        takes_provider_key=True,
    ),
)
