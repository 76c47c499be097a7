"""Writing an open answer to the client of an SDK: its headers, its stream, its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, Protocol, TypeAlias
from urllib.parse import quote

from aiohttp import web

from orchestrator_core.orchestration import Answer, EmbeddingAnswer, TurnAnswer, reading
from orchestrator_core.provider_api import ChatEvent, Json, ServerSentEvent
from orchestrator_core.server.sse import EventWriter
from orchestrator_core.server.translate.openai_response import encode

_REMEMBERED: Final = 256
_LONGEST: Final = 2_000
"""Characters of the names in a header, which clients take no more than some thousands of."""

OpenAnswer: TypeAlias = Answer | TurnAnswer

COST: Final = "x-orchestrator-cost"
"""The header, or the comment at the end of a stream, that says the USD."""


def answer_headers(answer: OpenAnswer | EmbeddingAnswer, cost: float | None = None) -> dict[str, str]:
    """Return the gateway's own facts about an answer.

    `x-orchestrator-provider` and `-model` say who answered, `-attempts` how many targets were tried or passed over,
    `-dropped` what of the request the provider could not take whole, and `-cost` the USD, where they are known. Every
    response has its `-request-id`, from the middleware.

    Args:
        answer: The answer.
        cost: USD; a stream has begun before anybody knows, and says it in a comment at its end.
    """
    adjustments = answer.response.adjustments if isinstance(answer, EmbeddingAnswer) else answer.adjustments
    headers = {
        "x-orchestrator-provider": answer.provider,
        "x-orchestrator-model": _header(answer.model),
        "x-orchestrator-attempts": str(len(answer.attempts)),
    }
    if dropped := [each.subject for each in adjustments if each.action != "mapped"]:
        names = _quoted(", ".join(dict.fromkeys(dropped)))
        headers["x-orchestrator-dropped"] = names if len(names) <= _LONGEST else f"{names[:_LONGEST]}..."
    if cost is not None:
        headers[COST] = _dollars(cost)
    return headers


async def drain(answer: OpenAnswer) -> dict[str, str]:
    """Take an answer to its end; return its headers.

    Raises:
        GatewayError: The answer broke off.
    """
    if isinstance(answer, Answer):
        await answer.drain()
        return answer_headers(answer, answer.cost)
    result = await answer.result()
    return answer_headers(answer, result.cost)


def own_bytes(answer: OpenAnswer, dialect: str) -> bytes | None:
    """Return the upstream's bytes of an answer that was not streamed, where they are of the client's dialect."""
    native = answer.native
    return native.data if native is not None and native.dialect == dialect else None


class StreamTranslator(Protocol):
    """Turns events into the server-sent events of a dialect, or into their data where they have no names."""

    def add(self, event: ChatEvent) -> Iterable[bytes] | Iterable[ServerSentEvent]:
        """Return what an event makes."""
        ...

    def end(self) -> Iterator[bytes] | Iterator[ServerSentEvent]:
        """Yield what ends a stream that is complete."""
        ...


async def stream(
    request: web.Request, answer: OpenAnswer, translator: StreamTranslator, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Send an answer as server-sent events, with what it cost in a comment before what ends it.

    Args:
        request: What is answered.
        answer: The open answer.
        translator: Speaks the client's dialect.
        headers: Further headers.

    Raises:
        GatewayError: The answer broke off; the middleware says so in the last event.
        asyncio.CancelledError: The client left.
    """
    writer = EventWriter(request, {**answer_headers(answer), **headers})
    try:
        async with reading(answer.batches()) as batches:
            async for events in batches:
                items: list[bytes | ServerSentEvent] = []
                for event in events:
                    items += translator.add(event)
                if items:
                    await writer.write(*items)
        cost = answer.cost if isinstance(answer, Answer) else (await answer.result()).cost
        if cost is not None:
            await writer.comment(f"{COST}: {_dollars(cost)}")
        return await writer.end(*translator.end())
    finally:
        await answer.aclose()


def json_response(body: Json, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a JSON answer."""
    return raw_response(encode(body), headers)


def raw_response(body: bytes, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return JSON text as it is."""
    return web.Response(body=body, content_type="application/json", headers=headers)


def _dollars(cost: float) -> str:
    return f"{cost:.10f}".rstrip("0").rstrip(".")


def _quoted(value: str) -> str:
    """Write what a provider or a client said so that it fits into a header."""
    return quote(value, safe=" !#$&'()*+,/:;=?@[]|~")


_header = lru_cache(_REMEMBERED)(_quoted)
"""The same of names of models, which are short and come again."""
