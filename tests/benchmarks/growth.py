"""What a turn costs as conversations get longer and stored sessions more, as ratios to the smallest.

    PYTHONPATH=tests python tests/benchmarks/growth.py [--postgres] [--rounds 100] [--json FILE]

Everything is measured in one run, in an order that changes from round to round, so that what else the machine does hits
all alike. Syncs of a disk that others use hide the rest: on SQLite, `--folder /dev/shm` leaves them out. It ends with 1
where a turn costs more than 1.3 times what it costs at the smallest size. Linux alone, since it reads memory and
processor time from `/proc`. See docs/explanation/durability.md.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from benchmarks.clock import processor_time
from databases import PostgresServer, postgres_server
from filled import DAYS, Filling, fill_postgres, fill_sqlite
from orchestrator_core.config import Settings
from orchestrator_core.provider_api import Usage, text_message
from orchestrator_core.security.principal import ANONYMOUS
from orchestrator_core.sessions import open_store
from orchestrator_core.sessions.bills import UsageFilter
from orchestrator_core.sessions.models import NewSummary, NewTurn, SessionFilter, TurnOutcome
from orchestrator_core.sessions.store import SessionStore
from processes import GatewayProcess, start_gateway
from stores import copy_to

GOAL = 1.3
CONTEXT = 8
SUMMARISE_EVERY = 10
"""Rounds after which the measured sessions are condensed again, so that their context stays of one size."""

HISTORIES = {length: Filling(1, length, CONTEXT) for length in (10, 1_000, 100_000)}
SESSIONS = {count: Filling(count) for count in (1_000, 100_000, 1_000_000)}
TURNS = ("a turn", "a first turn", "memory", "processor")
"""What the goal is for, by the first words of a measure."""

ENVIRON = {
    "LOG_LEVEL": "WARNING",
    "MONITORING_ENABLED": "false",
    "ORCHESTRATOR_PROVIDERS": "echo",
    "ECHO_API_KEY": "",
    "SESSION_SUMMARIZATION_THRESHOLD": "1000000",
    "SESSION_MAX_DURATION_MINUTES": str(DAYS * 10 * 1440),
}
_TENANT = ANONYMOUS.tenant
_SAID = "What is said in a turn is some words long."

Results = dict[str, dict[int, list[float]]]


@dataclass
class Subject:
    """A database of one size, and the gateway that serves with it."""

    size: int
    filling: Filling
    url: str
    chance: random.Random
    store: SessionStore | None = None
    gateway: GatewayProcess | None = None
    http: HTTPConnection | None = None
    rounds: int = 0
    fresh: list[str] = field(default_factory=list)

    def session(self) -> str:
        """Return the id of a session that is there: the one that there is, or any."""
        return self.filling.session(self.chance.randrange(self.filling.sessions))

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the gateway."""
        if self.http is None:
            raise RuntimeError("no gateway runs")
        data = None if body is None else json.dumps(body)
        self.http.request(method, path, data, {"Content-Type": "application/json"})
        with self.http.getresponse() as response:
            content = response.read()
            if response.status >= 300:
                raise RuntimeError(f"{method} {path}: {response.status} {content.decode()}")
            return json.loads(content) if content else None

    def processor(self) -> float:
        """Return the milliseconds of processor time that the gateway has used."""
        if self.gateway is None:
            raise RuntimeError("no gateway runs")
        return processor_time(self.gateway.process.pid) * 1e3

    def resident(self) -> float:
        """Return the resident memory of the gateway in MiB (proc_pid_status(5))."""
        if self.gateway is None:
            raise RuntimeError("no gateway runs")
        status = Path(f"/proc/{self.gateway.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


async def turn(store: SessionStore, session: str | None) -> str:
    """Store a whole turn; return its session."""
    begun = await store.begin_turn(_TENANT, NewTurn(session_id=session, messages=[text_message("user", _SAID)]))
    answer = text_message("assistant", _SAID)
    outcome = TurnOutcome(state="complete", message=answer, provider="echo", model="echo-1", usage=Usage(9, 0, 0, 9, 0))
    await store.finish_turn(_TENANT, begun, outcome)
    return begun.session.id


async def condense(store: SessionStore, session: str) -> None:
    """Store a summary that leaves so much context as there was."""
    now = await store.context(_TENANT, session)
    upto = now.messages[-1].sequence - CONTEXT
    replaces = now.summary.id if now.summary else None
    await store.add_summary(_TENANT, session, NewSummary(text=_SAID * 4, upto_sequence=upto, replaces=replaces))


async def measure_stores(subjects: Sequence[Subject], rounds: int, results: Results) -> None:
    """Measure the store alone."""

    async def timed(name: str, subject: Subject, operation: Awaitable[Any]) -> Any:
        began = time.perf_counter()
        outcome = await operation
        results[f"{name}, store (ms)"][subject.size].append((time.perf_counter() - began) * 1e3)
        return outcome

    today = UsageFilter(since=datetime.now(UTC).date())

    async def once(subject: Subject) -> None:
        store, session = subject.store, subject.session()
        if store is None:
            raise RuntimeError("no store is open")
        await timed("a turn", subject, turn(store, session))
        fresh = await timed("a first turn", subject, turn(store, None))
        await timed("session", subject, store.get_session(_TENANT, session))
        await timed("list, first page", subject, store.list_sessions(_TENANT, limit=20))
        await timed(
            "list of a user", subject, store.list_sessions(_TENANT, limit=20, matching=SessionFilter(user_id="user-0"))
        )
        middle = subject.filling.place(subject.filling.sessions // 2)
        await timed("list, in the middle", subject, store.list_sessions(_TENANT, limit=20, after=middle))
        labelled = SessionFilter(metadata={"topic": "topic-0"})
        await timed("list of a label", subject, store.list_sessions(_TENANT, limit=20, matching=labelled))
        await timed("usage by provider", subject, store.usage(_TENANT, by=("provider",), matching=today, limit=20))
        last = subject.filling.messages - 10
        await timed("history, last page", subject, store.history(_TENANT, session, limit=10, offset=max(0, last)))
        await timed("metrics", subject, store.metrics(_TENANT, session))
        await timed("totals", subject, store.totals(_TENANT))
        await timed("delete a new session", subject, store.delete_session(_TENANT, fresh))
        if subject.rounds % SUMMARISE_EVERY == 0 and subject.filling.context:
            await timed("store a summary", subject, condense(store, session))
            await timed("newest summary", subject, store.newest_summary(_TENANT, session))

    await _in_turn(subjects, rounds, once, "store")
    for subject in subjects:
        await _allocated(subject, results["memory of a turn, store, most at once (KiB)"][subject.size])


async def _allocated(subject: Subject, found: list[float]) -> None:
    store = subject.store
    if store is None:
        raise RuntimeError("no store is open")
    if subject.filling.context:
        await condense(store, subject.session())
    for _ in range(5):
        session = subject.session()
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        await turn(store, session)
        found.append((tracemalloc.get_traced_memory()[1] - before) / 1024)
        tracemalloc.stop()


async def measure_gateways(subjects: Sequence[Subject], rounds: int, results: Results) -> None:
    """Measure over HTTP."""

    def timed(name: str, subject: Subject, method: str, path: str, body: Any = None) -> Any:
        began = time.perf_counter()
        answer = subject.ask(method, path, body)
        results[f"{name}, HTTP (ms)"][subject.size].append((time.perf_counter() - began) * 1e3)
        return answer

    async def once(subject: Subject) -> None:
        session = subject.session()
        say = {"message": _SAID, "agent_config": {"provider": "echo"}}
        computed = subject.processor()
        timed("a turn", subject, "POST", "/api/orchestrate", {**say, "session_id": session})
        results["processor time of a turn, HTTP (ms)"][subject.size].append(subject.processor() - computed)
        fresh = timed("a first turn", subject, "POST", "/api/orchestrate", say)["session_id"]
        timed("list, first page", subject, "GET", "/api/sessions?limit=20")
        last = max(0, subject.filling.messages - 10)
        timed("history, last page", subject, "GET", f"/api/sessions/{session}/history?limit=10&offset={last}")
        timed("metrics", subject, "GET", f"/api/sessions/{session}/metrics")
        timed("totals", subject, "GET", "/api/metrics")
        timed("delete a new session", subject, "DELETE", f"/api/sessions/{fresh}")
        if subject.rounds % SUMMARISE_EVERY == 0 and subject.filling.context:
            timed("summarise", subject, "POST", f"/api/sessions/{session}/summarize", {"keep": CONTEXT})

    await _in_turn(subjects, rounds, once, "HTTP")
    for subject in subjects:
        results["memory of the gateway after its turns (MiB)"][subject.size].append(subject.resident())


async def _in_turn(
    subjects: Sequence[Subject], rounds: int, once: Callable[[Subject], Awaitable[None]], what: str
) -> None:
    order, shown = list(subjects), time.monotonic()
    for number in range(rounds):
        subjects[0].chance.shuffle(order)
        for subject in order:
            subject.rounds += 1
            await once(subject)
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            print(f"  {what}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)


async def measure(fillings: Mapping[int, Filling], options: argparse.Namespace) -> tuple[Results, dict[int, float]]:
    """Fill a database for each size, and measure."""
    results: Results = defaultdict(lambda: defaultdict(list))
    sizes: dict[int, float] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        server = stack.enter_context(postgres_server()) if options.postgres else None
        subjects = []
        for size, filling in fillings.items():
            began = time.monotonic()
            url, sizes[size] = await _fill(folder / f"{size}.db", filling, server)
            subjects.append(Subject(size, filling, url, random.Random(options.seed + size)))
            print(f"  filled {size} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        minutes = float(ENVIRON["SESSION_MAX_DURATION_MINUTES"])
        async with AsyncExitStack() as opened:
            for subject in subjects:
                store = open_store(Settings(database_url=subject.url, session_max_duration_minutes=minutes))
                await store.open()
                opened.push_async_callback(store.close)
                subject.store = store
            await measure_stores(subjects, max(1, options.rounds // 10), defaultdict(lambda: defaultdict(list)))
            await measure_stores(subjects, options.rounds, results)
        for subject in subjects:
            directory = folder / f"gateway-{subject.size}"
            directory.mkdir()
            environ = {**ENVIRON, "ORCHESTRATOR_DATABASE_URL": subject.url}
            subject.gateway = await asyncio.to_thread(start_gateway, directory, environ)
            stack.callback(subject.gateway.stop)
            host = subject.gateway.url.removeprefix("http://")
            subject.http = stack.enter_context(closing(HTTPConnection(host, timeout=60)))
        await measure_gateways(subjects, max(1, options.rounds // 10), defaultdict(lambda: defaultdict(list)))
        await measure_gateways(subjects, options.rounds, results)
    return results, sizes


async def _fill(path: Path, filling: Filling, server: PostgresServer | None) -> tuple[str, float]:
    if server is not None:
        url = await server.migrated()
        return url, await fill_postgres(url, filling)
    copy_to(path)
    return f"sqlite:///{path}", await asyncio.to_thread(fill_sqlite, path, filling)


def report(title: str, results: Results, per_message: Mapping[int, float]) -> tuple[dict[str, Any], list[str]]:
    """Print a table; return the figures, and where the goal is missed."""
    sizes = list(per_message)
    print(f"\n| {title} | " + " | ".join(f"{size:,}" for size in sizes) + " | Ratios |")
    print("|---" * (len(sizes) + 2) + "|")
    figures: dict[str, Any] = {"bytes for a message": per_message}
    missed = []
    for name, found in results.items():
        medians = {size: statistics.median(found[size]) for size in sizes}
        ratios = [medians[size] / medians[sizes[0]] for size in sizes[1:]]
        cells = [f"{medians[size]:.2f} ({_spread(found[size])})" for size in sizes]
        print(f"| {name} | " + " | ".join(cells) + " | " + ", ".join(f"{ratio:.2f}" for ratio in ratios) + " |")
        figures[name] = {
            "median": medians,
            "quartiles": {size: _quartiles(found[size]) for size in sizes},
            "ratios": ratios,
        }
        if name.startswith(TURNS) and max(ratios, default=1.0) > GOAL:
            missed.append(f"{title}: {name}: {max(ratios):.2f}")
    print("| bytes for a message | " + " | ".join(f"{per_message[size]:.0f}" for size in sizes) + " | |", flush=True)
    return figures, missed


def _quartiles(found: Sequence[float]) -> tuple[float, float]:
    if len(found) < 2:
        return found[0], found[0]
    low, _, high = statistics.quantiles(found, n=4)
    return low, high


def _spread(found: Sequence[float]) -> str:
    low, high = _quartiles(found)
    return f"{low:.2f}-{high:.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL in place of SQLite")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--most", type=int, default=1_000_000, help="the largest size to measure")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the databases are made; the largest takes 2.5 GB")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    options = parser.parse_args()
    figures, missed = {}, []
    for title, fillings in (("Messages of the session", HISTORIES), ("Stored sessions", SESSIONS)):
        wanted = {size: filling for size, filling in fillings.items() if size <= options.most}
        results, per_message = asyncio.run(measure(wanted, options))
        figures[title], more = report(title, results, per_message)
        missed += more
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    for line in missed:
        print(f"over {GOAL}: {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
