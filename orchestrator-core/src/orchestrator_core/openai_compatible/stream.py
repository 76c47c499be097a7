"""One chat call on the wire, whole or streamed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Final, Protocol, TypeAlias

import pydantic_core

from orchestrator_core.openai_compatible.errors import error_for_answer, error_in_answer
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    ChatEvent,
    ChatEvents,
    Deadline,
    NativeEvent,
    NativeOnly,
    ProviderBadResponse,
    ProviderError,
    ProviderFailed,
    ProviderRefused,
    ProviderTimeout,
    Secret,
    ServerSentEvent,
    UpstreamClient,
)

OnRefusal: TypeAlias = Callable[[ProviderRefused], ChatEvents | None]
"""Says what is done instead where the vendor refused before it answered; None where nothing is."""


class Parser(Protocol):
    """Turns one answer into events, see `AnswerParser`."""

    def body(self, data: bytes) -> list[ChatEvent]:
        """Return the events of a whole answer."""
        ...

    def chunk(self, data: bytes, event: str | None = None) -> list[ChatEvent]:
        """Return the events of one server-sent event."""
        ...

    def skims(self, event: ServerSentEvent) -> int | None:
        """Return the bytes of text in an event that is for a client of the same dialect alone, or None."""
        ...

    def complete(self, *, closed: bool) -> bool:
        """Say whether the answer has its end."""
        ...


def check_answer(status: int, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Refuse an answer that is no JSON under a 2xx.

    Raises:
        ProviderError: As its status and body say.
    """
    if not 200 <= status < 300:
        raise error_for_answer(status, headers, body, now)
    if not body:
        raise ProviderBadResponse("The provider's answer is empty.", upstream_status=status)
    kind = headers.get("content-type", "")
    if kind and "json" not in kind:
        raise ProviderBadResponse("The provider's answer is not labelled as JSON.", upstream_status=status)


async def whole_chat(
    client: UpstreamClient,
    url: str,
    body: bytes,
    parser: Parser,
    *,
    deadline: Deadline,
    credential: Secret | None,
    headers: Mapping[str, str] | None,
    clock: Callable[[], float],
    refused: OnRefusal,
) -> ChatEvents:
    """Ask for a whole answer and yield its events, all together.

    Raises:
        ProviderError: The provider could not be reached, refused, or answered nonsense.
    """
    try:
        response = await client.request(
            "POST", url, deadline=deadline, credential=credential, headers=headers, body=body
        )
        check_answer(response.status, response.headers, response.body, clock())
        answered = parser.body(response.body)
    except ProviderRefused as error:
        other = refused(error)
        if other is None:
            raise
        async with aclosing(other) as events:
            async for given in events:
                yield given
        return
    yield answered


async def stream_chat(
    client: UpstreamClient,
    url: str,
    body: bytes,
    parser: Parser,
    *,
    deadline: Deadline,
    credential: Secret | None,
    headers: Mapping[str, str] | None,
    clock: Callable[[], float],
    refused: OnRefusal,
) -> ChatEvents:
    """Ask for a stream and yield its events, those together that came together.

    The answer is complete when every choice has its finish reason, with or without `[DONE]`: what breaks after
    that has cost nobody anything.

    Raises:
        ProviderError: The provider could not be reached, refused, failed while it answered, or ended early.
    """
    begun = False
    try:
        async with client.stream(
            "POST", url, deadline=deadline, credential=credential, headers=headers, body=body
        ) as stream:
            del body  # it would be kept for as long as the answer takes
            if stream.status != 200 or not stream.headers.get("content-type", "").startswith("text/event-stream"):
                raise _no_stream(stream.status, stream.headers, await stream.read(), clock())
            async with aclosing(stream.batches()) as upstream:
                while True:
                    try:
                        batch: Sequence[ServerSentEvent | None] = await anext(upstream)
                    except StopAsyncIteration:
                        batch = _END
                    except (ProviderFailed, ProviderTimeout):
                        if parser.complete(closed=False):
                            return
                        raise
                    answered: list[ChatEvent] = []
                    try:
                        ended = _read(batch, parser, answered)
                    except ProviderError:
                        begun = begun or bool(answered)
                        yield answered  # what came before the error is the caller's
                        raise
                    begun = begun or bool(answered)
                    yield answered
                    if ended:
                        return
    except ProviderRefused as error:
        other = None if begun else refused(error)
        if other is None:
            raise
        async with aclosing(other) as events:
            async for given in events:
                yield given


_END: Final = (None,)
"""What stands for a batch after the last one."""


def _read(batch: Sequence[ServerSentEvent | None], parser: Parser, answered: list[ChatEvent]) -> bool:
    """Add the canonical events of those that came together; return whether the answer is at its end.

    Raises:
        ProviderError: One of them is an error, or they end before the answer is complete.
    """
    skimmed: list[bytes] = []
    size = 0
    for event in batch:
        if event is not None and (text := parser.skims(event)) is not None:
            skimmed.append(event.data)
            size += text
            continue
        if skimmed:
            answered.append(_together(skimmed, size))
            skimmed, size = [], 0
        closed = event is not None and event.data.strip() == b"[DONE]"
        if event is None or closed:
            if not parser.complete(closed=closed):
                raise ProviderBadResponse("The provider's stream ended before the answer was complete.")
            return True
        if event.data:
            answered += parser.chunk(event.data, event.event)
    if skimmed:
        answered.append(_together(skimmed, size))
    return False


def _together(skimmed: Sequence[bytes], size: int) -> ChatEvent:
    return NativeOnly(native=NativeEvent(OPENAI_CHAT, skimmed[0], more=tuple(skimmed[1:])), text_bytes=size)


def _no_stream(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Exception:
    """Return the error of an answer that is no stream although one was asked for."""
    if not 200 <= status < 300:
        return error_for_answer(status, headers, body, now)
    try:
        parsed = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError:
        parsed = None
    if isinstance(parsed, dict) and (parsed.get("error") or parsed.get("object") == "error"):
        return error_in_answer(parsed, streamed=False)
    return ProviderBadResponse("The provider sent no stream although one was asked for.", upstream_status=status)
