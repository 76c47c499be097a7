"""The proxy in front, as a real Caddy: TLS, streams, clients who leave, and whose address the gateway sees."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fake_providers.scripted import ScriptedProvider, answer
from orchestrator_core.config import load
from orchestrator_core.provider_api import Start, TextDelta
from processes import find_free_port
from scripted_gateway import Served, served

FILE = Path(__file__).parents[2] / "deploy/proxy/Caddyfile"
CADDY = shutil.which("caddy", path=Path(sys.executable).parent)
pytestmark = pytest.mark.skipif(CADDY is None, reason="Caddy comes with the dependency group `deploy`: nox -s deploy")

ASKED = {"model": "scripted/scripted-1", "messages": [{"role": "user", "content": "ping"}], "stream": True}
STARTS_WITHIN = 20.0


def adapted(**environ: str) -> dict[str, Any]:
    """Return the Caddyfile as the JSON that Caddy makes of it."""
    done = subprocess.run(
        [str(CADDY), "adapt", "--config", str(FILE)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    config: dict[str, Any] = json.loads(done.stdout)
    return config


def started(folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "caddy.log").open("wb") as log:
        return subprocess.Popen(
            [str(CADDY), "run", "--config", str(folder / "caddy.json")],
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_DATA_HOME": str(folder)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


@asynccontextmanager
async def caddy(folder: Path, upstream: str) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    """Run the Caddyfile for this machine, with a certificate authority of Caddy's own that nobody else trusts."""
    port = find_free_port()
    config = adapted(DOMAIN=f"https://localhost:{port}", GATEWAY=upstream.removeprefix("http://"))
    config["admin"] = {"disabled": True}
    config["storage"] = {"module": "file_system", "root": str(folder / "caddy")}
    config["apps"]["pki"] = {"certificate_authorities": {"local": {"install_trust": False}}}
    (server,) = config["apps"]["http"]["servers"].values()
    server["automatic_https"] = {"disable_redirects": True}
    server["listen"] = [f"127.0.0.1:{port}"]
    (folder / "caddy.json").write_text(json.dumps(config))
    process = started(folder)
    try:
        root = folder / "caddy/pki/authorities/local/root.crt"
        end = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                trust = ssl.create_default_context(cafile=str(root))
                _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost")
                writer.close()
                await writer.wait_closed()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"Caddy did not start:\n{(folder / 'caddy.log').read_text()}")
                await asyncio.sleep(0.05)
        yield f"https://localhost:{port}", trust
    finally:
        process.terminate()
        process.wait(timeout=20)


@asynccontextmanager
async def behind_caddy(folder: Path, **environ: str) -> AsyncIterator[tuple[str, aiohttp.ClientSession, Served]]:
    async with (
        served(folder, [ScriptedProvider], environ) as gateway,
        caddy(folder, gateway.url) as (url, trust),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as client,
    ):
        yield url, client, gateway


async def test_a_stream_comes_as_it_is_made(tmp_path: Path) -> None:
    async with behind_caddy(tmp_path) as (url, client, gateway):
        wait = asyncio.Event()
        gateway.plugins["scripted"].scripts.append([*answer("one")[:2], 30.0])
        async with client.post(f"{url}/v1/chat/completions", json=ASKED) as response, asyncio.timeout(20):
            assert response.headers["content-type"].startswith("text/event-stream")
            async for line in response.content:
                if b"one" in line:
                    wait.set()
                    break
        assert wait.is_set(), "it was there while the provider still spoke"


async def test_a_client_who_leaves_ends_the_call(tmp_path: Path) -> None:
    async with behind_caddy(tmp_path) as (url, client, gateway):
        plugin = gateway.plugins["scripted"]
        plugin.scripts.append([Start(id="answer-1", model="scripted-1"), TextDelta(text="one"), 30.0])
        async with client.post(f"{url}/v1/chat/completions", json=ASKED) as response:
            await response.content.readline()
            assert plugin.open == 1
            response.close()
        async with asyncio.timeout(15):
            while plugin.open:
                await asyncio.sleep(0.01)


async def test_the_gateway_sees_clients_and_tls_and_believes_nothing_that_they_write(tmp_path: Path) -> None:
    environ = {"ORCHESTRATOR_TRUSTED_PROXIES": "127.0.0.1,::1", "ORCHESTRATOR_ALLOWED_ADDRESSES": "192.0.2.0/24"}
    async with behind_caddy(tmp_path, **environ) as (url, client, gateway):
        claimed = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "http"}
        async with client.get(f"{url}/v1/models", headers=claimed) as response:
            assert response.status == 403, "the client is the one who is connected, whatever it writes"
            assert "Strict-Transport-Security" in response.headers
        reply = await gateway.get("/api/health")
        assert "Strict-Transport-Security" not in reply.headers


def test_its_time_limits_are_around_those_of_the_gateway() -> None:
    settings = load({}).settings
    (server,) = adapted(DOMAIN="llm.example.com")["apps"]["http"]["servers"].values()
    transport = server["routes"][0]["handle"][0]["routes"][0]["handle"][0]["transport"]
    seconds = 1e9
    assert transport["response_header_timeout"] / seconds > settings.total_timeout
    assert transport["read_timeout"] / seconds > settings.total_timeout
    assert transport["keep_alive"]["idle_timeout"] / seconds < settings.client_idle_timeout


def test_it_is_formatted_as_caddy_formats() -> None:
    done = subprocess.run([str(CADDY), "fmt", str(FILE)], capture_output=True, text=True, check=False)
    assert done.stdout == FILE.read_text()
