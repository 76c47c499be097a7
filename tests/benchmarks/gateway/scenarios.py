"""What is asked of each subject: one cell of the table is one load on one server."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import psutil

from benchmarks.gateway import load
from benchmarks.gateway.subjects import Kind, Subject, resident
from benchmarks.gateway.upstream import AT_LENGTH, PACE, PACED_EVENTS
from benchmarks.gateway.upstream import TEXT as REPLY

PROMPT = "Tell me about the fox and the dog, and be brief about it. " * 14
LONG_PROMPT = PROMPT * 80
ROUNDS = 33
"""Times that the user of a long conversation has asked, and a tool was called."""
TOOLS = 20
SECONDS = 1.0
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
        kinds: The kinds of subjects that can do it, or that answer something that it can be compared with.
        rounds: The most rounds in which it is measured; None is all.
    """

    name: str
    connections: int
    make: Callable[[Subject, str], load.MakeRequest]
    base: str = ""
    seconds: float = SECONDS
    most: int | None = None
    spread: float = 0.0
    kinds: Sequence[Kind] = ("direct", "floor", "gateway", "peer")
    rounds: int | None = None

    @property
    def usual(self) -> float:
        """Seconds that it takes with a server that keeps up."""
        return SETTLE + (PACED_EVENTS * PACE + self.spread if self.base == PACED else SECONDS)

    def has_one_of(self, words: Sequence[str]) -> bool:
        """Return whether its name has one of some words; a number that ends one is meant whole."""
        return any(re.search(rf"{re.escape(word)}(?!\d)", self.name) for word in words)

    def takes(self, subject: Subject) -> bool:
        """Return whether a subject is put under this load."""
        bearable = self.make is not streamed or self.connections <= subject.streams
        return subject.kind in self.kinds and self.name.startswith(subject.only) and bearable


@dataclass
class Cell:
    """What one load on one subject came to.

    Attributes:
        rate: Answers a second.
        events: Server-sent events a second.
        p50: Milliseconds of an answer, as the median.
        p99: Milliseconds that 99 of 100 answers stayed within.
        first: Milliseconds until the first word of an answer, as the median.
        processor: Microseconds of processor time for each answer; for each event where there are any, and of paced ones
            without what an idle server computes.
        stores: The same of the database and of Redis, where they are servers.
        memory: Resident MiB at its highest, less what the server held before it was asked anything at all.
        errors: Answers that were none.
        answers: How many there were.
    """

    rate: float
    events: float
    p50: float
    p99: float
    first: float
    processor: float
    stores: float
    memory: float
    errors: int
    answers: int

    @property
    def capacity(self) -> float:
        """What a processor of its own would allow in a second: answers, or events where there are any."""
        return 1e6 / self.processor if self.processor else 0.0

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
        while len(self.ids) < wanted:
            self.ids.append(self._ask("/api/sessions", {})["session_id"])

    def copy(self, messages: int, wanted: int) -> None:
        """Make a session with so many messages, and copies of it until there are enough."""
        self.make(1)
        for _ in range(messages // 2):
            self._ask("/api/orchestrate", _say(self.ids[0]))
        while len(self.ids) < wanted:
            self.ids.append(self._ask(f"/api/sessions/{self.ids[0]}/fork", {})["session_id"])

    def _ask(self, path: str, body: Mapping[str, object]) -> Mapping[str, str]:
        connection = self._connection
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **self.subject.headers})
        with connection.getresponse() as response:
            content: Mapping[str, str] = json.loads(response.read())
        if response.status >= 300:
            raise RuntimeError(f"{path}: {response.status} {content}")
        return content

    @cached_property
    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.subject.port, timeout=60)


TURNS = 8
"""Of each session, before the next one is taken."""
SESSIONS = 640
NEW = {1: 32, 3: 32, 11: 32, 31: 32, 101: 24, 301: 12, 499: 8}
"""Lengths of a history, the message of the user among it, and how many turns of that length each client takes.

With the answer the longest has 500 messages: of more the gateway makes a summary, whatever its settings say.
"""
FRONT = "front"
"""A name for a model by the operator."""
PACED = "paced"
"""The base path below which streams are paced."""


def chat(subject: Subject, base: str, *, stream: bool = False) -> load.MakeRequest:
    """Ask for one answer, of a request of 1 KB."""
    return _chat(subject, base, subject.model(base), [PROMPT], stream=stream)


def long_question(subject: Subject, base: str) -> load.MakeRequest:
    """Ask for one answer, of a request of 64 KB."""
    return _chat(subject, base, subject.model(base), [LONG_PROMPT])


def long_answer(subject: Subject, base: str) -> load.MakeRequest:
    """Ask for an answer of 64 KB."""
    return _chat(subject, base, subject.model(base), [f"{PROMPT}But tell it {AT_LENGTH}."])


