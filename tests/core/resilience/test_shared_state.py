"""The connection to Redis: what it takes, and what becomes of it while Redis is away. Against a real one."""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from pydantic import ValidationError

from orchestrator_core.config import ConfigError, Settings, extras, load
from orchestrator_core.orchestration.shared_locks import SharedLocks
from orchestrator_core.provider_api import RateLimited
from orchestrator_core.resilience.limits import RequestLimits
from orchestrator_core.resilience.shared_state import MAX_CONNECTIONS, SharedState, SharedStateLost
from processes import find_free_port
from redis_server import RedisServer, opened, told, until

ADD = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
KEY = "orchestrator:test"
OPTIONS = ("--requirepass", "secret", "--user", "narrow", "on", ">secret", "~other:*", "+@all")


def is_refused_at_once(state: SharedState) -> bool:
    """Whether an operation ends without a moment's wait: without having asked Redis, or anything."""
    operation = state.evaluate(ADD, [KEY], [1])
    try:
        operation.send(None)
    except SharedStateLost:
        return True
    operation.close()
    return False


@pytest.mark.parametrize(
    "url",
    [
        "redis://db",
        "redis://db/",
        "redis://db:6380/3",
        "redis://user:p%40ss@[::1]:6379/0",
        "rediss://db/0?ssl_ca_certs=/etc/ca.pem",
    ],
)
def test_urls_that_can_be_used(url: str) -> None:
    assert SharedState.from_settings(Settings(redis_url=url), lambda reason: None) is not None


@pytest.mark.parametrize(
    "url",
    [
        "redis:canary",
        "redis:///0",
        "canary://db/0",
        "unix:///canary.sock",
        "http://canary",
        "redis://:canary/x@db/0",
        "redis://db:99999/0",
        "redis://db:0/0",
        "redis://db/canary",
        "redis://db/0?password=canary",
        "rediss://db/0?ssl_cert_reqs=none",
        "rediss://db/0?socket_timeout=1000",
        "rediss://db/0?canary",
        "redis://db/0?ssl_ca_certs=canary",
        "redis://db/0#canary",
    ],
)
def test_urls_that_cannot_are_named_without_what_is_in_them(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ={"ORCHESTRATOR_REDIS_URL": url}, directory=tmp_path)
    (problem,) = caught.value.problems
    assert problem.startswith("ORCHESTRATOR_REDIS_URL: ")
    assert "rediss://" in problem
    assert "canary" not in problem
    with pytest.raises(ValidationError):
        Settings(redis_url=url)


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(extras, "find_spec", find_spec)
    with pytest.raises(ConfigError, match=r"pip install 'orchestrator-core\[redis\]'"):
        SharedState.from_settings(Settings(redis_url="redis://db"), lambda reason: None)


def test_without_a_url_there_is_none() -> None:
    assert SharedState.from_settings(Settings(), lambda reason: None) is None


async def test_scripts_run_and_the_connections_are_closed_at_the_end(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        async with opened(redis_server.url) as (state, reports):
            assert await state.ping()
            assert [await state.evaluate(ADD, [KEY], [5]) for _ in range(2)] == [5, 10]
            results = await asyncio.gather(*(state.evaluate(ADD, [KEY], [1]) for _ in range(200)))
            assert sorted(results) == list(range(11, 211))
            assert 2 <= len(client.client_list()) <= MAX_CONNECTIONS + 1
        while len(client.client_list()) > 1:  # Redis notices a moment later
            await asyncio.sleep(0.005)
        assert is_refused_at_once(state)
        assert not await state.ping()
        assert reports == []


@pytest.mark.parametrize(
    ("credentials", "database", "expected"),
    [
        ("", "0", "user or password"),
        (":canary@", "0", "user or password"),
        ("canary:secret@", "0", "user or password"),
        ("narrow:secret@", "0", "write all keys"),
        (":secret@", "77", "no database of this number"),
    ],
)
async def test_a_redis_that_refuses_stops_the_start(
    tmp_path: Path, credentials: str, database: str, expected: str
) -> None:
    server = RedisServer(tmp_path / "log", *OPTIONS)
    try:
        async with opened(f"redis://:secret@127.0.0.1:{server.port}/0") as (state, _):
            assert await state.ping()
        with pytest.raises(ConfigError, match=expected) as caught:
            async with opened(f"redis://{credentials}127.0.0.1:{server.port}/{database}"):
                pass
        assert "canary" not in str(caught.value)
        assert "secret" not in str(caught.value)
    finally:
        server.kill()


@pytest.mark.parametrize("without", [(), ("+info",)], ids=["all", "without info"])
async def test_the_user_that_the_documentation_makes_may_do_all_that_is_needed(
    redis_server: RedisServer, without: Sequence[str]
) -> None:
    page = (Path(__file__).parents[3] / "docs/how-to/production.md").read_text()
    (found,) = re.findall(r"`ACL SETUSER gateway on >password (.*)`", page)
    rules = [rule for rule in found.split() if rule not in without]
    assert len(rules) == len(found.split()) - len(without)
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "gateway", "on", ">p@ss", *rules)
    async with opened(f"redis://gateway:p%40ss@127.0.0.1:{redis_server.port}/0") as (state, reports):
        limits = RequestLimits(Settings(max_requests_per_minute=1), state)
        await limits.admit_client("a")
        with pytest.raises(RateLimited):
            await limits.admit_client("a")
        async with SharedLocks(state, 0.1).hold("sess_1", 1) as fence:
            assert fence is not None
        assert reports == []


