"""Several workers on one address and one PostgreSQL, as real processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from databases import PostgresServer
from fake_packages import install_plugin
from processes import GatewayProcess, RunCommand, StartGateway
from redis_server import RedisServer

KEY = "sk-proj-" + "Ab1" * 20
WITHIN = 15.0
"""Seconds for whatever is waited for; it takes one or two."""

BLOCKING = """
import time
from orchestrator_core.provider_api import ProviderHooks, ProviderInfo, hookimpl

class Provider(ProviderHooks):
    info = ProviderInfo(
        name="stuck", title="Stuck", requires_key=False, default_model="stuck-1", capabilities=("chat",)
    )

    @hookimpl
    async def chat(self, request):
        time.sleep(60)
        yield
"""


@pytest.fixture
async def url(postgres: PostgresServer) -> str:
    return await postgres.migrated()


@pytest.fixture
def start(gateway_process: StartGateway, url: str) -> Callable[..., GatewayProcess]:
    """Start a gateway with two workers."""

    def starting(**environ: str) -> GatewayProcess:
        gateway = gateway_process({"ORCHESTRATOR_DATABASE_URL": url, **environ}, ["--workers", "2"])
        # What is ready may be one worker alone.
        until(lambda: "Listening" in gateway.output() and len(workers(gateway)) == 2)
        return gateway

    return starting


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def workers(gateway: GatewayProcess) -> list[int]:
    """Return the processes that serve."""
    pid = gateway.process.pid
    return [int(found) for found in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def only(gateway: GatewayProcess, worker: int) -> Iterator[None]:
    """Hold all other workers, so that this one answers."""
    others = [pid for pid in workers(gateway) if pid != worker]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


async def get(gateway: GatewayProcess, path: str, **headers: str) -> Any:
    """Ask on a connection of its own."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(WITHIN)) as http,
        http.get(gateway.url + path, headers=headers) as response,
    ):
        text = await response.text()
        return json.loads(text) if response.content_type == "application/json" else text


async def turn(gateway: GatewayProcess, message: str, **fields: Any) -> Mapping[str, Any]:
    body = {"message": message, "agent_config": {"provider": "echo"}, **fields}
    async with aiohttp.ClientSession() as http, http.post(f"{gateway.url}/api/orchestrate", json=body) as response:
        answer: Mapping[str, Any] = await response.json()
        assert response.status == 200, answer
        return answer


@asynccontextmanager
async def stream(gateway: GatewayProcess, message: str, **fields: Any) -> AsyncIterator[aiohttp.ClientResponse]:
    """Begin a streamed turn; its first event has come."""
    body = {"message": message, "agent_config": {"provider": "echo"}, "stream": True, **fields}
    async with aiohttp.ClientSession() as http, http.post(f"{gateway.url}/api/orchestrate", json=body) as response:
        assert response.status == 200
        await response.content.readline()
        yield response


def samples(text: str, name: str) -> float:
    found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, found))


