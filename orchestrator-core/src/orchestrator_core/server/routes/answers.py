"""Writing an open answer to a client of OpenAI's dialect: its headers, its stream, its end."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from typing import TypeAlias
from urllib.parse import quote

from aiohttp import web

from orchestrator_core.orchestration import Answer, EmbeddingAnswer, TurnAnswer
from orchestrator_core.provider_api import ChatResponse, Json
from orchestrator_core.server.context import request_id
from orchestrator_core.server.sse import EventWriter
from orchestrator_core.server.translate.openai_response import encode
from orchestrator_core.server.translate.openai_stream import ChunkWriter

OpenAnswer: TypeAlias = Answer | TurnAnswer


def answer_headers(answer: OpenAnswer | EmbeddingAnswer, cost: float | None = None) -> dict[str, str]:
    """Return the gateway's own facts about an answer.

    `x-orchestrator-provider` and `-model` say who answered, `-attempts` how many calls to providers it took, `-dropped`
    what of the request the provider could not take whole, and `-cost` the USD, where they are known.

    Args:
        answer: The answer.
        cost: USD; a stream has begun before anybody knows.
    """
    adjustments = answer.response.adjustments if isinstance(answer, EmbeddingAnswer) else answer.adjustments
    headers = {
        "x-orchestrator-provider": answer.provider,
        "x-orchestrator-model": _header(answer.model),
        "x-orchestrator-attempts": str(len(answer.attempts)),
    }
    if dropped := [each.subject for each in adjustments if each.action != "mapped"]:
        headers["x-orchestrator-dropped"] = _header(", ".join(dict.fromkeys(dropped)))
    if cost is not None:
        headers["x-orchestrator-cost"] = f"{cost:.10f}".rstrip("0").rstrip(".")
    return headers


async def whole(answer: OpenAnswer) -> tuple[ChatResponse, dict[str, str]]:
    """Drain an answer; return it with its headers.

    Raises:
        GatewayError: The answer broke off.
    """
    try:
        if isinstance(answer, Answer):
            response = await answer.response()
            return response, answer_headers(answer, answer.cost)
        result = await answer.result()
        return answer.folded, answer_headers(answer, result.cost)
    finally:
        await answer.aclose()


async def stream(
    request: web.Request, answer: OpenAnswer, *, include_usage: bool, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Send an answer as server-sent events.

    Args:
        request: What is answered.
        answer: The open answer.
        include_usage: Whether the usage comes in a chunk of its own at the end.
        headers: Further headers.

    Raises:
        GatewayError: The answer broke off; the middleware says so in the last event.
        asyncio.CancelledError: The client left.
    """
    chunks = ChunkWriter(model=answer.model, request_id=request_id(request), include_usage=include_usage)
    writer = EventWriter(request, {**answer_headers(answer), **headers})
    try:
        async with aclosing(answer.events()) as events:
            async for event in events:
                for data in chunks.add(event):
                    await writer.write(data)
        for data in chunks.end():
            await writer.write(data)
    finally:
        await answer.aclose()
    return await writer.close()


def json_response(body: Json, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a JSON answer."""
    return raw_response(encode(body), headers)


def raw_response(body: bytes, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return JSON text as it is."""
    return web.Response(body=body, content_type="application/json", headers=headers)


def _header(value: str) -> str:
    """Write what a provider or a client said so that it fits into a header."""
    return quote(value, safe=" !#$&'()*+,/:;=?@[]|~")
