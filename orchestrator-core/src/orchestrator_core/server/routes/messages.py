"""Anthropic's surface: `/v1/messages` over any provider, and an estimate of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    ProviderError,
    ProviderNotConfigured,
    ProviderRefused,
    ProviderTimeout,
    SessionBusy,
    SessionEnded,
)
from orchestrator_core.server.body import read_json
from orchestrator_core.server.context import gateway, request_id, strict
from orchestrator_core.server.endpoint import Endpoint, Parameter
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.routes.answers import drain, json_response, own_bytes, raw_response, stream
from orchestrator_core.server.routes.calls import (
    SESSION_HEADER,
    SESSION_PARAMETER,
    caller_label,
    joined_session,
    open_answer,
    select,
)
from orchestrator_core.server.translate.anthropic_request import read_message_request
from orchestrator_core.server.translate.anthropic_response import message_body
from orchestrator_core.server.translate.anthropic_stream import MessageWriter
from orchestrator_core.server.translate.token_estimate import estimate_tokens

ESTIMATED: Final = "x-orchestrator-estimated"
"""The header that says what of an answer is an estimate."""

_DIALECT_HEADERS: Final = ("anthropic-version", "anthropic-beta")


async def create_message(request: web.Request) -> web.StreamResponse:
    """Answer a conversation, as JSON or as a stream; with a session's id, take the next turn of that session."""
    body = await read_json(request)
    user_id = caller_label(body)
    call = read_message_request(
        body,
        deadline=gateway(request).deadline(),
        headers=_dialect_headers(request),
        strict=strict(request),
        request_id=request_id(request),
    )
    selection, session_id = select(request, call.model), joined_session(request)
    answer = await open_answer(request, selection, call, session_id, user_id)
    joined = {} if session_id is None else {SESSION_HEADER: session_id}
    if call.stream:
        return await stream(request, answer, MessageWriter(model=answer.model, request_id=request_id(request)), joined)
    headers = await drain(answer) | joined
    if (data := own_bytes(answer, ANTHROPIC_MESSAGES)) is not None:
        return raw_response(data, headers)
    return json_response(message_body(answer.folded, model=answer.model, request_id=request_id(request)), headers)


async def count_tokens(request: web.Request) -> web.StreamResponse:
    """Estimate the tokens of a request, without asking anybody."""
    call = read_message_request(await read_json(request), deadline=gateway(request).deadline())
    select(request, call.model)
    return json_response({"input_tokens": estimate_tokens(call), "estimated": True}, {ESTIMATED: "input_tokens"})


def _dialect_headers(request: web.Request) -> Mapping[str, str]:
    found = {name: ",".join(request.headers.getall(name, ())) for name in _DIALECT_HEADERS}
    return {name: value for name, value in found.items() if value}


_TAG = "Anthropic"
_DIALECT_PARAMETERS = (
    Parameter(
        name="anthropic-version",
        place="header",
        description="The version of the API, passed on to a provider that speaks it.",
    ),
    Parameter(
        name="anthropic-beta",
        place="header",
        description="Features of the API, separated by commas, passed on to a provider that speaks it.",
    ),
)


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="POST",
        path="/v1/messages",
        handler=create_message,
        summary="Answer a conversation (Anthropic's Messages)",
        description="Any provider can answer. An upstream answer of the same dialect is passed through as it came. "
        "What only this API can say (`mcp_servers`, server tools, `cache_control`) is left out for other providers, "
        "and named in `x-orchestrator-dropped`. Thoughts of other providers come with a `signature` that is to be "
        "given back as it is.",
        tag=_TAG,
        surface=Surface.ANTHROPIC,
        bodies="messages_schema:MESSAGE",
        errors=(
            InvalidRequest,
            NotFound,
            PermissionDenied,
            ProviderRefused,
            ProviderError,
            ProviderNotConfigured,
            ProviderTimeout,
            SessionBusy,
            SessionEnded,
        ),
        parameters=(SESSION_PARAMETER, *_DIALECT_PARAMETERS),
        idempotent=True,
        takes_provider_key=True,
        cached=True,
    ),
    Endpoint(
        method="POST",
        path="/v1/messages/count_tokens",
        handler=count_tokens,
        summary="Estimate the tokens of a request (Anthropic's token counting)",
        description="The gateway's own estimate, for every provider alike: no provider is asked. `estimated` and the "
        f"header `{ESTIMATED}` say so.",
        tag=_TAG,
        surface=Surface.ANTHROPIC,
        bodies="messages_schema:COUNT",
        errors=(InvalidRequest, NotFound),
        idempotent=True,
    ),
)
