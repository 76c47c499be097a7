"""What is asked of each subject: one cell of the table is one load on one server."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.gateway import load
from benchmarks.gateway.subjects import Subject

PROMPT = "Tell me about the fox and the dog, and be brief about it. " * 14
SECONDS = 2.0
SETTLE = 0.3
"""Seconds between two cells: what the last one left behind ends."""


@dataclass(frozen=True)
class Scenario:
    """One kind of load.

    Attributes:
        name: Its name in the table.
        connections: How many clients there are.
        make: Makes the requests for a subject.
        base: The base path below which the upstream serves it.
        seconds: How long clients ask.
        most: Requests of each client, at most.
        spread: Seconds over which clients begin.
        gateways_only: Whether a proxy that knows nothing cannot do it; it is compared with the plain chat.
        rounds: The most rounds in which it is measured; None is all.
    """

    name: str
    connections: int
    make: Callable[[Subject, str], load.MakeRequest]
    base: str = ""
    seconds: float = SECONDS
    most: int | None = None
    spread: float = 0.0
    gateways_only: bool = False
    rounds: int | None = None


@dataclass
class Cell:
    """What one load on one subject came to.

    Attributes:
        rate: Answers a second.
        events: Server-sent events a second.
        p50: Milliseconds of an answer, as the median.
        p99: Milliseconds that 99 of 100 answers stayed within.
        first: Milliseconds until the first byte of a body, as the median.
        processor: Microseconds of processor time for each answer; for each event where there are any.
        memory: Resident MiB at its highest, less what it was before.
        errors: Answers that were none.
        answers: How many there were.
    """

    rate: float
    events: float
    p50: float
    p99: float
    first: float
    processor: float
    memory: float
    errors: int
    answers: int

    @property
    def summary(self) -> str:
        """The figures that tell how it goes, in a line."""
        rate, cost = f"{self.rate:9,.0f}/s", f"{self.processor:7.0f} us"
        return f"{rate}  p50 {self.p50:8.2f} ms  {cost}  {self.errors} errors"


@dataclass
class Sessions:
    """Sessions that turns are taken in: each takes a few, so that all turns have a history of about one length."""

    subject: Subject
    ids: list[str] = field(default_factory=list)

    def make(self, wanted: int) -> None:
        """Make sessions until there are enough."""
        connection = http.client.HTTPConnection("127.0.0.1", self.subject.port, timeout=30)
        headers = {"Content-Type": "application/json", **self.subject.headers}
        while len(self.ids) < wanted:
            connection.request("POST", "/api/sessions", b"{}", headers)
            self.ids.append(json.loads(connection.getresponse().read())["session_id"])
        connection.close()


TURNS = 8
"""Of each session, before the next one is taken."""


def chat(subject: Subject, base: str, *, stream: bool = False) -> load.MakeRequest:
    """Ask for one answer, of a request of 1 KB."""
    body: dict[str, object] = {"model": subject.model(base), "messages": [{"role": "user", "content": PROMPT}]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return _always(subject, base, "/v1/chat/completions", body)


def streamed(subject: Subject, base: str) -> load.MakeRequest:
    """Ask for a stream."""
    return chat(subject, base, stream=True)


def embedding(subject: Subject, base: str) -> load.MakeRequest:
    """Ask for a vector."""
    model = subject.model(base).replace("gpt-6-luna", "text-embedding-3-small")
    return _always(subject, base, "/v1/embeddings", {"model": model, "input": "The fox and the dog"})


def turn(subject: Subject, _base: str) -> load.MakeRequest:
    """Take the next turn of a durable session; a proxy that keeps none is asked for the same answer."""
    if subject.through:
        return chat(subject, "")
    sessions = Sessions(subject)
    sessions.make(640)

    def make(connection: int, number: int) -> bytes:
        place = number // TURNS * 64 + connection
        body = {
            "message": PROMPT,
            "agent_config": {"provider": "openai", "model": "gpt-6-luna"},
            "session_id": sessions.ids[place % len(sessions.ids)],
        }
        return subject.request("/api/orchestrate", body)

    return make


def fallback(subject: Subject, _base: str) -> load.MakeRequest:
    """Ask somebody who fails; the next one answers."""
    body = {
        "message": PROMPT,
        "agent_config": {"provider": "broken", "model": "gpt-6-luna", "fallbacks": ["openai/gpt-6-luna"]},
    }
    return _always(subject, "", "/api/orchestrate", body)


def _always(subject: Subject, base: str, path: str, body: Mapping[str, object]) -> load.MakeRequest:
    prefix = f"/{base}" if base and subject.through else ""
    data = subject.request(prefix + path, body)
    return lambda _connection, _number: data


CHATS = tuple(Scenario(f"chat, c={clients}", clients, chat) for clients in (1, 16, 64, 256))
TURNS_OF_SESSIONS = tuple(
    Scenario(f"turn of a session, c={clients}", clients, turn, gateways_only=True) for clients in (1, 16, 64)
)
STREAMS = (Scenario("stream, c=1", 1, streamed), Scenario("stream, c=16", 16, streamed))
PACED = tuple(
    Scenario(f"paced streams, {clients}", clients, streamed, "paced", 1.0, 1, min(1.0, clients / 100), rounds=2)
    for clients in (1, 100, 1000)
)
SCENARIOS = (
    *CHATS,
    *TURNS_OF_SESSIONS,
    *STREAMS,
    Scenario("embeddings, c=16", 16, embedding),
    Scenario("fallback, c=16", 16, fallback, gateways_only=True),
    *PACED,
)


async def _watch_memory(subject: Subject, watched: list[float]) -> None:
    while True:
        await asyncio.sleep(0.5)
        watched.append(subject.memory())


async def measure(subject: Subject, scenario: Scenario) -> Cell:
    """Put one load on one subject."""
    make = scenario.make(subject, scenario.base)
    await asyncio.sleep(SETTLE)
    memory, computed = subject.memory(), subject.processor_seconds()
    watched = [memory]
    watch = asyncio.create_task(_watch_memory(subject, watched))
    outcome = await load.run(subject.port, make, scenario.connections, scenario.seconds, scenario.most, scenario.spread)
    watch.cancel()
    computed = subject.processor_seconds() - computed
    answers = len(outcome.latencies)
    per = max(1, outcome.events or answers)
    return Cell(
        rate=outcome.rate,
        events=outcome.events / outcome.seconds,
        p50=outcome.percentile(0.5) * 1e3,
        p99=outcome.percentile(0.99) * 1e3,
        first=load.percentile(outcome.first, 0.5) * 1e3,
        processor=computed / per * 1e6,
        memory=max(watched) - memory,
        errors=outcome.errors,
        answers=answers,
    )