async def test_a_server_that_does_not_say_which_it_is_is_used_all_the_same(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "log", *OPTIONS, "--rename-command", "INFO", "")
    try:
        async with opened(f"redis://:secret@127.0.0.1:{server.port}/0") as (state, reports):
            assert state.available
            assert await state.ping()
            assert reports == []
    finally:
        server.kill()


async def test_by_tls_the_certificate_is_checked(redis_server: RedisServer, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(  # noqa: ASYNC221 - before anything runs
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_connection("127.0.0.1", redis_server.port)
        await asyncio.gather(copy(reader, behind[1]), copy(behind[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        async with opened(f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}") as (state, _):
            assert await state.evaluate(ADD, [KEY], [1]) == 1
        async with opened(f"rediss://localhost:{port}/0") as (state, reports):
            await told(reports, 1)
            assert "certificate" in str(reports[0])
        async with opened(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}") as (state, reports):
            await told(reports, 1)
            assert "certificate" in str(reports[0])
    finally:
        server.close()


async def test_a_redis_that_is_not_there_yet_is_waited_for() -> None:
    async with opened(f"redis://127.0.0.1:{find_free_port()}/0") as (state, reports):
        assert is_refused_at_once(state)
        await told(reports, 1)
    assert "Connect" in str(reports)


async def test_a_redis_that_is_killed_is_reported_once_and_found_again(redis_server: RedisServer) -> None:
    async with opened(redis_server.url) as (state, reports):
        assert await state.evaluate(ADD, [KEY], [1]) == 1
        redis_server.kill()
        lost = await asyncio.gather(*(state.evaluate(ADD, [KEY], [1]) for _ in range(50)), return_exceptions=True)
        assert {type(error) for error in lost} == {SharedStateLost}
        assert is_refused_at_once(state)
        await told(reports, 1)
        assert not await state.ping()
        redis_server.start()
        await until(state, available=True)
        results = await asyncio.gather(*(state.evaluate(ADD, [KEY], [1]) for _ in range(50)))
        assert sorted(results) == list(range(1, 51))
        assert [reason is None for reason in reports] == [False, True]


async def test_a_redis_that_is_silent_is_given_up_after_a_moment(redis_server: RedisServer) -> None:
    async with opened(redis_server.url, limit=0.2) as (state, reports):
        redis_server.freeze()
        lost = await asyncio.gather(*(state.evaluate(ADD, [KEY], [1]) for _ in range(100)), return_exceptions=True)
        assert {type(error) for error in lost} == {SharedStateLost}
        assert is_refused_at_once(state)
        await told(reports, 1)
        redis_server.thaw()
        await until(state, available=True)
        assert reports[1:] == [None]
        assert await state.evaluate(ADD, [KEY], [0]) <= MAX_CONNECTIONS


async def test_one_failure_alone_is_no_alert(redis_server: RedisServer) -> None:
    async with opened(redis_server.url) as (state, reports):
        with pytest.raises(SharedStateLost):
            await state.evaluate("return redis.error_reply('ERR once')", [KEY])
        assert is_refused_at_once(state)
        await until(state, available=True)
        with redis_server.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        with suppress(SharedStateLost):  # where it has not noticed yet
            await state.evaluate(ADD, [KEY], [1])
        await until(state, available=True)
        assert await state.ping()
        assert reports == []


async def test_one_that_may_not_be_written_counts_as_away(redis_server: RedisServer) -> None:
    async with opened(redis_server.url) as (state, reports):
        with redis_server.client() as client:
            client.replicaof("127.0.0.1", find_free_port())
            assert not await state.ping()
            await told(reports, 1)
            assert "replica" in str(reports[0])
            client.replicaof("NO", "ONE")
            await until(state, available=True)


async def test_a_caller_who_leaves_is_let_go_whatever_the_client_does(redis_server: RedisServer) -> None:
    async with opened(redis_server.url) as (state, reports):
        for steps in range(1, 40):
            with redis_server.client() as client:
                client.script_flush()
            caller = asyncio.create_task(state.evaluate(ADD, [KEY], [1]))
            for _ in range(steps):
                await asyncio.sleep(0)
            if caller.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await caller
        assert await state.ping()
        assert reports == []


async def test_operations_that_are_cancelled_leave_a_pool_that_works(redis_server: RedisServer) -> None:
    async with opened(redis_server.url) as (state, reports):
        for _ in range(5):
            tasks = [asyncio.create_task(state.evaluate(ADD, [KEY], [1])) for _ in range(200)]
            await asyncio.sleep(0.005)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        names = [f"{KEY}:{number}" for number in range(200)]
        results = await asyncio.gather(*(state.evaluate(ADD, [name], [index]) for index, name in enumerate(names)))
        assert results == list(range(200))
        assert reports == []
