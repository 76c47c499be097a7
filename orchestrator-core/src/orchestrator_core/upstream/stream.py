"""An open answer of an upstream: read as events, or whole."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from types import TracebackType

import aiohttp
from multidict import MultiMapping

from orchestrator_core.provider_api import (
    Deadline,
    ProviderBadResponse,
    ProviderTimeout,
    Secret,
    ServerSentEvent,
)
from orchestrator_core.resilience.waits import Waits
from orchestrator_core.upstream.failures import after_headers, too_large
from orchestrator_core.upstream.limits import UpstreamLimits
from orchestrator_core.upstream.sse import EventParser

LOOK_AFTER = 1.0
"""Seconds of silence after which to look whether the connection still is one, at most."""

SETTLE_TIME = 0.02
"""Seconds for which the end of an answer is waited for, once its reader is done."""


class Answer:
    """The answer of one call, whose headers have come; it implements `UpstreamStream`.

    Attributes:
        status: The HTTP status.
        headers: With lower-case names; of a repeated header the first counts.
    """

    __slots__ = (
        "_content",
        "_deadline",
        "_first_event_at",
        "_limits",
        "_masked",
        "_patience",
        "_response",
        "_waiting",
        "_waits",
        "headers",
        "status",
    )

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        limits: UpstreamLimits,
        deadline: Deadline,
        *,
        first_event_at: float,
        masked: Secret | None,
        waiting: AbstractContextManager[None],
        waits: Waits,
    ) -> None:
        """Wrap an answer.

        Args:
            response: It must have headers; its owner closes it.
            limits: The bounds on sizes.
            deadline: The bounds on time.
            first_event_at: When the first event of a stream must have come, in the loop's time.
            masked: The credential to mask in all that is handed on.
            waiting: Stands around each wait, one after the other.
            waits: Looks after the time of each.
        """
        self._waiting = waiting
        self._waits = waits
        self.status = response.status
        self.headers: Mapping[str, str] = _Headers(response.headers, masked)
        self._response = response
        self._content = response.content
        self._limits = limits
        self._deadline = deadline
        self._first_event_at = first_event_at
        self._masked = masked
        self._patience: _Patience | None = None

    async def events(self) -> AsyncGenerator[ServerSentEvent, None]:
        """Yield the events, see `UpstreamStream.events`."""
        async with aclosing(self.batches()) as batches:
            async for batch in batches:
                for event in batch:
                    yield event

    async def batches(self) -> AsyncGenerator[Sequence[ServerSentEvent], None]:
        """Yield the events that came together, see `UpstreamStream.batches`."""
        if self.headers.get("content-type", "").partition(";")[0].strip().lower() != "text/event-stream":
            raise ProviderBadResponse(
                "The provider answered with something that is no event stream.", upstream_status=self.status
            )
        loop = asyncio.get_running_loop()
        parser = EventParser(self._limits.max_event_bytes, None if self._masked is None else self._masked.redact_bytes)
        ends = loop.time() + self._deadline.remaining()
        patience = self._wait_until(min(self._first_event_at, ends))
        received, broken = 0, None
        while broken is None:
            try:
                with self._waiting, patience:
                    chunk = await self._content.readany()
            except TimeoutError:
                raise ProviderTimeout(
                    "The provider's stream did not end in time."
                    if patience.latest == ends
                    else "The provider's stream fell silent. Try again."
                ) from None
            except aiohttp.ClientError as error:
                broken = after_headers(error)
                # What came before the break is the caller's, but aiohttp has no public way to it any more.
                chunk = self._content._read_nowait(-1)  # noqa: SLF001
            else:
                if not chunk:
                    return
            received += len(chunk)
            if received > self._limits.max_stream_bytes:
                raise too_large(self._limits.max_stream_bytes)
            progress = parser.progress
            if events := parser.feed(chunk):
                yield events
            if parser.progress != progress:
                patience.latest = min(loop.time() + self._deadline.idle, ends)
        raise broken

    async def read(self, max_bytes: int | None = None) -> bytes:
        """Read the rest as one body, see `UpstreamStream.read`.

        Args:
            max_bytes: The largest body to read; the configured limit where None.
        """
        limit = self._limits.max_response_bytes if max_bytes is None else max_bytes
        chunks: list[bytes] = []
        received, ends = 0, math.inf
        try:
            while not self._content.at_eof():  # most answers come with their head: nothing is waited for then
                if not (chunk := self._content.read_nowait()):
                    if (self._response.content_length or 0) > limit:
                        raise too_large(limit)
                    ends = min(ends, asyncio.get_running_loop().time() + self._deadline.remaining())
                    with self._waiting, self._wait_until(ends):
                        chunk = await self._content.readany()
                received += len(chunk)
                if received > limit:
                    raise too_large(limit)
                chunks.append(chunk)
        except TimeoutError:
            raise ProviderTimeout("The provider's answer was not complete in time.") from None
        except aiohttp.ClientError as error:
            raise after_headers(error) from None
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return body if self._masked is None else self._masked.redact_bytes(body)

    async def settle(self) -> None:
        """Let the end of an answer arrive that its reader has read as far as it cares.

        A stream is left at its last event (`[DONE]`), and the few bytes that end the body come a moment later: a
        connection that is closed before them could not be used again, and each call would begin with a handshake.
        """
        if self._content.at_eof():
            return
        try:
            with self._waiting:
                async with asyncio.timeout(SETTLE_TIME):
                    while await self._content.readany():
                        pass
        except (TimeoutError, aiohttp.ClientError):
            return

    def close(self) -> None:
        """Close the connection, unless the answer is at its end."""
        if self._patience is not None:
            self._patience.stop()
        if self._response.connection is not None:
            self._response.close()

    def _wait_until(self, latest: float) -> _Patience:
        """Return what to stand around waits for bytes, which end by `TimeoutError` then, in the loop's time."""
        if self._patience is None:
            # Whole answers may come of a call that names no time of silence.
            self._patience = _Patience(self._response, self._waits, min(LOOK_AFTER, self._deadline.idle) or LOOK_AFTER)
        self._patience.latest = latest
        return self._patience


