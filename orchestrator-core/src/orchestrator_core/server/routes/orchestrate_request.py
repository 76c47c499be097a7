"""From the body of a turn to what orchestration is asked."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from aiohttp import web

from orchestrator_core.orchestration import Gateway, Selection, TurnRequest
from orchestrator_core.provider_api import (
    ChatRequest,
    ImagePart,
    Message,
    NamedTool,
    Part,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
    ToolResultPart,
    text_message,
)
from orchestrator_core.server.context import (
    CONTEXT,
    admit_session,
    cache_use,
    gateway,
    provider_key,
    request_id,
    strict,
)
from orchestrator_core.server.idempotency import idempotency_key
from orchestrator_core.server.query import checked_session_id
from orchestrator_core.server.routes.orchestrate_schema import (
    AgentConfig,
    FunctionInput,
    ImageInput,
    ImageUrlInput,
    NamedFunction,
    NamedToolInput,
    OrchestrateBody,
    ResponseFormatInput,
    TextInput,
    ToolInput,
)

_WHO: Final = frozenset({"provider", "model", "fallbacks", "timeout"})
_SETTINGS: Final = {name: name for name in AgentConfig.model_fields if name not in _WHO} | {"system_prompt": "messages"}
"""The settings of a call by their names in `AgentConfig`."""


def wants_stream(request: web.Request, asked: bool | None) -> bool:
    """Return whether an answer is to be streamed: as the body says, or else the header `Accept`."""
    return "text/event-stream" in request.headers.get("Accept", "") if asked is None else asked


async def turn_request(request: web.Request, body: OrchestrateBody, *, streams: bool) -> TurnRequest:
    """Return the turn that a body asks for."""
    agent = body.agent_config or AgentConfig()
    session = None if body.session_id is None else checked_session_id(body.session_id)
    if session is not None:
        await admit_session(request, session)
    return TurnRequest(
        selection=selection(request, agent),
        messages=_messages(body),
        template=template(request, agent, streams=streams),
        session_id=session,
        user_id=body.user_id,
        metadata=body.metadata or {},
        idempotency_key=idempotency_key(request),
        fingerprint=request[CONTEXT].fingerprint,
    )


def selection(request: web.Request, agent: AgentConfig) -> Selection:
    """Return who is to answer."""
    served = gateway(request)
    chosen = Selection(provider=agent.provider, model=agent.model)
    if agent.provider is None and agent.model is not None and _names_provider(served, agent.model):
        chosen = served.router.select(agent.model)
    return replace(chosen, fallbacks=agent.fallbacks, credential=provider_key(request), cache=cache_use(request))


def _names_provider(served: Gateway, model: str) -> bool:
    return model in served.config.settings.aliases or model.partition("/")[0] in served.registry


def template(request: web.Request, agent: AgentConfig, *, streams: bool) -> ChatRequest:
    """Return all of a call but what is said."""
    prompt = agent.system_prompt
    return ChatRequest(
        model="",
        messages=() if prompt is None else (text_message("system", prompt),),
        deadline=gateway(request).deadline(agent.timeout),
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


def own_settings(agent: AgentConfig) -> AbstractSet[str]:
    """Return the fields of the template that the caller has a say in, be it that they are to be left out."""
    named = agent.model_fields_set & _SETTINGS.keys()
    return {_SETTINGS[name] for name in named} | ({"extra"} if agent.model_extra else set())


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
