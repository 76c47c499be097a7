"""The clients: a closed loop of a fixed number of connections, each of which waits for its answer and asks again."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

from benchmarks.gateway.wire import MessageReader

MakeRequest = Callable[[int, int], bytes]
"""Makes the bytes of a request, by the number of its connection and its own number on it."""

PATIENCE = 40.0
"""Seconds after the end of the time in which what is under way must have ended."""


@dataclass(slots=True)
class Outcome:
    """What a load came to.

    Attributes:
        seconds: How long it lasted: until the first answer after its time, or all of them where each client asks so
            often and no more.
        latencies: Seconds of each whole answer, of those too that came when the load was over.
        first: Seconds until the first word of each answer.
        events: Server-sent events with data in all whole answers.
        errors: Answers that were none, had another status than 200, broke off, or did not end in time.
        under_load: How many whole answers came while the load lasted.
        events_under_load: How many events came while the load lasted, of whatever answers.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    events: int = 0
    errors: int = 0
    under_load: int = 0
    events_under_load: int = 0

    @property
    def rate(self) -> float:
        """Answers a second, while the load lasted."""
        return self.under_load / self.seconds

    @property
    def event_rate(self) -> float:
        """Events a second, while the load lasted."""
        return self.events_under_load / self.seconds

    def percentile(self, share: float) -> float:
        """Return the latency that a share of the answers stayed within."""
        return percentile(self.latencies, share)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of all stays within; NaN where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


@dataclass(slots=True)
class _Span:
    """The time in which clients ask.

    Attributes:
        until: When it is over at the earliest.
        waiting: How many clients have had no answer yet. It goes on for them: else a server that takes longer than it
            should last for an answer would have answered nothing.
        ended: When it was over.
    """

    until: float
    waiting: int
    ended: float | None = None

    def is_over(self) -> bool:
        """Return whether nobody is to ask again."""
        if self.ended is None and not self.waiting and (now := time.perf_counter()) >= self.until:
            self.ended = now
        return self.ended is not None


class _Client(asyncio.Protocol):
    """One client: a request at a time, over one connection for as long as the server keeps it."""

    def __init__(
        self, number: int, port: int, make: MakeRequest, outcome: Outcome, span: _Span, most: int | None
    ) -> None:
        self._number = number
        self._port = port
        self._make = make
        self._outcome = outcome
        self._span = span
        self._most = most
        self._reader = MessageReader()
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._asked = count()
        self._sent = 0.0
        self._asking = self._had_first = self._over = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def connect(self) -> None:
        """Open a connection."""
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._reader = transport, MessageReader()
        if self._over:
            transport.close()

    def go_on(self) -> None:
        """Ask, and again after each answer; or end, when it is time."""
        number = next(self._asked)
        if number == 1:
            self._span.waiting -= 1
        if self._span.is_over() or (self._most is not None and number >= self._most):
            self._end()
            return
        self._asking = True
        if self._transport is None:
            self._connecting = asyncio.create_task(self._ask_anew(number))
        else:
            self._ask(self._transport, number)

    def _ask(self, transport: asyncio.Transport, number: int) -> None:
        self._reader.reset()
        self._had_first = False
        request = self._make(self._number, number)
        self._sent = time.perf_counter()
        transport.write(request)

    async def _ask_anew(self, number: int) -> None:
        with suppress(OSError):
            await self.connect()
        if self._transport is None:
            self._fail()
        elif not self._over:
            self._ask(self._transport, number)

    def data_received(self, data: bytes) -> None:
        before = self._reader.events
        complete = self._reader.feed(data)
        head, outcome = self._reader.head, self._outcome
        if head is None:
            return
        if self._span.ended is None:
            outcome.events_under_load += self._reader.events - before
        if not self._had_first and (complete or self._reader.spoken):
            self._had_first = True
            outcome.first.append(time.perf_counter() - self._sent)
        if complete:
            self._asking = False
            whole = head.length is not None or self._reader.finished
            if whole and head.start.split(b" ", 2)[1] == b"200":
                outcome.latencies.append(time.perf_counter() - self._sent)
                outcome.events += self._reader.events
                outcome.under_load += self._span.ended is None
            else:
                outcome.errors += 1
            self.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._over:
            self._finish()
        elif self._asking:
            self._fail()

    def _fail(self) -> None:
        """Count what was asked as an error, and ask again."""
        if not self._over:
            self._asking = False
            self._outcome.errors += 1
            self.go_on()

    def give_up(self) -> None:
        """Wait no longer."""
        if not self._over:
            self._outcome.errors += 1
            self._end()

    def _end(self) -> None:
        self._over = True
        if self._transport is None:
            self._finish()
        else:
            self._transport.close()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def run(
    port: int, make: MakeRequest, connections: int, seconds: float, most: int | None = None, spread: float = 0.0
) -> Outcome:
    """Load a server.

    Args:
        port: Where it listens, on this machine.
        make: Makes the requests.
        connections: How many clients there are.
        seconds: After which, once each had an answer, no client asks again; what is under way is waited for.
        most: Requests of each client, at most.
        spread: Seconds over which the clients begin.
    """
    loop, outcome, span = asyncio.get_running_loop(), Outcome(), _Span(0.0, connections)
    clients = [_Client(number, port, make, outcome, span, most) for number in range(connections)]
    for client in clients:
        await client.connect()
    begun = time.perf_counter()
    span.until = begun + seconds
    for number, client in enumerate(clients):
        loop.call_later(spread * number / connections, client.go_on)
    waited = [client.done for client in clients]
    await asyncio.wait(waited, timeout=seconds + PATIENCE)
    for client in clients:
        client.give_up()
    await asyncio.wait(waited)
    outcome.seconds = (span.ended or time.perf_counter()) - begun
    return outcome


def median(values: Sequence[float]) -> float:
    """Return the median; NaN of nothing."""
    return statistics.median(values) if values else float("nan")
