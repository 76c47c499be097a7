"""Two gateways, each a process of its own, over one Redis."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
        kinds = {":".join(key.split(":")[:3]) for key in client.scan_iter()} - {"orchestrator:probe"}
        assert kinds == {"orchestrator:requests:client", "orchestrator:requests:session", "orchestrator:session:fence"}
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
