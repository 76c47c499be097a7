"""Which servers are measured side by side, and under what."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psutil

from benchmarks.gateway import subjects
from benchmarks.gateway.crowd import crowded, uncrowded
from benchmarks.gateway.peers import NotInstallable, Peer, litellm, nginx, portkey
from benchmarks.gateway.scenarios import (
    CROWD,
    FALLBACKS,
    FRONT,
    HISTORIES,
    PACED_STREAMS,
    PACED_TURNS,
    PROXIES,
    WORKERS,
    Scenario,
)
from benchmarks.gateway.subjects import Subject
from databases import PostgresServer, postgres_server
from redis_server import RedisServer

SERVER, CLIENTS = (0,), (1,)
"""The processors of the two sides."""

NO_SUMMARIES = {"SESSION_SUMMARIZATION_THRESHOLD": "1000000"}
"""Histories that are measured are sent whole: with summaries a turn would cost the same at any length."""


@dataclass(frozen=True)
class Place:
    """Where servers run.

    Attributes:
        folder: For their files.
        environments: For the environments of other products; None where there are to be none.
        vendor: The vendor's port.
        sessions: How many a crowded database holds.
    """

    folder: Path
    environments: Path | None
    vendor: int
    sessions: int


@dataclass(frozen=True)
class Comparison:
    """Servers that are measured in the same rounds.

    Attributes:
        title: What they show.
        floor: The one that the others are compared with.
        scenarios: What they are put under.
        servers: Runs them.
    """

    title: str
    floor: str
    scenarios: Sequence[Scenario]
    servers: Callable[[Place], AbstractContextManager[Sequence[Subject]]]


@contextmanager
def _proxies(name: str, peers: Sequence[Peer], place: Place, *, turns: bool) -> Iterator[Sequence[Subject]]:
    """Run the vendor's proxies in a folder of that name; with `turns` that one too which is asked for turns alone."""
    own = place.folder / name
    own.mkdir()
    with ExitStack() as stack:
        found = [subjects.direct(place.vendor)]
        found.append(stack.enter_context(subjects.pass_through(own, place.vendor, SERVER)))
        if turns:
            found.append(stack.enter_context(subjects.pass_through(own, place.vendor, SERVER, rows=True)))
        found.append(stack.enter_context(subjects.gateway("gateway", own / "gateway", place.vendor, SERVER)))
        environments = place.environments or own
        for peer in peers if place.environments else (nginx,):  # which needs none
            folder = own / peer.__name__
            folder.mkdir()
            try:
                found.append(stack.enter_context(peer(environments, folder, place.vendor, SERVER)))
            except (NotInstallable, RuntimeError) as error:
                sys.stderr.write(f"{peer.__name__} is left out: {error}\n")
        yield found


@contextmanager
def _fallbacks(place: Place) -> Iterator[Sequence[Subject]]:
    """Run two gateways that have an alias whose first model fails; without a breaker it is asked every time."""
    aliases = {FRONT: "openai/gpt-6-luna", "broken-first": {"targets": ["broken/gpt-6-luna", "openai/gpt-6-luna"]}}
    environ = {"ORCHESTRATOR_ALIASES": json.dumps(aliases)}
    without = {**environ, "ORCHESTRATOR_BREAKER_ENABLED": "false"}
    with (
        subjects.gateway("first answers", place.folder / "fallbacks", place.vendor, SERVER, environ) as made,
        subjects.gateway("first fails", place.folder / "no-breaker", place.vendor, SERVER, without) as unbroken,
    ):
        yield [
            replace(made, model=lambda _base: FRONT),
            replace(made, name="first fails, its breaker is open", model=lambda _base: "broken-first"),
            replace(unbroken, name="first fails, no breaker", model=lambda _base: "broken-first"),
        ]


@contextmanager
def _paced_turns(place: Place) -> Iterator[Sequence[Subject]]:
    """Run a gateway of their own: what it remembers of them would count as memory of streams."""
    with subjects.gateway("gateway", place.folder / "paced-turns", place.vendor, SERVER) as gateway:
        yield [gateway]


@contextmanager
def _histories(place: Place) -> Iterator[Sequence[Subject]]:
    with (
        subjects.pass_through(place.folder, place.vendor, SERVER) as floor,
        subjects.gateway("gateway", place.folder / "histories", place.vendor, SERVER, NO_SUMMARIES) as gateway,
    ):
        yield [floor, gateway]


@contextmanager
def stores(folder: Path, processors: Sequence[int]) -> Iterator[tuple[PostgresServer, RedisServer]]:
    """Run PostgreSQL and Redis on these processors: they would be where the clients are, who start them."""
    with ExitStack() as stack:
        own = os.sched_getaffinity(0)
        os.sched_setaffinity(0, processors)
        try:
            server = stack.enter_context(postgres_server())
            redis = RedisServer(folder / "redis.log")
            stack.callback(redis.kill)
        finally:
            os.sched_setaffinity(0, own)
        yield server, redis


@contextmanager
def _workers(place: Place) -> Iterator[Sequence[Subject]]:
    with ExitStack() as stack:
        server, redis = stack.enter_context(stores(place.folder, (*SERVER, *CLIENTS)))
        stored = [psutil.Process(server.pid), psutil.Process(redis.pid)]
        shared = {"ORCHESTRATOR_REDIS_URL": redis.url}
        found = []
        for name, count, processors, environ in (
            ("1 worker, no Redis", 1, SERVER, {}),
            ("1 worker", 1, SERVER, shared),
            ("2 workers", 2, (*SERVER, *CLIENTS), shared),
        ):
            settings = {"ORCHESTRATOR_DATABASE_URL": asyncio.run(server.migrated()), **environ}
            folder, arguments = place.folder / name.replace(" ", "-"), ["--workers", str(count)]
            made = stack.enter_context(subjects.gateway(name, folder, place.vendor, processors, settings, arguments))
            made.stores = stored
            found.append(made)
        yield found


@contextmanager
def _crowd(place: Place) -> Iterator[Sequence[Subject]]:
    with (
        uncrowded(place.folder / "uncrowded", place.vendor, SERVER) as few,
        crowded(place.folder / "crowded", place.vendor, SERVER, place.sessions) as many,
    ):
        yield [few, many]


COMPARISONS = (
    Comparison(
        "Beside a bare proxy",
        "pass-through",
        PROXIES,
        partial(_proxies, "proxies", (nginx, portkey, litellm), turns=True),
    ),
    Comparison(
        "Paced streams beside a bare proxy",
        "pass-through",
        PACED_STREAMS,
        partial(_proxies, "streams", (nginx, litellm), turns=False),
    ),
    Comparison("Paced turns of sessions", "gateway", PACED_TURNS, _paced_turns),
    Comparison("When the first of two models fails", "first answers", FALLBACKS, _fallbacks),
    Comparison("Cost of a turn against the length of its history", "pass-through", HISTORIES, _histories),
    Comparison("Two workers beside one, on PostgreSQL and Redis", "1 worker", WORKERS, _workers),
    Comparison("A crowded gateway beside one with few sessions", "few", CROWD, _crowd),
)
