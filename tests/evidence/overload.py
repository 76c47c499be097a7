"""More than the gateway can take: how much is answered, how quickly the rest is refused, and what it weighs.

    python tests/evidence/overload.py --seconds 15

Requests come at a fixed rate, whether or not those before them are answered. First a provider that takes a second for
each answer, with a bound of calls in flight: from half of what it can do to five times that. Then one that answers at
once, so that the processor is the bound: from half of the gateway's best to three times that. The gateway and the
vendor are processes of their own; the client is this one.

It ends with 1 where, at five times the capacity, less than 90 % of the best is answered, a refusal takes more than
20 ms at p99 or has no Retry-After, or memory grows by more than 64 MiB. What the processor does is shown, not judged.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.gateway.wire import MessageReader
from processes import GatewayProcess, find_free_port, running_gateways

ANSWER_TAKES = 1.0
TIMES = (0.5, 1, 2, 5)
TIMES_OF_PROCESSOR = (0.5, 0.8, 1, 1.5, 2, 3)
CONNECTIONS = 1000
SETTLED = 2.0
"""Seconds after which a rate is taken to be steady."""

AT_ONCE = 32
"""Requests at a time where the gateway's best is looked for."""

REFUSED_WITHIN = 0.020
LEAST_GOODPUT = 0.9
MOST_GROWTH = 64.0


@dataclass
class Load:
    """What came of a rate.

    Attributes:
        offered: Requests a second.
        answered: Seconds of those that were answered.
        refused: Seconds of those that were refused.
        in_time: Answers that came while requests were offered, without the first second.
        statuses: How many had each status, or none.
        without_hint: Refusals that do not say when to come again.
        memory: The most MiB that the gateway had resident meanwhile.
    """

    offered: float
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    in_time: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    without_hint: int = 0
    memory: float = 0.0
    _from: float = 0.0
    _until: float = 0.0

    def begin(self, now: float, seconds: float) -> None:
        """Begin to count: steadily, what comes after `SETTLED` seconds."""
        self._from, self._until = now + min(SETTLED, seconds / 2), now + seconds

    def note(self, status: str, seconds: float, *, hint: bool) -> None:
        """Note an answer."""
        self.statuses[status] += 1
        if status == "200":
            self.answered.append(seconds)
            self.in_time += self._from <= time.perf_counter() < self._until
        else:
            self.refused.append(seconds)
            self.without_hint += not hint

    @property
    def goodput(self) -> float:
        """Answers a second."""
        return self.in_time / (self._until - self._from)

    def row(self) -> str:
        """Return it as a row of a table."""
        cells = [
            f"{self.offered:.0f}",
            f"{self.goodput:.0f}",
            _times(self.answered),
            str(len(self.refused)),
            _times(self.refused),
            str(self.statuses["not sent"]),
            f"{self.memory:.0f}",
        ]
        return f"| {' | '.join(cells)} |"


HEAD = (
    "| Offered a second | Answered a second | its ms, p50 / p99 | Refused | its ms, p50 / p99 | Not sent | MiB |\n"
    "|---|---|---|---|---|---|---|"
)


def _times(seconds: list[float]) -> str:
    return f"{p(seconds, 50) * 1e3:.0f} / {p(seconds, 99) * 1e3:.0f}" if seconds else ""


