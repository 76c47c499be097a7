"""After which errors the gateway closes the connection, and after which it serves the next request on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fake_providers.scripted import ScriptedProvider
from scripted_gateway import Served, served

LIMIT = 2000


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    environ = {"ORCHESTRATOR_MAX_REQUEST_BYTES": str(LIMIT), "ORCHESTRATOR_CLIENT_BODY_TIMEOUT": "0.2"}
    async with served(tmp_path, [ScriptedProvider], environ) as gateway:
        yield gateway


async def connect(gateway: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))


def head(path: str, length: int) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, str]:
    """Read one answer; return its status and its head."""
    text = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(int(line.partition(":")[2]) for line in text.split("\r\n") if line.startswith("content-length:"))
    await reader.readexactly(length)
    return int(text.split(" ")[1]), text


async def is_closed(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(5):
        return await reader.read() == b""


@pytest.mark.parametrize("path", ["/api/orchestrate", "/v1/chat/completions", "/api/v1/scripted/chat"])
async def test_a_body_that_is_too_large(gateway: Served, path: str) -> None:
    reader, writer = await connect(gateway)
    writer.write(head(path, LIMIT + 1) + b" " * (LIMIT + 1))

    status, said = await read_answer(reader)
    assert (status, "connection: close" in said) == (413, True)
    assert await is_closed(reader)
    writer.close()


async def test_a_body_that_does_not_come(gateway: Served) -> None:
    reader, writer = await connect(gateway)
    writer.write(head("/api/orchestrate", 100) + b"{")

    status, said = await read_answer(reader)
    assert (status, "connection: close" in said) == (408, True)
    assert await is_closed(reader)
    writer.close()


async def test_a_gateway_that_stops(gateway: Served) -> None:
    gateway.gateway.stopping = True
    reader, writer = await connect(gateway)
    body = json.dumps({"message": "a"}).encode()
    writer.write(head("/api/orchestrate", len(body)) + body)

    status, said = await read_answer(reader)
    assert (status, "connection: close" in said) == (503, True)
    assert await is_closed(reader)
    writer.close()
    gateway.gateway.stopping = False


async def test_any_other_error_leaves_the_connection_for_the_next_request(gateway: Served) -> None:
    reader, writer = await connect(gateway)
    statuses = []
    for body in (b"[]", b'{"message": 1}', b'{"message": "a"}'):
        writer.write(head("/api/orchestrate", len(body)) + body)
        status, said = await read_answer(reader)
        assert "connection: close" not in said
        statuses.append(status)
    assert statuses == [400, 400, 200]
    writer.close()
