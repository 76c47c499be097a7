"""What is compared: each a server in a process of its own, on processors of its own."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from pathlib import Path
from typing import Literal

import psutil
from packaging.requirements import Requirement

from benchmarks.clock import processor_time
from benchmarks.environment import environment
from processes import COMMAND, find_free_port

Kind = Literal["direct", "floor", "gateway", "peer"]

READY_WITHIN = 120.0
IDLE_AFTER = 2.0
"""Seconds after the start at which the memory of a server that did nothing is read."""

CLIENT_KEY = "benchmark-9f2c4b7a1d3e5f60718293a4b5c6d7e8"
PROVIDER_KEY = "sk-proj-" + "benchmark0" * 6
MANY = 100_000_000
"""A limit that is kept and counted, and never reached."""

GATEWAY_SETTINGS: Mapping[str, str] = {
    "ENVIRONMENT": "production",
    "SERVER_HOST": "127.0.0.1",
    "CORS_ALLOWED_ORIGINS": "https://app.example.com",
    "OPENAI_API_KEY": PROVIDER_KEY,
    "ORCHESTRATOR_CLIENT_KEY": CLIENT_KEY,
    "ORCHESTRATOR_MAX_REQUESTS_PER_MINUTE": str(MANY),
    "ORCHESTRATOR_RATE_LIMIT_PER_SESSION": str(MANY),
    "ORCHESTRATOR_MAX_CONNECTIONS": "2000",
    "ORCHESTRATOR_MAX_CALLS_IN_FLIGHT": "2000",
}
"""What an operator sets, and what is on without it: limits, metrics, deadlines, a log line for each request."""


@dataclass
class Subject:
    """A server that is measured.

    Attributes:
        name: Its name in the table.
        kind: What it is: the vendor itself, the bare proxy, this gateway, or another product.
        port: Where it listens.
        model: Writes the name of a model, by the base path below which the upstream serves it.
        headers: Headers of every request.
        through: Whether the path of a request names the base path: nothing else does, where nobody reads the body.
        only: How the names of the loads begin that it can answer.
        streams: The most streams at once that it is asked for: more would take longer than anybody waits.
        process: Its process; None where it is measured as somebody else's.
        stores: The processes of the database and of Redis, where it has some.
        start_seconds: From its start until it served.
        version: Its version.
        packages: How many packages its installation consists of; None where that says nothing.
        idle: MiB that it holds before it was asked anything.
        resting: Seconds that it computes in a second in which nobody asks anything.
        known: Gives the id of a session that its database was filled with, by a number.
    """

    name: str
    kind: Kind
    port: int
    model: Callable[[str], str]
    headers: Mapping[str, str] = field(default_factory=dict)
    through: bool = False
    only: str = ""
    streams: int = 1000
    process: psutil.Process | None = None
    stores: Sequence[psutil.Process] = ()
    start_seconds: float = 0.0
    version: str = ""
    packages: int | None = None
    idle: float = 0.0
    resting: float = 0.0
    known: Callable[[int], str] | None = None

    def request(self, path: str, body: Mapping[str, object]) -> bytes:
        """Return the bytes of a request."""
        data = json.dumps(body).encode()
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"Content-Length: {len(data)}", "", ""]
        return "\r\n".join(lines).encode() + data

    def processor_seconds(self) -> float:
        """Return what it has computed so far, in all its processes."""
        return sum(processor_time(each.pid) for each in self.processes())

    def stores_seconds(self) -> float:
        """Return what its database and Redis have computed so far."""
        return sum(processor_time(each.pid) for first in self.stores for each in _family(first))

    def processors(self) -> Sequence[int]:
        """Return the processors that its own processes may run on."""
        return _processors(self.processes())

    def stores_processors(self) -> Sequence[int]:
        """Return the processors that its database and Redis may run on."""
        return _processors([each for first in self.stores for each in _family(first)])

    def processes(self) -> Sequence[psutil.Process]:
        """Return all its processes. It takes milliseconds: it looks at every process of the machine."""
        return _family(self.process)


def _family(process: psutil.Process | None) -> Sequence[psutil.Process]:
    return [process, *process.children(recursive=True)] if process else []


def resident(processes: Sequence[psutil.Process]) -> float:
    """Return the resident memory of processes in MiB."""
    return sum(process.memory_info().rss for process in processes) / 2**20


def _processors(processes: Sequence[psutil.Process]) -> Sequence[int]:
    return sorted({each for process in processes for each in process.cpu_affinity() or ()})


def _pin(processors: Sequence[int]) -> Callable[[], None]:
    return lambda: os.sched_setaffinity(0, processors)


@contextmanager
def running(
    command: Sequence[str | Path],
    port: int,
    folder: Path,
    environ: Mapping[str, str],
    processors: Sequence[int],
    ready: str,
) -> Iterator[tuple[psutil.Process, float]]:
    """Run a server until the end of the context; give its process and the seconds until it answered.

    Args:
        command: How to start it.
        port: Where it listens.
        folder: Where it works, and logs.
        environ: Further names of its environment.
        processors: Where it may run.
        ready: A path that it answers with a status below 500 once it serves.
    """
    begun = time.perf_counter()
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment(), **environ},
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=_pin(processors),  # noqa: PLW1509  # one thread, and nothing but a call of the system
        )
    try:
        while not _serves(port, ready):
            if process.poll() is not None or time.perf_counter() - begun > READY_WITHIN:
                raise RuntimeError(f"{command[0]} does not serve:\n{(folder / f'{port}.log').read_text()[-2000:]}")
            time.sleep(0.01)
        yield psutil.Process(process.pid), time.perf_counter() - begun
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def upstream(folder: Path, processors: Sequence[int]) -> Iterator[int]:
    """Run the vendor; give its port."""
    port = find_free_port()
    command = [sys.executable, "-m", "benchmarks.gateway.upstream", str(port)]
    with running(command, port, folder, _source_path(), processors, "/v1/models"):
        yield port


@contextmanager
def pass_through(
    folder: Path,
    upstream_port: int,
    processors: Sequence[int],
    *,
    rows: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Subject]:
    """Run the bare proxy; with `rows` the one that writes what it carries, which is asked for turns alone."""
    port, url = find_free_port(), f"http://127.0.0.1:{upstream_port}"
    command = [sys.executable, "-m", "benchmarks.gateway.passthrough", str(port), url]
    command += [str(folder / "rows.db")] if rows else []
    name, only = ("with two rows", "turn of a session") if rows else ("pass-through", "")
    with running(command, port, folder, environ or _source_path(), processors, "/") as (process, seconds):
        made = Subject(name, "floor", port, plain_name, through=True, only=only, process=process, start_seconds=seconds)
        made.version = f"aiohttp {version('aiohttp')}"
        yield settled(made)


@contextmanager
def gateway(
    name: str,
    folder: Path,
    upstream_port: int,
    processors: Sequence[int],
    environ: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
) -> Iterator[Subject]:
    """Run the gateway as in production.

    Args:
        name: Its name in the table.
        folder: Where it works; its database among it.
        upstream_port: Where the vendor is.
        processors: Where it may run.
        environ: Further settings.
        arguments: More of its command line.
    """
    folder.mkdir(exist_ok=True)
    port, base = find_free_port(), f"http://127.0.0.1:{upstream_port}"
    servers = {each: {"base_url": f"{base}/{each}/v1"} for each in ("paced", "broken")}
    settings = {
        **GATEWAY_SETTINGS,
        "OPENAI_BASE_URL": f"{base}/v1",
        "ORCHESTRATOR_SERVERS": json.dumps(servers),
        **{f"{each.upper()}_API_KEY": PROVIDER_KEY for each in servers},
        **(environ or {}),
    }
    command: list[str | Path] = [COMMAND, "serve", "--port", str(port), *arguments]
    headers = {"Authorization": f"Bearer {CLIENT_KEY}"}
    with running(command, port, folder, settings, processors, "/health/ready") as (process, seconds):
        made = Subject(name, "gateway", port, _provider_name, headers, process=process, start_seconds=seconds)
        made.version, made.packages = version("orchestrator-core"), len(_needed())
        yield settled(made)


def direct(upstream_port: int) -> Subject:
    """Return the vendor itself, as a client without a proxy sees it."""
    return Subject("direct", "direct", upstream_port, plain_name, through=True)


def settled(subject: Subject) -> Subject:
    """Read the memory of a server that has done nothing yet."""
    time.sleep(IDLE_AFTER)
    subject.idle = resident(subject.processes())
    return subject


def plain_name(_base: str) -> str:
    """Write the name of a model for who asks the vendor itself."""
    return "gpt-6-luna"


def _provider_name(base: str) -> str:
    return f"{base or 'openai'}/gpt-6-luna"


def _needed() -> set[str]:
    """Return the distributions that core and the installed plugins consist of."""
    found: set[str] = set()
    wanted = [
        "orchestrator-core",
        *(point.dist.name for point in entry_points(group="orchestrator.providers") if point.dist),
    ]
    while wanted:
        name = wanted.pop()
        try:
            needs = [Requirement(need) for need in requires(name) or ()]
        except PackageNotFoundError:
            continue
        found.add(_plain(name))
        always = [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
        wanted.extend(each for each in always if _plain(each) not in found)
    return found


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _source_path() -> Mapping[str, str]:
    return {"PYTHONPATH": str(Path(__file__).parents[2])}


def _serves(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