class _Patience:
    """Stands around waits for bytes. Ends one that lasts too long, or that nothing will end.

    It is told to look now and then, and not each time that bytes are waited for. Then it also looks whether the
    connection still is one: aiohttp leaves its reader waiting where the upstream breaks HTTP's framing within a body.

    Attributes:
        latest: When a wait must be over, in the loop's time. It may be moved to any time that is at least as far away
            as two looks are from each other.
        until: When it looks next.
    """

    __slots__ = ("_every", "_looks", "_response", "_waited_for", "_waits", "latest", "until")

    def __init__(self, response: aiohttp.ClientResponse, waits: Waits, every: float) -> None:
        """Begin without a wait.

        Args:
            response: Whose bytes are waited for.
            waits: Tells it to look.
            every: Seconds between two looks, at most.
        """
        self.latest = self.until = math.inf
        self._response = response
        self._waits = waits
        self._every = every
        self._waited_for = self._looks = False

    def __enter__(self) -> None:
        self._waited_for = True
        if not self._looks:
            self._look_again()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._waited_for = False

    def stop(self) -> None:
        """Look no more."""
        self._waits.end(self)

    def expire(self) -> None:
        """Look."""
        self._looks = False
        if not self._waited_for:
            return
        connection = self._response.connection
        if connection is not None and connection.transport is None:
            self._response.content.set_exception(aiohttp.ClientPayloadError())
        elif self.until >= self.latest:
            self._response.content.set_exception(TimeoutError())
        else:
            self._look_again()

    def _look_again(self) -> None:
        self._looks = True
        # All answers are looked at in the same moments, so that one timer serves them.
        self.until = min(self.latest, (self._waits.loop.time() // self._every + 1) * self._every)
        self._waits.begin(self)


class _Headers(Mapping[str, str]):
    """An answer's headers. Most are never asked for, so each is made plain when it is."""

    __slots__ = ("_masked", "_sent")

    def __init__(self, sent: MultiMapping[str], masked: Secret | None) -> None:
        self._sent = sent
        self._masked = masked

    def __getitem__(self, name: str) -> str:
        value = _clean(self._sent[name])
        return value if self._masked is None else self._masked.redact(value)

    def __iter__(self) -> Iterator[str]:
        return iter({name.lower(): None for name in self._sent})

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _clean(value: str) -> str:
    """Replace bytes that are no UTF-8: aiohttp keeps them as lone surrogates, which nothing after it can encode."""
    return value if value.isascii() else value.encode("ascii", "replace").decode("ascii")