async def test_each_worker_serves_and_shows_the_figures_of_all(
    start: Callable[..., GatewayProcess], tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    gateway = start(TMPDIR=str(temporary))
    session = None
    for number, worker in enumerate(workers(gateway), start=1):
        with only(gateway, worker):
            answer = await turn(gateway, f"said {number}", **({"session_id": session} if session else {}))
            session = answer["session_id"]
            assert answer["message_count"] == number, "of one conversation"
    before = (await get(gateway, "/api/metrics"))["system"]["requests_total"]
    for count, worker in enumerate(workers(gateway)):
        with only(gateway, worker):
            figures = await get(gateway, "/api/metrics")
            assert figures["providers"]["echo"]["requests"] == 2
            assert figures["system"]["requests_total"] == before + 1 + 2 * count
            text = await get(gateway, "/metrics")
            assert samples(text, "orchestrator_attempts_total") == 2
            assert samples(text, "orchestrator_provider_healthy") == 1, "one sample for each provider"
            assert 0 < samples(text, "orchestrator_uptime_seconds") < 60
    gateway.process.send_signal(signal.SIGTTOU)
    until(lambda: len(workers(gateway)) == 1)
    text = await get(gateway, "/metrics")
    assert samples(text, "orchestrator_attempts_total") == 2, "what a worker counted outlives it"
    printed = gateway.output()
    assert printed.count("CORS: ") == printed.count("Listening on") == 1
    assert gateway.stop() == 0
    assert list(temporary.iterdir()) == []


async def test_a_killed_worker_is_replaced_and_its_session_goes_on(start: Callable[..., GatewayProcess]) -> None:
    gateway = start(ECHO_DELAY="0.05")
    first, second = workers(gateway)
    with only(gateway, second):
        session = (await turn(gateway, "hello"))["session_id"]
        counted = samples(await get(gateway, "/metrics"), "orchestrator_http_requests_total")
        broken = stream(gateway, "word " * 200, session_id=session)
        response = await broken.__aenter__()
    os.kill(second, signal.SIGKILL)
    with pytest.raises(aiohttp.ClientPayloadError):
        await response.read()
    await broken.__aexit__(None, None, None)
    until(lambda: len(workers(gateway)) == 2 and second not in workers(gateway))
    (third,) = set(workers(gateway)) - {first}
    with only(gateway, third):
        answer = await turn(gateway, "and now", session_id=session)
        assert answer["message_count"] == 3
        text = await get(gateway, "/metrics")
        assert samples(text, "orchestrator_http_requests_total") > counted
        assert samples(text, "orchestrator_http_requests_in_flight") == 1, "what was under way ended with the worker"
        assert samples(text, "orchestrator_streams_in_flight") == 0
        assert samples(text, "orchestrator_processes") == 2
    said = [message["role"] for message in (await get(gateway, f"/api/sessions/{session}/history"))["messages"]]
    assert said[:3] == ["user", "assistant", "user"]
    assert said[-2:] == ["user", "assistant"]
    assert gateway.stop() == 0


async def test_every_worker_takes_new_keys_and_so_do_those_that_come_later(
    start: Callable[..., GatewayProcess], tmp_path: Path
) -> None:
    dotenv = tmp_path / ".env"
    dotenv.touch(0o600)
    gateway = start(MONITORING_ENABLED="false")
    before = workers(gateway)
    dotenv.write_text(f"OPENAI_API_KEY={KEY}\n")
    gateway.process.send_signal(signal.SIGHUP)
    until(lambda: gateway.output().count("Keys reloaded") == 2)
    assert workers(gateway) == before, "without a restart"
    assert gateway.output().count(f"openai: sk-****{KEY[-4:]} valid") == 1
    os.kill(before[0], signal.SIGKILL)
    until(lambda: before[0] not in workers(gateway) and len(workers(gateway)) == 2)
    for worker in workers(gateway):
        with only(gateway, worker):
            assert (await get(gateway, "/health"))["openai_configured"] is True
    assert KEY not in gateway.output()
    assert gateway.stop() == 0


SAFE = {
    "ENVIRONMENT": "production",
    "CORS_ALLOWED_ORIGINS": "https://app.example.com",
    "ORCHESTRATOR_CLIENT_KEY": "9f2c4b7a1d3e5f60718293a4b5c6d7e8",
    "ORCHESTRATOR_EXPECTED_PROCESSES": "2",
    "ORCHESTRATOR_PROVIDERS": "openai",
}
KNOWN = {"Authorization": f"Bearer {SAFE['ORCHESTRATOR_CLIENT_KEY']}"}
ANSWER = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [{
    "index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop",
}]}  # fmt: skip


@asynccontextmanager
async def vendor(asked: list[str]) -> AsyncIterator[str]:
    """Play OpenAI, and note the key of each call."""

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers["Authorization"].removeprefix("Bearer "))
        return web.json_response(ANSWER)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    async with TestServer(app) as server:
        yield f"http://127.0.0.1:{server.port}/v1"


async def keys_in_use(gateway: GatewayProcess, asked: list[str]) -> set[str]:
    """Call by every worker, and return the keys that were sent."""
    asked.clear()
    body = {"model": "openai/m", "messages": [{"role": "user", "content": "hello"}]}
    for worker in workers(gateway):
        with only(gateway, worker):
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(WITHIN), headers=KNOWN) as http,
                http.post(f"{gateway.url}/v1/chat/completions", json=body) as response,
            ):
                assert response.status == 200, await response.text()
    assert len(asked) == len(workers(gateway))
    return set(asked)


