"""What clients do wrong, seen from the upstream, the store, and the other clients."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from contextlib import ExitStack
from typing import Any

import aiohttp
import pytest

from fake_upstreams.misbehaving import MisbehavingUpstream


def environ(upstream: MisbehavingUpstream, behaviour: str) -> dict[str, str]:
    servers = {"odd": {"base_url": upstream.base_url(behaviour), "default_model": "m"}}
    return {"ORCHESTRATOR_SERVERS": json.dumps(servers), "MONITORING_ENABLED": "false"}


async def until(condition: Any, within: float) -> float:
    """Wait until something holds; return how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within, "it did not happen in time"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def streams(http: aiohttp.ClientSession, url: str) -> int:
    """Return how many streams are under way."""
    async with http.get(f"{url}/metrics") as response:
        found = re.search(r"^orchestrator_streams_in_flight (\S+)$", await response.text(), re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


TURN = {"message": "hello", "agent_config": {"provider": "odd"}, "stream": True}
CHAT = {"model": "odd/m", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
OTHER = {"message": "hi", "agent_config": {"provider": "echo"}}
CONNECTOR = {"messages": CHAT["messages"], "stream": True}


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/orchestrate", TURN), ("/v1/chat/completions", CHAT), ("/api/v1/odd/chat", CONNECTOR)],
)
async def test_a_client_that_leaves_a_stream_ends_the_call_upstream(
    gateway_process: Any, path: str, body: dict[str, Any]
) -> None:
    async with MisbehavingUpstream() as upstream, aiohttp.ClientSession() as http:
        gateway = gateway_process(environ=environ(upstream, "sse-endless"))
        async with http.post(gateway.url + path, json=body) as response:
            assert response.status == 200
            async for line in response.content:
                if b"tick" in line:
                    break
            assert upstream.answering == 1
            response.close()
        await until(lambda: upstream.answering == 0, within=1.0)

        if path == "/api/orchestrate":
            async with http.get(f"{gateway.url}/api/sessions") as response:
                session = (await response.json())["sessions"][0]["session_id"]
            async with http.get(f"{gateway.url}/api/sessions/{session}/history") as response:
                stored = (await response.json())["messages"]
            assert [message["role"] for message in stored] == ["user", "assistant"]
            assert stored[1]["content"].startswith("tick")
            assert {message["state"] for message in stored} == {"client_closed"}


async def test_a_client_that_leaves_before_the_answer_ends_the_call_too(gateway_process: Any) -> None:
    async with MisbehavingUpstream() as upstream, aiohttp.ClientSession() as http:
        gateway = gateway_process(environ=environ(upstream, "hang"))
        asking = asyncio.create_task(http.post(f"{gateway.url}/api/orchestrate", json={**TURN, "stream": False}))
        await until(lambda: upstream.answering == 1, within=5)
        asking.cancel()
        await until(lambda: upstream.answering == 0, within=1.0)


async def test_clients_that_never_read_do_not_slow_others(gateway_process: Any) -> None:
    patient = {
        "ORCHESTRATOR_CLIENT_WRITE_TIMEOUT": "600",  # the deaf stay to the end
        "ORCHESTRATOR_MAX_LOOP_LAG": "60",  # nobody is refused because the machine has more to do
        "MONITORING_ENABLED": "true",
    }
    async with MisbehavingUpstream() as upstream, aiohttp.ClientSession() as http:
        gateway = gateway_process(environ={**environ(upstream, "huge"), **patient})
        host, port = gateway.url.removeprefix("http://").split(":")
        payload = json.dumps(CHAT).encode()
        lines = ("POST /v1/chat/completions HTTP/1.1", "Host: localhost", "Content-Type: application/json")
        head = "\r\n".join((*lines, f"Content-Length: {len(payload)}", "", ""))
        with ExitStack() as deaf:
            for _ in range(20):
                client = deaf.enter_context(socket.socket())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect((host, int(port)))
                client.sendall(head.encode() + payload)
            async with asyncio.timeout(60):
                while await streams(http, gateway.url) < 20:
                    await asyncio.sleep(0.01)
                for _ in range(20):
                    async with http.post(f"{gateway.url}/api/orchestrate", json=OTHER) as response:
                        assert response.status == 200
            assert await streams(http, gateway.url) == 20
        await until(lambda: upstream.answering == 0, within=30)
