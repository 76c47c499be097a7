"""Clients that leave a gateway at random moments, and what becomes of what they had asked for."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from fake_upstreams.misbehaving import MisbehavingUpstream
from left_open import look_when_quiet
from processes import GatewayProcess
from surfaces import ORCHESTRATE, SURFACES, Surface, events_of

WITHIN = 1.0
"""Seconds in which the call to the provider must have ended."""

BREAKS = ("before", "in the headers", "in the stream", "in the answer")
"""Before the request is whole; before anything came; while a stream comes; while a whole answer is under way."""

_BEHAVIOURS = {"in the headers": "hang", "in the stream": "sse-endless", "in the answer": "slow-body"}


@dataclass
class Tally:
    """What came of it.

    Attributes:
        left: How many clients left when.
        reached: How many calls to the provider were under way.
        closed_after: Seconds until each of them had ended.
        kept: Turns that are stored as left by their client.
        wrong: What must not be.
    """

    left: Counter[str] = field(default_factory=Counter)
    reached: int = 0
    closed_after: list[float] = field(default_factory=list)
    kept: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass
class _Visit:
    """One client's stay: what it asked for, when it left, and what it had read by then."""

    tagged: str
    session: str | None
    left_at: float = 0.0
    read: bytes = b""


class LeavingClients:
    """A crowd of clients of one gateway; each stays for a random while."""

    def __init__(
        self, gateway: GatewayProcess, upstream: MisbehavingUpstream, http: aiohttp.ClientSession, seed: int
    ) -> None:
        """Prepare.

        Args:
            gateway: Its provider `openai` is the upstream, and its provider `echo` answers well.
            upstream: What is asked.
            http: Looks at what is left.
            seed: Chooses.
        """
        self._gateway = gateway
        self._upstream = upstream
        self._http = http
        self._seed = seed
        self._chance = random.Random(seed)
        self._visits: list[_Visit] = []
        self.tally = Tally()

    async def run(self, clients: int, at_once: int, told: Callable[[Tally], None] = lambda tally: None) -> Tally:
        """Let so many come and leave, so many at a time; then look at what is left of them."""
        left = iter(range(clients))

        async def come_and_go() -> None:
            for number in left:
                await self._visit(number)
                told(self.tally)

        await asyncio.gather(*(come_and_go() for _ in range(at_once)))
        held = await look_when_quiet(self._gateway, self._http)
        self.tally.wrong += [f"{count} of {name}" for name, count in held.in_flight.items() if count]
        if self._upstream.answering:
            self.tally.wrong.append(f"{self._upstream.answering} calls still under way")
        for visit in self._visits:
            self._measure(visit)
            if visit.session is not None:
                await self._look_at_session(visit, visit.session)
        return self.tally

    async def _visit(self, number: int) -> None:
        when, surface = self._chance.choice(BREAKS), self._chance.choice(SURFACES)
        behaviour = _BEHAVIOURS.get(when, "hang")
        visit = _Visit(
            f"{behaviour}@{self._seed}.{number}", await self._new_session() if surface is ORCHESTRATE else None
        )
        streamed = when == "in the stream" or (when == "in the headers" and self._chance.random() < 0.5)
        request = self._request(surface, visit, stream=streamed)
        if when == "before":
            request = request[: self._chance.randrange(1, len(request))]
        reader, writer = await asyncio.open_connection("127.0.0.1", self._gateway.port)
        try:
            writer.write(request)
            if when == "in the stream":
                await self._read_some(reader, visit)
            else:
                await asyncio.sleep(self._chance.uniform(0.0, 0.4))
        finally:
            self._leave(writer)
        visit.left_at = time.monotonic()
        self.tally.left[when] += 1
        self._visits.append(visit)

    async def _read_some(self, reader: asyncio.StreamReader, visit: _Visit) -> None:
        """Read until some random number of events has come."""
        enough = self._chance.randrange(1, 8)
        async with asyncio.timeout(30):
            while visit.read.count(b"tick") < enough:
                piece = await reader.read(65536)
                if not piece:
                    self.tally.wrong.append(f"{visit.tagged}: the stream ended: {visit.read[-300:]!r}")
                    return
                visit.read += piece

    def _leave(self, writer: asyncio.StreamWriter) -> None:
        if self._chance.random() < 0.5:  # as a process does that is killed with data unread
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    def _request(self, surface: Surface, visit: _Visit, *, stream: bool) -> bytes:
        path, body = surface.request("openai", f"fault-{visit.tagged}", stream=stream)
        if visit.session is not None:
            body["session_id"] = visit.session
        said = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(said)}\r\n\r\n".encode() + said

    async def _new_session(self) -> str:
        async with self._http.post(f"{self._gateway.url}/api/sessions", json={}) as reply:
            return str((await reply.json())["session_id"])

    def _measure(self, visit: _Visit) -> None:
        """Take down when the provider was left."""
        calls = self._upstream.requests[visit.tagged]
        if calls > 1:
            self.tally.wrong.append(f"{visit.tagged}: {calls} calls")
        if calls:
            self.tally.reached += 1
            left_at = self._upstream.left_at.get(visit.tagged)
            if left_at is None:
                self.tally.wrong.append(f"{visit.tagged}: the call went on")
            else:
                self.tally.closed_after.append(max(0.0, left_at - visit.left_at))

    async def _look_at_session(self, visit: _Visit, session: str) -> None:
        """Hold a turn against what its client saw, and take another one: the session is free."""
        async with self._http.get(f"{self._gateway.url}/api/sessions/{session}/turns") as reply:
            turns: Sequence[Mapping[str, Any]] = (await reply.json())["turns"]
        if [turn["state"] for turn in turns] not in ([], ["client_closed"]):
            self.tally.wrong.append(f"{visit.tagged}: {[turn['state'] for turn in turns]}")
        self.tally.kept += len(turns)
        if not turns and self._upstream.requests[visit.tagged]:
            self.tally.wrong.append(f"{visit.tagged}: asked, and nothing is stored")
        body = {"message": "again", "session_id": session, "agent_config": {"provider": "echo"}}
        async with self._http.post(f"{self._gateway.url}/api/orchestrate", json=body) as reply:
            if reply.status != 200:
                self.tally.wrong.append(f"{visit.tagged}: the next turn gets {reply.status}")
        async with self._http.get(f"{self._gateway.url}/api/sessions/{session}/history") as reply:
            messages = (await reply.json())["messages"]
        heard = "".join(event.get("text", "") for event in events_of(_body(visit.read)) if event.get("type") == "text")
        if heard and not (messages[1]["state"] == "client_closed" and messages[1]["content"].startswith(heard)):
            self.tally.wrong.append(f"{visit.tagged}: {messages[1]} is kept of {heard!r}")


def _body(read: bytes) -> bytes:
    """Take the chunks apart of as much of an answer as came."""
    body, left = b"", read.partition(b"\r\n\r\n")[2]
    while left:
        size, _, left = left.partition(b"\r\n")
        body += left[: int(size, 16)]
        left = left[int(size, 16) + 2 :]
    return body