def p(values: list[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1] if len(values) > 1 else values[0]


class Connection(asyncio.Protocol):
    """A connection of the client; one request at a time. A raw protocol, so that the client is not what is measured."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._reader = MessageReader()
        self._head = b""
        self._load: Load | None = None
        self._sent = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, request: bytes, load: Load) -> None:
        """Send a request, which is what the load is told of."""
        assert self.transport is not None
        self._reader.reset()
        self._head, self._load = b"", load
        self._sent = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if b"\r\n\r\n" not in self._head:
            self._head += data
        if self._reader.feed(data) and self._load is not None and self._reader.head is not None:
            status = self._reader.head.start.split(b" ", 2)[1].decode()
            self._load.note(status, time.perf_counter() - self._sent, hint=b"retry-after:" in self._head.lower())
            self._load = None
            self._bench.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._load is not None:
            self._load.statuses["lost"] += 1
        else:
            self._bench.idle.remove(self)  # the gateway closes what is idle for long
        self._bench.open -= 1


class Bench:
    """A gateway and its client, which has so many connections.

    Attributes:
        idle: Connections without a request.
        open: Connections.
    """

    def __init__(self, gateway: GatewayProcess, model: str) -> None:
        self._port = int(gateway.url.rpartition(":")[2])
        self._pid = gateway.process.pid
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "ping"}]}).encode()
        head = f"Host: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        self._request = f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n\r\n".encode() + body
        self.idle: deque[Connection] = deque()
        self.open = 0

    async def connect(self) -> None:
        """Open what is missing of the connections."""
        loop = asyncio.get_running_loop()
        while self.open < CONNECTIONS:
            _, connection = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._port)
            self.open += 1
            self.idle.append(connection)
        await asyncio.sleep(SETTLED)  # a thousand handshakes are not what is measured

    async def offer(self, rate: float, seconds: float) -> Load:
        """Offer a rate for so many seconds, and wait for what is left."""
        await self.connect()
        load, began, number = Load(rate), time.perf_counter(), 0
        load.begin(began, seconds)
        while (passed := time.perf_counter() - began) < seconds:
            for _ in range(int(passed * rate) - number):
                number += 1
                if self.idle:
                    self.idle.popleft().ask(self._request, load)
                else:
                    load.statuses["not sent"] += 1
            load.memory = max(load.memory, self.memory())
            await asyncio.sleep(0.005)
        while len(self.idle) < self.open:
            await asyncio.sleep(0.05)
        return load

    async def best(self, seconds: float) -> float:
        """Return the answers a second with a few requests at a time."""
        await self.connect()
        load = Load(0)
        load.begin(time.perf_counter(), seconds)
        ends, rest = time.perf_counter() + seconds, len(self.idle) - AT_ONCE
        while time.perf_counter() < ends:
            while len(self.idle) > rest:
                self.idle.popleft().ask(self._request, load)
            await asyncio.sleep(0.002)
        while len(self.idle) < self.open:
            await asyncio.sleep(0.05)
        return load.goodput

    def memory(self) -> float:
        """Return the MiB that the gateway has resident."""
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@asynccontextmanager
async def slow_vendor() -> AsyncIterator[str]:
    """Serve a vendor that takes its time for each answer."""

    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(ANSWER_TAKES)
        choice = {"index": 0, "message": {"role": "assistant", "content": "pong"}, "finish_reason": "stop"}
        return web.json_response({"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@contextmanager
def quick_vendor() -> Iterator[str]:
    """Run a vendor that answers at once, in a process of its own."""
    port = find_free_port()
    command = [sys.executable, "-m", "benchmarks.gateway.upstream", str(port)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1])
    try:
        time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


@asynccontextmanager
async def bench(base_url: str, **environ: str) -> AsyncIterator[Bench]:
    """Run a gateway over a vendor."""
    settings = {
        "ORCHESTRATOR_SERVERS": json.dumps({"vendor": {"base_url": base_url}}),
        "ORCHESTRATOR_MAX_CLIENT_CONNECTIONS_PER_ADDRESS": "10000",
        "ORCHESTRATOR_CLIENT_HEAD_TIMEOUT": "900",  # the client's connections are there all the time
        "ORCHESTRATOR_CLIENT_IDLE_TIMEOUT": "900",
        "MONITORING_ENABLED": "false",
        "LOG_LEVEL": "ERROR",
        **environ,
    }
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (gateway,) = await asyncio.to_thread(stack.enter_context, running_gateways(folder, settings))
        made = Bench(gateway, "vendor/m")
        yield made
        for connection in made.idle:
            if connection.transport is not None:
                connection.transport.close()
        await asyncio.to_thread(stack.close)


async def over_a_bound(places: int, seconds: float) -> list[Load]:
    """Offer more than a bound of calls in flight allows."""
    async with slow_vendor() as url, bench(url, ORCHESTRATOR_MAX_CALLS_IN_FLIGHT=str(places)) as run:
        await run.offer(places / ANSWER_TAKES, 3)  # warms everything up
        return [await run.offer(times * places / ANSWER_TAKES, seconds) for times in TIMES]


async def over_the_processor(seconds: float) -> list[Load]:
    """Offer more than the processor can do."""
    with ExitStack() as stack:
        url = await asyncio.to_thread(stack.enter_context, quick_vendor())
        async with bench(url) as run:
            await run.best(2)
            most = await run.best(seconds)
            print(f"\nThe best with {AT_ONCE} requests at a time: {most:.0f} a second.")
            return [await run.offer(times * most, seconds) for times in TIMES_OF_PROCESSOR]


def judge(loads: list[Load]) -> list[str]:
    """Return the goals that were missed at the highest rate."""
    best, last = max(load.goodput for load in loads), loads[-1]
    missed = []
    if last.goodput < LEAST_GOODPUT * best:
        missed.append(f"goodput {last.goodput:.0f} of {best:.0f}")
    if p(last.refused, 99) > REFUSED_WITHIN:
        missed.append(f"refusals in {p(last.refused, 99) * 1e3:.0f} ms at p99")
    if last.without_hint:
        missed.append(f"{last.without_hint} refusals without Retry-After")
    if last.memory - loads[0].memory > MOST_GROWTH:
        missed.append(f"{last.memory - loads[0].memory:.0f} MiB more memory")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15, help="of each rate")
    parser.add_argument("--places", type=int, default=40, help="calls in flight")
    options = parser.parse_args()
    bounded = asyncio.run(over_a_bound(options.places, options.seconds))
    print(f"{options.places} calls in flight, each of {ANSWER_TAKES:g} s:\n\n{HEAD}")
    for load in bounded:
        print(load.row())
    processor = asyncio.run(over_the_processor(options.seconds))
    print(f"\n{HEAD}")
    for load in processor:
        print(load.row())
    others = sum((load.statuses for load in (*bounded, *processor)), Counter())
    print(f"\nStatuses: {dict(others)}")
    missed = judge(bounded)
    print(f"Missed: {', '.join(missed) or 'nothing'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