async def replace_all(gateway: GatewayProcess) -> None:
    """Kill all workers, and wait until others serve."""
    before = workers(gateway)
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    until(lambda: len(workers(gateway)) == len(before) and not set(workers(gateway)) & set(before))
    await serving_and_wanted(gateway, len(before), len(before))


async def serving_and_wanted(gateway: GatewayProcess, serving: int, wanted: int) -> None:
    """Wait until so many workers serve, and so many are wanted."""
    async with asyncio.timeout(WITHIN):
        while (serving, wanted) != (
            samples(text := await get(gateway, "/metrics", **KNOWN), "orchestrator_processes"),
            samples(text, "orchestrator_processes_wanted"),
        ):
            await asyncio.sleep(0.05)


async def test_a_worker_that_comes_later_has_the_keys_of_the_others_whatever_became_of_the_file(
    start: Callable[..., GatewayProcess], redis_server: RedisServer, tmp_path: Path
) -> None:
    first, second, third = (f"sk-proj-{part * 20}" for part in ("Ab1", "Cd2", "Ef3"))
    file = tmp_path / "key"
    file.touch(0o600)
    file.write_text(first)
    asked: list[str] = []
    async with vendor(asked) as base_url:
        gateway = await asyncio.to_thread(
            start,
            **SAFE,
            ORCHESTRATOR_REDIS_URL=redis_server.url,
            OPENAI_API_KEY_FILE=str(file),
            OPENAI_BASE_URL=base_url,
        )
        file.write_text(third)
        await replace_all(gateway)
        assert await keys_in_use(gateway, asked) == {first}, "a new key is taken at SIGHUP, and by all at once"
        file.write_text(second)
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: gateway.output().count("Keys reloaded") == 2)
        file.write_text("sk-ant-api03-" + "Ab1" * 30)
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: gateway.output().count("Keys not reloaded; the old ones stay") == 2)
        await replace_all(gateway)
        assert await keys_in_use(gateway, asked) == {second}
        file.unlink()
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: gateway.output().count('"event":"Keys not reloaded"') == 2)
        gateway.process.send_signal(signal.SIGTTIN)
        await serving_and_wanted(gateway, 3, 3)
        await replace_all(gateway)
        assert await keys_in_use(gateway, asked) == {second}
    kept_off = [line for line in gateway.output().splitlines() if "cannot start" in line and "_API_KEY" in line]
    assert kept_off == []
    assert gateway.output().count("Keys reloaded") == 2, "only when some were"
    assert gateway.stop() == 0


