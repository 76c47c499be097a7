"""Fixtures for all tests: a gateway as a real process, and a network that ends at the loopback."""

from __future__ import annotations

import gc
import ipaddress
import socket
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from databases import PostgresServer, postgres_server
from processes import (
    GatewayProcess,
    RunCommand,
    StartGateway,
    find_free_port,
    run_command,
    start_gateway,
)

if TYPE_CHECKING:
    from redis_server import RedisServer

# A machine that is busy with other work is slow at everything: that is no property of what is tested.
settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")


def pytest_collection_finish() -> None:
    """Spare the garbage collector what the collection made: each full look at it stops everything for a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test reach beyond this machine, not even by accident."""
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise AssertionError(f"a test tried to connect to {address[0]}: tests stay on 127.0.0.1")
        connect(self, address)

    def guarded_resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        # RFC 6761: names below .invalid exist nowhere, so that tests of failing DNS may ask for them.
        if name is not None and not _is_loopback(name) and not name.endswith(".invalid"):
            raise AssertionError(f"a test tried to resolve {name}: tests stay on 127.0.0.1")
        if name is not None and name.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_resolve)


def _is_loopback(host: str) -> bool:
    if host in ("", "localhost", "0.0.0.0", "::"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    return find_free_port()


@pytest.fixture
def orchestrator(tmp_path: Path) -> RunCommand:
    """Run the command to its end, in `tmp_path`.

    Call it with the arguments of the command, `said` (its standard input), and further names and values of the
    environment.
    """

    return partial(run_command, tmp_path)


@pytest.fixture
def gateway_process(tmp_path: Path) -> Iterator[StartGateway]:
    """Start gateways as real processes in `tmp_path`, and end them after the test.

    Call it with `environ` (names and values of the environment), `arguments` (more of the command line),
    `port` and `directory`; it returns when `/health/ready` answers 200.
    """
    started: list[GatewayProcess] = []

    def start(
        environ: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        port: int | None = None,
        directory: Path | None = None,
    ) -> GatewayProcess:
        folder, log = directory or tmp_path, f"gateway-{len(started)}.log"
        gateway = start_gateway(folder, environ or {}, arguments=arguments, port=port, log=log)
        started.append(gateway)
        return gateway

    yield start
    for gateway in started:
        if gateway.process.poll() is None:
            gateway.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for all tests that need one."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A real Redis, which keeps nothing on disk."""
    from redis_server import RedisServer  # noqa: PLC0415 - most tests need none, and the import takes a moment

    server = RedisServer(tmp_path / "redis.log")
    yield server
    server.kill()
