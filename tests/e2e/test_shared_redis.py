"""Two gateways, each a process of its own, over one Redis."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from databases import PostgresServer
from processes import GatewayProcess, RunCommand, StartGateway, find_free_port
from redis_server import RedisServer

SETTINGS = {"MONITORING_ENABLED": "false", "ORCHESTRATOR_EXPECTED_PROCESSES": "2", "ORCHESTRATOR_LOG_FORMAT": "json"}


def ask(gateway: GatewayProcess, path: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(gateway.url + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


def admitted(gateway: GatewayProcess, times: int) -> int:
    statuses = [ask(gateway, "/api/providers")[0] for _ in range(times)]
    assert set(statuses) <= {200, 429}
    return statuses.count(200)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def events(gateway: GatewayProcess) -> list[str]:
    lines = [json.loads(line) for line in gateway.output().splitlines() if line.startswith("{")]
    found = [line["security_event"] for line in lines if "security_event" in line]
    return [event for event in found if event.startswith("shared_state")]


def test_limits_are_shared_and_redis_may_come_and_go(
    gateway_process: StartGateway, redis_server: RedisServer, tmp_path: Path
) -> None:
    gateways = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        environ = {
            **SETTINGS,
            "ORCHESTRATOR_REDIS_URL": redis_server.url,
            "ORCHESTRATOR_MAX_REQUESTS_PER_MINUTE": "20",
            "ORCHESTRATOR_RATE_LIMIT_PER_SESSION": "3",
        }
        gateways.append(gateway_process(environ=environ, directory=tmp_path / name))
    one, two = gateways

    assert [admitted(one, 6), admitted(two, 6), admitted(one, 12), admitted(two, 2)] == [6, 6, 8, 0]
    status, body = ask(two, "/api/providers")
    assert (status, body["code"]) == (429, "rate_limited")
    assert ask(one, "/health/ready") == (200, {"status": "ready", "redis": "connected"})

    redis_server.kill()
    assert admitted(one, 12) == 10
    assert admitted(two, 12) == 10
    for gateway in gateways:
        assert ask(gateway, "/health/ready") == (200, {"status": "ready", "redis": "lost"})
        assert ask(gateway, "/api/health")[1]["status"] == "degraded"

    redis_server.start()
    for gateway in gateways:
        wait_for(lambda gateway=gateway: events(gateway) == ["shared_state_lost", "shared_state_restored"])  # type: ignore[misc] # mypy cannot infer a lambda with a default
        assert ask(gateway, "/health/ready")[1]["redis"] == "connected"
    status, session = ask(one, "/api/sessions", {})
    assert status == 201
    turn = {"message": "Hello", "session_id": session["session_id"], "agent_config": {"provider": "echo"}}
    assert [ask(one, "/api/orchestrate", turn)[0] for _ in range(4)] == [200, 200, 200, 429]
    with redis_server.client() as client:
        kinds = {":".join(key.split(":")[:3]) for key in client.scan_iter()}
        now_and_then = {"orchestrator:probe", "orchestrator:circuits:memory"}
        requests = {"orchestrator:requests:client", "orchestrator:requests:session"}
        assert kinds - now_and_then == {*requests, "orchestrator:session:fence"}
    for gateway in gateways:
        assert gateway.stop() == 0


async def test_sessions_stay_in_order_over_two_processes_while_redis_comes_and_goes(
    gateway_process: StartGateway, postgres: PostgresServer, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Every writer posts to both processes in turn, and nothing of what they say gets lost or doubled."""
    environ = {
        **SETTINGS,
        "ORCHESTRATOR_REDIS_URL": redis_server.url,
        "ORCHESTRATOR_DATABASE_URL": await postgres.migrated(),
        "SESSION_SUMMARIZATION_THRESHOLD": "1000",
    }
    gateways = [await asyncio.to_thread(gateway_process, environ=environ) for _ in range(2)]
    busy, said = Counter[str](), dict[str, list[str]]()

    async def write(client: aiohttp.ClientSession, session: str, writer: int, turns: int) -> None:
        for turn in range(turns):
            message = f"{writer}.{turn}"
            body = {"message": message, "session_id": session, "agent_config": {"provider": "echo"}}
            while True:
                url = f"{gateways[(writer + turn) % 2].url}/api/orchestrate"
                async with client.post(url, json=body) as response:
                    if response.status == 200:
                        break
                    assert response.status == 409, await response.text()
                    busy[phase] += 1
                await asyncio.sleep(0.01)
            said[session].append(message)

    async with aiohttp.ClientSession() as client:
        for _ in range(4):
            async with client.post(f"{gateways[0].url}/api/sessions", json={}) as response:
                said[(await response.json())["session_id"]] = []
        for number, phase in enumerate(("there", "away", "back")):
            async with asyncio.TaskGroup() as group:
                for writer in range(12):
                    group.create_task(write(client, list(said)[writer % 4], 100 * number + writer, 3))
                await asyncio.sleep(0.1)  # in the middle of it
                if phase == "away":
                    redis_server.kill()
                elif phase == "back":
                    redis_server.start()
        for session, messages in said.items():
            history: list[str] = []
            while True:
                url = f"{gateways[1].url}/api/sessions/{session}/history?limit=100&offset={len(history)}"
                async with client.get(url) as response:
                    page = await response.json()
                history += [f"{message['role']} {message['content']}" for message in page["messages"]]
                if not page["has_more"]:
                    break
            assert [line.split()[0] for line in history] == ["user", "assistant"] * len(messages)
            assert sorted(line for line in history if line.startswith("user")) == sorted(f"user {m}" for m in messages)
    # With the locks of Redis they wait for one another; the store alone can only refuse.
    assert busy["there"] == 0
    for gateway in gateways:
        assert gateway.stop() == 0


def test_a_gateway_starts_and_stops_without_its_redis(gateway_process: StartGateway) -> None:
    url = f"redis://:canary@127.0.0.1:{find_free_port()}/0"
    gateway = gateway_process(environ={**SETTINGS, "ORCHESTRATOR_REDIS_URL": url})
    assert ask(gateway, "/health/ready") == (200, {"status": "ready", "redis": "lost"})
    assert gateway.stop() == 0
    assert events(gateway) == ["shared_state_lost"]
    assert "canary" not in gateway.output()


@pytest.mark.parametrize("url", ["redis://:{password}@127.0.0.1:{port}/0", "redis:{password}"])
def test_a_url_that_is_wrong_stops_the_start_without_the_password(
    orchestrator: RunCommand, tmp_path: Path, url: str
) -> None:
    server = RedisServer(tmp_path / "secured.log", "--requirepass", "secret")
    try:
        done = orchestrator("serve", ORCHESTRATOR_REDIS_URL=url.format(password="canary-password", port=server.port))
    finally:
        server.kill()
    assert done.returncode == 78
    assert "ORCHESTRATOR_REDIS_URL: " in done.stdout + done.stderr
    assert "canary" not in done.stdout + done.stderr