def test_a_stop_does_not_wait_for_a_key_file_that_hangs(start: Callable[..., GatewayProcess], tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.touch(0o600)
    file.write_text(KEY)
    gateway = start(OPENAI_API_KEY_FILE=str(file), ORCHESTRATOR_PLUGIN_LOAD_TIMEOUT="100")
    file.unlink()
    os.mkfifo(file)
    readers = [gateway.process.pid, *workers(gateway)]
    before = {pid: threads(pid) for pid in readers}
    gateway.process.send_signal(signal.SIGHUP)
    until(lambda: all(threads(pid) > before[pid] for pid in readers))
    assert gateway.stop() == 0


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


async def test_a_worker_that_comes_later_knows_the_countries_of_the_others(
    start: Callable[..., GatewayProcess], tmp_path: Path
) -> None:
    file = tmp_path / "countries.mmdb"
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Country")
    writer.insert_network(IPSet(["203.0.113.0/24"]), {"country": {"iso_code": "FR"}})
    writer.to_db_file(str(file))
    gateway = start(
        ORCHESTRATOR_TRUSTED_PROXIES="127.0.0.1",
        ORCHESTRATOR_BLOCKED_COUNTRIES="FR",
        ORCHESTRATOR_GEOIP_DATABASE=file.name,
    )
    file.write_bytes(b"damaged")
    gateway.process.send_signal(signal.SIGHUP)
    until(lambda: gateway.output().count("Countries not reloaded") == 2)
    await replace_all(gateway)
    for worker in workers(gateway):
        with only(gateway, worker):
            refused = json.loads(await get(gateway, "/api/providers", **{"X-Forwarded-For": "203.0.113.7"}))
            assert refused["status"] == 403
    assert gateway.stop() == 0


async def providers(gateway: GatewayProcess) -> set[str]:
    return {provider["name"] for provider in (await get(gateway, "/api/providers"))["providers"]}


async def test_a_worker_that_comes_later_has_the_plugins_of_the_others_whatever_is_installed_meanwhile(
    start: Callable[..., GatewayProcess], tmp_path: Path
) -> None:
    site = install_plugin(tmp_path, "orchestrator-stuck", "stuck", BLOCKING)
    gateway = start(PYTHONPATH=f"{site}:{tmp_path / 'orchestrator-later'}")
    before = await providers(gateway)
    assert "stuck" in before
    shutil.rmtree(site)
    install_plugin(tmp_path, "orchestrator-later", "later", BLOCKING.replace("stuck", "later"))
    await replace_all(gateway)
    for worker in workers(gateway):
        with only(gateway, worker):
            assert await providers(gateway) == before
    assert gateway.stop() == 0


async def test_a_worker_that_cannot_start_is_missed_until_it_can(
    start: Callable[..., GatewayProcess], postgres: PostgresServer, url: str
) -> None:
    gateway = start()
    await serving_and_wanted(gateway, 2, 2)
    gateway.process.send_signal(signal.SIGTTIN)
    await serving_and_wanted(gateway, 3, 3)
    gateway.process.send_signal(signal.SIGTTOU)
    await serving_and_wanted(gateway, 2, 2)
    until(lambda: len(workers(gateway)) == 2)
    killed, other = workers(gateway)
    await postgres.allow_connections(url, allowed=False)
    os.kill(killed, signal.SIGKILL)
    until(lambda: "The worker cannot start yet" in gateway.output())
    (waits,) = set(workers(gateway)) - {killed, other}
    held = open_files(waits)
    await serving_and_wanted(gateway, 1, 2)
    until(lambda: gateway.output().count("The worker cannot start yet") > 2)
    assert open_files(waits) <= held + 2, "it keeps no more of a try than of the one before"
    await postgres.allow_connections(url, allowed=True)
    await serving_and_wanted(gateway, 2, 2)
    assert gateway.stop() == 0


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def test_a_worker_is_replaced_where_the_folder_of_the_metrics_is_gone(
    start: Callable[..., GatewayProcess], tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    gateway = start(TMPDIR=str(temporary))
    await serving_and_wanted(gateway, 2, 2)
    for found in temporary.iterdir():
        shutil.rmtree(found)
    until(lambda: gateway.output().count("The folder of the metrics was removed") == 2)
    killed = workers(gateway)
    for worker in killed:
        os.kill(worker, signal.SIGKILL)
    until(lambda: len(workers(gateway)) == 2 and not set(killed) & set(workers(gateway)))
    await serving_and_wanted(gateway, 2, 2)
    assert (await turn(gateway, "hello"))["message_count"] == 1

    shutil.rmtree(temporary)
    dead, other = workers(gateway)
    os.kill(dead, signal.SIGKILL)
    until(lambda: "The metrics cannot be kept in" in gateway.output())
    assert (await turn(gateway, "hello"))["message_count"] == 1, "the other one serves"
    temporary.mkdir()
    (third,) = set(workers(gateway)) - {other}
    with only(gateway, third):
        assert (await turn(gateway, "hello"))["message_count"] == 1
    assert gateway.stop() == 0


async def test_a_file_of_metrics_that_cannot_be_removed_ends_no_other_worker(
    start: Callable[..., GatewayProcess], tmp_path: Path
) -> None:
    (tmp_path / "temporary").mkdir()
    gateway = start(TMPDIR=str(tmp_path / "temporary"))
    await serving_and_wanted(gateway, 2, 2)
    (folder,) = folders_of(gateway)
    in_the_way = folder / "gauge_liveall_0.db"
    in_the_way.mkdir()
    killed = set(workers(gateway))
    for worker in killed:
        os.kill(worker, signal.SIGKILL)
    until(lambda: "What an ended worker had under way stays" in gateway.output())
    until(lambda: "The metrics cannot be kept in" in gateway.output())
    assert (await turn(gateway, "hello"))["message_count"] == 1, "the other one serves"
    in_the_way.rmdir()
    await serving_and_wanted(gateway, 2, 2)
    assert gateway.stop() == 0


async def test_a_gateway_removes_the_folder_of_one_whose_master_was_killed(
    start: Callable[..., GatewayProcess], tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    first = start(TMPDIR=str(temporary))
    second = start(TMPDIR=str(temporary))
    lost = workers(first)
    (folder,) = folders_of(first)
    first.process.kill()
    first.process.wait()
    until(lambda: not any(lives(pid) for pid in lost))
    third = start(TMPDIR=str(temporary))
    assert set(temporary.iterdir()) == {*folders_of(second), *folders_of(third)}
    assert not folder.exists()
    await serving_and_wanted(second, 2, 2)
    assert (second.stop(), third.stop()) == (0, 0)
    assert list(temporary.iterdir()) == []


def folders_of(gateway: GatewayProcess) -> set[Path]:
    """Return the folders in which its workers keep the values of their metrics."""
    mapped = "".join(Path(f"/proc/{worker}/maps").read_text() for worker in workers(gateway))
    return {Path(found).parent for found in re.findall(r"/\S+\.db$", mapped, re.MULTILINE)}


async def test_streams_under_way_are_finished_before_the_end(start: Callable[..., GatewayProcess]) -> None:
    gateway = start(ECHO_DELAY="0.05", ORCHESTRATOR_SHUTDOWN_GRACE="10")
    words = " ".join(str(number) for number in range(20))
    first, second = workers(gateway)
    with only(gateway, first):
        one = stream(gateway, words)
        left = await one.__aenter__()
    with only(gateway, second):
        other = stream(gateway, words)
        right = await other.__aenter__()
    stopping = asyncio.create_task(asyncio.to_thread(gateway.stop))
    for response in (left, right):
        assert words.rpartition(" ")[2] in (await response.text()).splitlines()[-2]
    await one.__aexit__(None, None, None)
    await other.__aexit__(None, None, None)
    assert await stopping == 0
    assert "Traceback" not in gateway.output()


async def test_a_worker_that_hangs_is_replaced_and_says_where(
    start: Callable[..., GatewayProcess], tmp_path: Path
) -> None:
    site = install_plugin(tmp_path, "orchestrator-stuck", "stuck", BLOCKING)
    # Long enough that a worker which waits for the processor does not look as if it hung.
    gateway = start(PYTHONPATH=site, ORCHESTRATOR_WORKER_TIMEOUT="4", MONITORING_ENABLED="false")
    before = workers(gateway)
    body = {"messages": [{"role": "user", "content": "hello"}]}
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.post(f"{gateway.url}/api/v1/stuck/chat", json=body)
    until(lambda: set(before) - set(workers(gateway)) and len(workers(gateway)) == 2)
    assert re.search(r'orchestrator_stuck\.py", line \d+ in chat', gateway.output()), "where it hung"
    assert (await turn(gateway, "still here"))["response"]
    assert gateway.stop() == 0


async def test_an_address_in_use_ends_all_at_once(orchestrator: RunCommand, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = orchestrator("serve", "--port", port, "--workers", "2", ORCHESTRATOR_DATABASE_URL=url)
    assert done.returncode == 1
    assert done.stdout.count(f"Cannot listen on 127.0.0.1:{port}") == 1


def test_wrong_configuration_is_said_once(orchestrator: RunCommand) -> None:
    done = orchestrator(
        "serve",
        "--workers",
        "2",
        ENVIRONMENT="production",
        ORCHESTRATOR_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing",
    )
    assert done.returncode == 78
    for reason in ("No provider is usable", "ORCHESTRATOR_CLIENT_KEY"):
        assert done.stderr.count(reason) == 1


def test_a_database_that_is_not_there_is_said_once(orchestrator: RunCommand) -> None:
    done = orchestrator(
        "serve", "--workers", "2", ORCHESTRATOR_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing", SERVER_PORT="0"
    )
    assert done.returncode == 1
    assert done.stderr.count("PostgreSQL cannot be used") == 1


OPEN_TO_ALL = """
import os, tempfile

made = tempfile.mkdtemp


def mkdtemp(*arguments, **named):
    folder = made(*arguments, **named)
    os.chmod(folder, 0o755)
    return folder


tempfile.mkdtemp = mkdtemp
"""
"""What folders are like on a file system that knows no users."""


def test_where_there_is_no_place_for_metrics_it_is_said_once(
    orchestrator: RunCommand, url: str, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(OPEN_TO_ALL)
    (tmp_path / "temporary").mkdir()
    done = orchestrator(
        "serve",
        "--workers",
        "2",
        ORCHESTRATOR_DATABASE_URL=url,
        SERVER_PORT="0",
        TMPDIR=str(tmp_path / "temporary"),
        PYTHONPATH=str(tmp_path / "site"),
    )
    assert done.returncode == 78
    assert done.stderr.count(f"The metrics cannot be kept in {tmp_path / 'temporary'}: others may change") == 1
    assert list((tmp_path / "temporary").iterdir()) == []


async def test_workers_end_when_nobody_watches_them_any_more(start: Callable[..., GatewayProcess]) -> None:
    gateway = start(MONITORING_ENABLED="false")
    orphans = workers(gateway)
    gateway.process.kill()
    gateway.process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() and lives(pid) for pid in orphans))
    assert "The master is gone" in gateway.output()


LONG = " ".join(str(number) for number in range(1000))
"""Takes longer to be said than any test."""


async def goes_on(response: aiohttp.ClientResponse) -> bool:
    """Whether a stream is still being answered: reads what is there, and the next event."""
    async with asyncio.timeout(WITHIN):
        await response.content.readany()
        while not (line := await response.content.readline()).startswith(b"data:"):
            if not line:
                return False
        return b'"error"' not in line


async def test_who_starts_the_master_again_finds_the_address_free_while_old_workers_drain(
    start: Callable[..., GatewayProcess], gateway_process: StartGateway, url: str
) -> None:
    gateway = start(ECHO_DELAY="0.1", MONITORING_ENABLED="false")
    orphans = workers(gateway)
    async with stream(gateway, LONG) as response:
        gateway.process.kill()
        gateway.process.wait()
        again = await asyncio.to_thread(
            gateway_process,
            {"ORCHESTRATOR_DATABASE_URL": url},
            ["--workers", "2"],
            port=int(gateway.url.rpartition(":")[2]),
        )
        until(lambda: "Listening" in again.output() and len(workers(again)) == 2)
        assert (await turn(again, "served by the new workers"))["response"]
        assert await goes_on(response)
    assert again.stop() == 0
    until(lambda: not any(lives(pid) for pid in orphans))


async def test_a_worker_that_ends_leaves_new_connections_to_the_others(start: Callable[..., GatewayProcess]) -> None:
    gateway = start(ECHO_DELAY="0.1", MONITORING_ENABLED="false")
    ends, stays = workers(gateway)
    with only(gateway, ends):
        streaming = stream(gateway, LONG)
        response = await streaming.__aenter__()
    os.kill(gateway.process.pid, signal.SIGTTOU)
    until(lambda: "Stopping" in gateway.output())
    answers = await asyncio.gather(*(turn(gateway, f"hello {number}") for number in range(20)))
    assert all(answer["response"] for answer in answers)
    assert await goes_on(response)
    await streaming.__aexit__(None, None, None)
    until(lambda: not lives(ends))
    assert workers(gateway) == [stays]
    assert gateway.stop() == 0


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_each_worker_shows_the_security_events_of_all(start: Callable[..., GatewayProcess]) -> None:
    gateway = start()
    first, second = workers(gateway)
    with only(gateway, first):
        await get(gateway, "/api/sessions/..%2f..%2fetc%2fpasswd")
    events: list[Mapping[str, Any]] = []
    async with asyncio.timeout(WITHIN):
        while not events:
            await asyncio.sleep(0.3)  # the first leaves it for the others meanwhile
            with only(gateway, second):
                events = (await get(gateway, "/api/events"))["events"]
    assert [event["event"] for event in events] == ["suspicious_request"]
