"""Stops a gateway with many streams under way again and again, and reads every stream to its end."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from left_open import turns_by_state
from processes import GatewayProcess
from provider_faults import KEY
from surfaces import ORCHESTRATE, SURFACES, Surface

EVERY = 0.25
"""Seconds from one word of a stream to the next."""

CANCELLING = 5.0
"""Seconds that the gateway takes at most, beyond the grace period, to tell those who are left."""

Start = Callable[[Path, dict[str, str]], GatewayProcess]


@dataclass
class Tally:
    """What came of it.

    Attributes:
        stops: How often the gateway was stopped.
        complete: Streams that came to their own end.
        ended: Streams that were told of the stop by one last event.
        turned_away: Requests after the signal that were told that the gateway is stopping.
        seconds: From the signal to the end of the process, of stops that waited for streams to end by themselves.
        wrong: What must not be.
    """

    stops: int = 0
    complete: int = 0
    ended: int = 0
    turned_away: int = 0
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class GracefulStops:
    """A gateway, many who read streams of it, and the hand that stops it."""

    def __init__(self, start: Start, folder: Path, upstream: str, seed: int, *, streams: int) -> None:
        """Prepare.

        Args:
            start: Starts a gateway in a folder with an environment.
            folder: Holds a folder for each stop.
            upstream: The address of a `TickingUpstream` with `EVERY`.
            seed: Chooses.
            streams: How many there are at each stop.
        """
        self._start = start
        self._folder = folder
        self._upstream = upstream
        self._chance = random.Random(seed)
        self._streams = streams
        self.tally = Tally()

    async def run(self, stops: int, grace: float, told: Callable[[Tally], None] = lambda tally: None) -> Tally:
        """Stop so often: in turn with streams that end within the grace period, and with streams that do not."""
        for number in range(stops):
            await self._stop(number, grace, in_time=number % 2 == 0)
            told(self.tally)
        return self.tally

    async def _stop(self, number: int, grace: float, *, in_time: bool) -> None:
        folder = self._folder / f"stop-{number}"
        folder.mkdir()
        environ = {
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": f"{self._upstream}/v1",
            "ORCHESTRATOR_PROVIDERS": "openai,echo",
            "ORCHESTRATOR_SHUTDOWN_GRACE": str(grace * 4 if in_time else grace),
            "ORCHESTRATOR_MAX_CALLS_IN_FLIGHT": "1000",
            "ORCHESTRATOR_MAX_CONNECTIONS": "1100",
            "MONITORING_ENABLED": "false",
            "LOG_LEVEL": "ERROR",
        }
        gateway = await asyncio.to_thread(self._start, folder, environ)
        began, reading = asyncio.Semaphore(0), []
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            for _ in range(self._streams):
                surface = self._chance.choice(SURFACES)
                # Within the grace period from the moment at which the last of them has begun, or never.
                words = self._chance.randrange(1, round(grace * 2 / EVERY)) if in_time else None
                reading.append(asyncio.create_task(self._read(http, gateway, surface, words, began)))
            async with asyncio.timeout(60):
                for _ in range(self._streams):
                    await began.acquire()
            await asyncio.sleep(self._chance.uniform(0.0, 0.3))
            under_way = sum(not task.done() for task in reading)
            gateway.process.send_signal(signal.SIGTERM)
            signalled = time.monotonic()
            await self._come_late(http, gateway)
            async with asyncio.timeout(grace * 4 + 60):
                surfaces = await asyncio.gather(*reading)
        code = await asyncio.to_thread(gateway.process.wait, 30)
        seconds = time.monotonic() - signalled
        self.tally.stops += 1
        self._look_back(gateway, Counter(surfaces), code, in_time=in_time)
        if in_time:
            self.tally.seconds.append(seconds)
        elif not grace <= seconds <= grace + CANCELLING + 1:
            self.tally.wrong.append(f"stopped after {seconds:.1f} s")
        if not in_time and under_way < self._streams:
            self.tally.wrong.append(f"{self._streams - under_way} streams had ended before the signal")

    async def _read(
        self,
        http: aiohttp.ClientSession,
        gateway: GatewayProcess,
        surface: Surface,
        words: int | None,
        began: asyncio.Semaphore,
    ) -> str:
        """Read a stream to its end and judge it; return the name of its surface."""
        path, body = surface.request("openai", "ticks" if words is None else f"ticks-{words}", stream=True)
        said = b""
        try:
            async with http.post(gateway.url + path, json=body) as reply:
                status, kind = reply.status, reply.headers["Content-Type"]
                async for piece in reply.content.iter_any():
                    if b"tick" in piece and b"tick" not in said:
                        began.release()
                    said += piece
        except aiohttp.ClientError as error:
            self.tally.wrong.append(f"cut off: {surface.name}: {error!r} after {said[-200:]!r}")
            return surface.name
        read = surface.read(kind, said)
        if status != 200 or read.endings != 1 or not read.last:
            self.tally.wrong.append(f"{surface.name}: {status}, {read.endings} endings: {said[-300:]!r}")
        elif words is None:
            self.tally.ended += 1
            if not read.failed or (surface.has_codes and read.code != "shutting_down"):
                self.tally.wrong.append(f"{surface.name}: ended with {said[-300:]!r}")
        else:
            self.tally.complete += 1
            if read.failed or read.text != "tick " * words:
                self.tally.wrong.append(f"{surface.name}: {words} words asked for: {said[-300:]!r}")
        return surface.name

    async def _come_late(self, http: aiohttp.ClientSession, gateway: GatewayProcess) -> None:
        """Ask for something after the signal."""
        await asyncio.sleep(0.1)
        path, body = ORCHESTRATE.request("echo", "echo-1", stream=False)
        for method, where in (("GET", "/health/ready"), ("POST", path)):
            async with http.request(method, gateway.url + where, data=json.dumps(body), headers=_JSON) as reply:
                if reply.status == 503:
                    self.tally.turned_away += 1
                else:
                    self.tally.wrong.append(f"{where} after the signal: {reply.status}")

    def _look_back(self, gateway: GatewayProcess, surfaces: Counter[str], code: int, *, in_time: bool) -> None:
        if code != 0:
            self.tally.wrong.append(f"exit code {code}")
        if "ERROR" in gateway.output():
            self.tally.wrong.append(f"errors in the log: {gateway.output()[-1000:]}")
        expected = {"complete" if in_time else "interrupted": surfaces[ORCHESTRATE.name]}
        if (stored := dict(turns_by_state(gateway))) != expected:
            self.tally.wrong.append(f"stored {stored}, expected {expected}")


_JSON = {"Content-Type": "application/json"}
