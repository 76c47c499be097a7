"""How many connections there may be, and what becomes of those that do not move."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.config import Settings
from orchestrator_core.server.listening import ClientServer
from scripted_gateway import Served, served

PING = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@asynccontextmanager
async def limited(directory: Path, **settings: object) -> Any:
    environ = {f"ORCHESTRATOR_{name.upper()}": str(value) for name, value in settings.items()}
    async with served(directory, [ScriptedProvider], environ) as gateway:
        yield gateway


class Client:
    """A connection, raw."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, gateway: Served) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2])))

    async def ask(self) -> int:
        self.writer.write(PING)
        async with asyncio.timeout(10):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            body = await self.reader.readexactly(length)
        assert isinstance(json.loads(body), dict)
        return int(head.split(b" ")[1])

    async def closed(self) -> bool:
        async with asyncio.timeout(10):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True

    async def close(self) -> None:
        self.writer.close()
        await asyncio.gather(self.writer.wait_closed(), return_exceptions=True)


@asynccontextmanager
async def clients(gateway: Served, count: int) -> Any:
    found = [await Client.connect(gateway) for _ in range(count)]
    try:
        yield found
    finally:
        for client in found:
            await client.close()


@pytest.mark.parametrize(
    ("setting", "status"), [("max_client_connections", 503), ("max_client_connections_per_address", 429)]
)
async def test_one_connection_too_many_is_told_so(tmp_path: Path, setting: str, status: int) -> None:
    async with limited(tmp_path, **{setting: 3}) as gateway, clients(gateway, 3) as inside:
        assert [await client.ask() for client in inside] == [200, 200, 200]
        async with clients(gateway, 1) as (outside,):
            assert await outside.ask() == status
            assert await outside.closed()
        assert [await client.ask() for client in inside] == [200, 200, 200]
        await inside[0].close()
        async with asyncio.timeout(10):
            while True:
                async with clients(gateway, 1) as (another,):
                    if await another.ask() == 200:
                        break
        assert b'event="connection_refused"' in gateway.gateway.metrics.render()[0]


async def test_trusted_proxies_are_not_counted(tmp_path: Path) -> None:
    settings = {"max_client_connections_per_address": 1, "trusted_proxies": "127.0.0.1"}
    async with limited(tmp_path, **settings) as gateway, clients(gateway, 5) as inside:
        assert [await client.ask() for client in inside] == [200] * 5


async def test_a_flood_of_connections_leaves_no_trace(tmp_path: Path) -> None:
    async with (
        limited(tmp_path, max_client_connections=2) as gateway,
        clients(gateway, 2) as inside,
        clients(gateway, 200),
    ):
        assert [await client.ask() for client in inside] == [200, 200]


async def test_a_head_has_its_time_on_a_used_connection_too(tmp_path: Path) -> None:
    async with limited(tmp_path, client_head_timeout=0.3) as gateway, clients(gateway, 1) as (client,):
        for _ in range(3):
            assert await client.ask() == 200
            await asyncio.sleep(0.2)  # without a request it is idle, which has another limit
        client.writer.write(PING[:-2])
        async with asyncio.timeout(10):
            assert (await client.reader.read()).startswith(b"HTTP/1.1 408 ")


async def test_a_connection_without_a_request_is_closed(tmp_path: Path) -> None:
    async with limited(tmp_path, client_idle_timeout=0.3) as gateway, clients(gateway, 1) as (client,):
        assert await client.ask() == 200
        assert await client.closed()


async def test_a_client_that_takes_nothing_is_cut_off(tmp_path: Path) -> None:
    async with limited(tmp_path, client_write_timeout=0.3) as gateway:
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(deaf, ("127.0.0.1", int(gateway.url.rpartition(":")[2])))
        request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        try:
            async with asyncio.timeout(20):
                while True:  # until what is sent meets a connection that is gone
                    await loop.sock_sendall(deaf, request)
                    await asyncio.sleep(0.01)
        except ConnectionError:
            pass
        finally:
            deaf.close()


class Buffer:
    """A transport, as far as it is looked at."""

    def __init__(self) -> None:
        self.size, self.aborted = 0, False

    def get_write_buffer_size(self) -> int:
        return self.size

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize(
    ("sizes", "aborted"),
    [
        ([100, 100, 100, 100], True),
        ([100, 200, 300, 400], True),
        ([400, 300, 200, 100], False),
        ([100, 900, 800, 900], False),
        ([100, 100, 0, 100], False),
        ([0, 0, 0, 0], False),
    ],
)
async def test_only_who_takes_nothing_at_all_is_cut_off(
    tmp_path: Path, sizes: list[int], aborted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with limited(tmp_path) as gateway:
        server = ClientServer(None, Settings(client_write_timeout=3.0), gateway.gateway.events)
        make: Callable[[], Any] = server
        buffer, connection = Buffer(), make()
        monkeypatch.setattr(server, "_connections", {connection: buffer})
        for second, size in enumerate(sizes):
            buffer.size = size
            server.look(float(second))
        assert buffer.aborted is aborted
        connection._manager = None


def test_without_a_setting_some_descriptors_are_left_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    given: Mapping[str, int] = {"max_client_connections": 5000}
    assert Settings().client_connections_limit == 768
    assert Settings.model_validate(given).client_connections_limit == 5000
