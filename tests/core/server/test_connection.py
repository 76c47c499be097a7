"""What a connection of a client holds while a stream is under way."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from fake_providers.scripted import ScriptedProvider, answer
from orchestrator_core.server.connection import Connection
from scripted_gateway import served

LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
BODY = json.dumps(
    {"model": "scripted/scripted-1", "messages": [{"role": "user", "content": "a"}], "stream": True}
).encode()
HEADERS = b"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)


@pytest.fixture
def came(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the event loop gives to connections, in the order in which it came."""
    came: list[bytes] = []
    receive = Connection.data_received

    def data_received(connection: Connection, data: bytes) -> None:
        if data:  # aiohttp looks with none at what it put off
            came.append(data)
        receive(connection, data)

    monkeypatch.setattr(Connection, "data_received", data_received)
    return came


@pytest.mark.parametrize(
    "pieces",
    [
        [LINE + HEADERS + BODY],
        [LINE + HEADERS, BODY],
        [LINE, HEADERS + BODY],
        [LINE[:20], LINE[20:] + HEADERS + BODY],
        [b"\r\n" + LINE + HEADERS + BODY],
    ],
    ids=["at once", "body apart", "line apart", "line cut", "empty line before"],
)
async def test_what_came_is_not_held_while_it_is_answered(
    tmp_path: Path, pieces: list[bytes], came: list[bytes]
) -> None:
    going_on = asyncio.Event()
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        plugin = gateway.plugins["scripted"]
        plugin.scripts.append([going_on, *answer("b")])
        reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
        async with asyncio.timeout(10):
            for number, piece in enumerate(pieces, 1):
                writer.write(piece)
                while len(came) < number:
                    await asyncio.sleep(0.01)
            while not plugin.open:
                await asyncio.sleep(0.01)

            mine = [b"%d that nobody else holds" % number for number in range(len(came))]
            held = [sys.getrefcount(data) for data in came]

            going_on.set()
            await reader.readuntil(b"data: [DONE]")
        writer.close()
        await writer.wait_closed()
    assert b"".join(came) == b"".join(pieces)
    assert held == [sys.getrefcount(data) for data in mine]