def tools(subject: Subject, base: str) -> load.MakeRequest:
    """Ask for one answer, in a conversation of a hundred messages in which many tools can be called."""
    messages: list[Mapping[str, object]] = []
    for number in range(ROUNDS):
        called = {"name": f"look_up_{number % TOOLS}", "arguments": '{"animal": "fox", "most": 3}'}
        call = {"id": f"call_{number}", "type": "function", "function": called}
        messages += [
            {"role": "user", "content": "And what does the fox do then?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"call_{number}", "content": '{"found": ["It jumps over the dog."]}'},
        ]
    messages.append({"role": "user", "content": "And the dog?"})
    parameters = {
        "type": "object",
        "properties": {
            "animal": {"type": "string", "description": "Of which one something is asked.", "enum": ["dog", "fox"]},
            "most": {"type": "integer", "description": "How much is wanted, at most."},
        },
        "required": ["animal"],
    }
    known = [
        {
            "type": "function",
            "function": {
                "name": f"look_up_{number}",
                "description": f"Look up in book {number} what an animal does.",
                "parameters": parameters,
            },
        }
        for number in range(TOOLS)
    ]
    body = {"model": subject.model(base), "messages": messages, "tools": known}
    return _always(subject, base, "/v1/chat/completions", body)


def streamed(subject: Subject, base: str) -> load.MakeRequest:
    """Ask for a stream."""
    return chat(subject, base, stream=True)


def by_alias(subject: Subject, base: str) -> load.MakeRequest:
    """Ask for one answer, by a name of the operator."""
    return _chat(subject, base, FRONT, [PROMPT])


def embedding(subject: Subject, base: str) -> load.MakeRequest:
    """Ask for a vector."""
    model = subject.model(base).replace("gpt-6-luna", "text-embedding-3-small")
    return _always(subject, base, "/v1/embeddings", {"model": model, "input": "The fox and the dog"})


def turn(clients: int, subject: Subject, _base: str) -> load.MakeRequest:
    """Take the next turn of a durable session; a proxy that keeps none is asked for the same answer."""
    if subject.kind != "gateway":
        return chat(subject, "")
    sessions = Sessions(subject)
    sessions.make(SESSIONS)

    def make(connection: int, number: int) -> bytes:
        place = number // TURNS * clients + connection
        return subject.request("/api/orchestrate", _say(sessions.ids[place % len(sessions.ids)]))

    return make


def first_turn(subject: Subject, _base: str) -> load.MakeRequest:
    """Take the first turn of a session that it makes."""
    return _always(subject, "", "/api/orchestrate", _say(None))


def streamed_turn(subject: Subject, base: str) -> load.MakeRequest:
    """Take the first turn of a session that it makes, as a stream."""
    return _always(subject, "", "/api/orchestrate", {**_say(None, base), "stream": True})


def any_turn(subject: Subject, _base: str) -> load.MakeRequest:
    """Take a turn of any of the sessions that the database was filled with."""
    assert subject.known is not None
    known, chance = subject.known, random.Random(subject.port)
    return lambda _connection, _number: subject.request("/api/orchestrate", _say(known(chance.randrange(10**9))))


def after(messages: int, subject: Subject, _base: str) -> load.MakeRequest:
    """Take the turn that makes a history so long; a proxy that keeps none is sent all of it."""
    if subject.kind != "gateway":
        return _chat(
            subject, "", subject.model(""), [PROMPT if number % 2 == 0 else REPLY for number in range(messages)]
        )
    sessions = Sessions(subject)
    sessions.copy(messages - 1, NEW[messages] * CLIENTS_OF_HISTORIES + 1)
    fresh = iter(sessions.ids[1:])
    return lambda _connection, _number: subject.request("/api/orchestrate", _say(next(fresh)))


def _say(session: str | None, provider: str = "openai") -> Mapping[str, object]:
    known = {} if session is None else {"session_id": session}
    return {"message": PROMPT, "agent_config": {"provider": provider, "model": "gpt-6-luna"}, **known}


def _chat(subject: Subject, base: str, model: str, said: Sequence[str], *, stream: bool = False) -> load.MakeRequest:
    messages = [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(said)]
    body: dict[str, object] = {"model": model, "messages": messages}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return _always(subject, base, "/v1/chat/completions", body)


def _always(subject: Subject, base: str, path: str, body: Mapping[str, object]) -> load.MakeRequest:
    prefix = f"/{base}" if base and subject.through else ""
    data = subject.request(prefix + path, body)
    return lambda _connection, _number: data


PROXYING: Sequence[Kind] = ("floor", "gateway", "peer")
WITHOUT_PEERS: Sequence[Kind] = ("floor", "gateway")
CLIENTS_OF_HISTORIES = 16

CLIENTS = (1, 16, 64, 256)
STREAMS: Mapping[int, Sequence[Kind]] = {
    1: WITHOUT_PEERS,
    10: WITHOUT_PEERS,
    100: PROXYING,
    1000: ("direct", *PROXYING),  # whether the two ends keep the pace is seen here
}
"""How many paced streams are asked for, and of whom."""
STREAMED_TURNS = (100, 1000)
"""How many turns are streamed at that pace: what a proxy takes for as many streams is in the rows of those."""


def _paced(
    name: str, clients: int, make: Callable[[Subject, str], load.MakeRequest], kinds: Sequence[Kind]
) -> Scenario:
    rounds = 2 if clients >= 100 else 1  # each takes eleven seconds
    return Scenario(name, clients, make, PACED, 60.0, 1, min(1.0, clients / 100), kinds=kinds, rounds=rounds)


PROXIES = (
    *(Scenario(f"chat, c={clients}", clients, chat) for clients in CLIENTS),
    Scenario("chat, question of 64 KB, c=16", 16, long_question),
    Scenario("chat, answer of 64 KB, c=16", 16, long_answer),
    Scenario(f"chat, {3 * ROUNDS + 1} messages and {TOOLS} tools, c=16", 16, tools),
    *(
        Scenario(f"turn of a session, c={clients}", clients, partial(turn, clients), kinds=WITHOUT_PEERS)
        for clients in CLIENTS
    ),
    *(Scenario(f"stream, c={clients}", clients, streamed) for clients in CLIENTS),
    *(Scenario(f"embeddings, c={clients}", clients, embedding) for clients in CLIENTS),
)
PACED_STREAMS = tuple(
    _paced(f"paced streams, {clients}", clients, streamed, kinds) for clients, kinds in STREAMS.items()
)
PACED_TURNS = tuple(
    _paced(f"paced turns, {clients}", clients, streamed_turn, ("gateway",)) for clients in STREAMED_TURNS
)
FALLBACKS = (
    *(Scenario(f"fallback, c={clients}", clients, chat) for clients in CLIENTS),
    *(Scenario(f"fallback stream, c={clients}", clients, streamed) for clients in (1, 16)),
)
HISTORIES = tuple(
    Scenario(
        f"history of {messages}",
        CLIENTS_OF_HISTORIES,
        partial(after, messages),
        seconds=60.0,
        most=most,
        kinds=WITHOUT_PEERS,
    )
    for messages, most in NEW.items()
)
WORKERS = (
    Scenario("workers: chat, c=64", 64, chat),
    Scenario("workers: turn of a session, c=64", 64, partial(turn, 64)),
)
CROWD = (
    Scenario("crowd: chat by alias, c=16", 16, by_alias),
    Scenario("crowd: first turn, c=16", 16, first_turn),
    Scenario("crowd: turn of any session, c=16", 16, any_turn),
)


async def _watch_memory(processes: Sequence[psutil.Process], watched: list[float]) -> None:
    while True:
        watched.append(resident(processes))
        await asyncio.sleep(0.5)


async def rest(servers: Sequence[Subject], seconds: float) -> None:
    """Ask nobody anything, and keep what servers compute meanwhile."""
    await asyncio.sleep(SETTLE)
    before = [each.processor_seconds() for each in servers]
    begun = time.perf_counter()
    await asyncio.sleep(seconds)
    for each, computed in zip(servers, before, strict=True):
        each.resting = (each.processor_seconds() - computed) / (time.perf_counter() - begun)


async def measure(subject: Subject, scenario: Scenario) -> Cell:
    """Put one load on one subject."""
    make = scenario.make(subject, scenario.base)
    await asyncio.sleep(SETTLE)
    computed, stored, begun = subject.processor_seconds(), subject.stores_seconds(), time.perf_counter()
    processes, watched = subject.processes(), list[float]()
    watch = asyncio.create_task(_watch_memory(processes, watched))
    outcome = await load.run(subject.port, make, scenario.connections, scenario.seconds, scenario.most, scenario.spread)
    watch.cancel()
    computed, stored = subject.processor_seconds() - computed, subject.stores_seconds() - stored
    if scenario.base == PACED:  # few streams leave a server idle most of the time
        computed = max(0.0, computed - subject.resting * (time.perf_counter() - begun))
    answers = len(outcome.latencies)
    per = max(1, outcome.events or answers)
    return Cell(
        rate=outcome.rate,
        events=outcome.event_rate,
        p50=outcome.percentile(0.5) * 1e3,
        p99=outcome.percentile(0.99) * 1e3,
        first=load.percentile(outcome.first, 0.5) * 1e3,
        processor=computed / per * 1e6,
        stores=stored / per * 1e6,
        memory=max(watched) - subject.idle,
        errors=outcome.errors,
        answers=answers,
    )
