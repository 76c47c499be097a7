"""What clients read of streams that came framed in every way that the format allows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI

from fake_providers.scripted import ScriptedProvider
from fake_upstreams.behaviours import TEXT
from fake_upstreams.misbehaving import MisbehavingUpstream
from orchestrator_core.provider_api import Finish, Start, TextDelta
from orchestrator_core.server.sse import EventWriter
from orchestrator_openai import OpenAIProvider
from scripted_gateway import Reply, Served, served

FRAMINGS = (
    "ok",
    "sse-multiline",
    "sse-crlf",
    "sse-cr",
    "sse-comments",
    "sse-fields",
    "sse-nospace",
    "sse-bom",
    "sse-split-utf8",
    "sse-one-segment",
)
USER: Any = {"role": "user", "content": "ping"}
KEY = "sk-proj-" + "Ab1" * 20


@pytest.fixture(params=FRAMINGS)
async def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    async with MisbehavingUpstream() as upstream:
        environ = {
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": upstream.base_url(request.param),
            "MONITORING_ENABLED": "false",
        }
        async with served(tmp_path, [OpenAIProvider], environ) as gateway:
            yield gateway


def strictly_read(reply: Reply) -> list[tuple[str | None, str]]:
    """Read a stream as the format's strictest reader: names and data of the events; anything unexpected fails."""
    assert reply.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["X-Accel-Buffering"] == "no"
    assert reply.headers["Cache-Control"] == "no-store"
    text = reply.body.decode()
    assert "\r" not in text
    assert text.endswith("\n\n")
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        lines = block.split("\n")
        name = lines.pop(0).removeprefix("event: ") if lines[0].startswith("event: ") else None
        assert lines
        assert all(line.startswith("data: ") for line in lines), block
        found.append((name, "\n".join(line.removeprefix("data: ") for line in lines)))
    return found


async def test_the_sdk_reads_the_text(gateway: Served) -> None:
    async with AsyncOpenAI(api_key="x", base_url=f"{gateway.url}/v1", max_retries=0) as client:
        stream = await client.chat.completions.create(model="openai/m", messages=[USER], stream=True)
        text, ends = "", []
        async for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                ends += [choice.finish_reason] * bool(choice.finish_reason)
    assert (text, ends) == (TEXT, ["stop"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": "openai/m", "messages": [USER], "stream": True}),
        ("/api/v1/openai/chat", {"model": "m", "messages": [USER], "stream": True}),
    ],
)
async def test_a_strict_reader_reads_the_text(gateway: Served, path: str, body: dict[str, Any]) -> None:
    events = strictly_read(await gateway.post(path, body))
    assert {name for name, _ in events} == {None}
    assert events[-1][1] == "[DONE]"
    chunks = [json.loads(data) for _, data in events[:-1]]
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"]) == TEXT


async def test_a_strict_reader_reads_a_turn(gateway: Served) -> None:
    body = {"message": "ping", "agent_config": {"provider": "openai", "model": "m"}, "stream": True}
    events = [(name, json.loads(data)) for name, data in strictly_read(await gateway.post("/api/orchestrate", body))]
    assert "".join(data["text"] for name, data in events if name == "text") == TEXT
    assert events[-1][0] == "done"
    assert events[-1][1]["response"] == TEXT


async def stored_states(gateway: Served) -> set[str | None]:
    """Return how the turns of the newest session ended."""
    session = (await gateway.gateway.store.list_sessions("default", limit=1)).items[0]
    history = await gateway.gateway.store.history("default", session.id, limit=10)
    return {message.turn_state for message in history.items}


async def test_a_client_that_never_reads_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventWriter.__init__, "__kwdefaults__", {"timeout": 0.3})
    loop = asyncio.get_running_loop()
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        plugin = gateway.plugins["scripted"]
        plugin.scripts.append([Start(), *[TextDelta(text="x" * 65_536)] * 600, Finish()])
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            await loop.sock_connect(deaf, ("127.0.0.1", int(gateway.url.rpartition(":")[2])))
            body = json.dumps({"message": "ping", "stream": True}).encode()
            lines = ("POST /api/orchestrate HTTP/1.1", "Host: localhost", "Content-Type: application/json")
            head = "\r\n".join((*lines, f"Content-Length: {len(body)}", "", ""))
            await loop.sock_sendall(deaf, head.encode() + body)

            async with asyncio.timeout(10):
                while not plugin.requests or plugin.open:
                    await asyncio.sleep(0.02)
                while "pending" in (states := await stored_states(gateway)):
                    await asyncio.sleep(0.02)
            assert states == {"client_closed"}
            assert b"event: done" not in await rest_of(deaf)
        assert (await gateway.post("/api/orchestrate", {"message": "ping"})).status == 200


async def test_a_client_that_reads_slowly_gets_all_that_came_together(tmp_path: Path) -> None:
    rate = 6e6  # bytes a second: all takes some 4 s, what the buffers of the system do not hold more than the 2 allowed
    async with served(tmp_path, [ScriptedProvider], {"ORCHESTRATOR_CLIENT_WRITE_TIMEOUT": "2"}) as gateway:
        words = [TextDelta(text="x" * 1000)] * 24_000
        gateway.plugins["scripted"].scripts.append([[Start(), *words, Finish()]])
        body = json.dumps({"model": "scripted/m", "messages": [USER], "stream": True})
        lines = ("POST /v1/chat/completions HTTP/1.0", "Host: localhost", "Content-Type: application/json")
        head = "\r\n".join((*lines, f"Content-Length: {len(body)}", "", ""))
        reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
        writer.write(f"{head}{body}".encode())
        received, began = bytearray(), time.monotonic()
        async with asyncio.timeout(60):
            while data := await reader.read(65_536):
                received += data
                await asyncio.sleep(max(0.0, began + len(received) / rate - time.monotonic()))
        writer.close()
    assert received.endswith(b"data: [DONE]\n\n")
    assert received.count(b"x" * 1000) == len(words)


async def rest_of(client: socket.socket) -> bytes:
    """Read to the end of the connection, which must come."""
    received = b""
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            while data := await asyncio.get_running_loop().sock_recv(client, 1 << 20):
                received += data
    return received


async def pieces_of(gateway: Served, script: list[Any]) -> list[list[str]]:
    """Return the texts of a stream, by the HTTP chunks in which they came."""
    gateway.plugins["scripted"].scripts.append(script)
    pieces: list[list[str]] = []
    body = {"model": "scripted/m", "messages": [USER], "stream": True}
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"{gateway.url}/v1/chat/completions", json=body) as answer,
    ):
        together = b""
        async for data, ends_chunk in answer.content.iter_chunks():
            together += data
            if ends_chunk:
                pieces.append(re.findall(r'"content":"(\w+)"', together.decode()))
                together = b""
    return pieces


async def test_what_comes_together_is_sent_together(tmp_path: Path) -> None:
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        words = [TextDelta(text=word) for word in ("one", "two", "three", "four")]
        pieces = await pieces_of(gateway, [Start(), *words[:2], 0.05, *words[2:], 0.05, Finish()])
    assert [piece for piece in pieces if piece] == [["one", "two"], ["three", "four"]]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": "scripted/m", "messages": [USER], "stream": True}),
        ("/api/orchestrate", {"message": "ping", "stream": True}),
    ],
)
async def test_the_head_is_sent_with_the_first_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]
) -> None:
    pieces: list[bytes] = []
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        _, client = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
        kind: Any = type(client.transport)
        client.close()
        write = kind.write

        def noted(transport: Any, data: bytes) -> None:
            pieces.append(bytes(data))
            write(transport, data)

        monkeypatch.setattr(kind, "write", noted)
        gateway.plugins["scripted"].scripts.append([Start(), TextDelta(text="one"), TextDelta(text="two"), Finish()])
        assert (await gateway.post(path, body)).status == 200
    first = next(piece for piece in pieces if piece.startswith(b"HTTP/1.1 200 "))
    assert b'"one"' in first
    assert b'"two"' in first


async def test_no_token_waits_for_the_next_one(tmp_path: Path) -> None:
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        gateway.plugins["scripted"].scripts.append([Start(), TextDelta(text="one"), TextDelta(text="two"), 600.0])
        body = {"model": "scripted/m", "messages": [USER], "stream": True}
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{gateway.url}/v1/chat/completions", json=body) as answer,
            asyncio.timeout(10),
        ):
            seen = b""
            while b'"two"' not in seen:
                seen += await answer.content.readany()


async def test_a_stream_that_cannot_be_sent_on_keeps_no_other_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(str(context["exception"])))
    now, flush = asyncio.Event(), EventWriter.flush

    def odd(writer: EventWriter) -> None:
        together = b"".join(writer._together)
        flush(writer)
        if b"broken" in together:
            raise RuntimeError("no")

    monkeypatch.setattr(EventWriter, "flush", odd)
    body = {"model": "scripted/m", "messages": [USER], "stream": True}
    async with served(tmp_path, [ScriptedProvider]) as gateway, aiohttp.ClientSession() as client, asyncio.timeout(10):
        answers = []
        for word in ("broken", "one", "two"):
            gateway.plugins["scripted"].scripts.append(
                [Start(), TextDelta(text="begun"), now, TextDelta(text=word), 600.0]
            )
            answers.append(await client.post(f"{gateway.url}/v1/chat/completions", json=body))
            assert b'"begun"' in await answers[-1].content.readany()
        now.set()
        assert b'"one"' in await answers[1].content.readany()
        assert b'"two"' in await answers[2].content.readany()
        with pytest.raises(aiohttp.ClientPayloadError):  # what it lost must not go unseen
            await answers[0].read()
    assert told == ["no"]


def unframed(chunks: bytes) -> bytes:
    """Return a body without HTTP's chunks, which must all be as they should."""
    body, size = b"", -1
    while size:
        line, _, rest = chunks.partition(b"\r\n")
        size = int(line, 16)
        body += rest[:size]
        assert rest[size : size + 2] == b"\r\n"
        chunks = rest[size + 2 :]
    assert not chunks
    return body


@pytest.mark.parametrize(("version", "kept"), [("1.0", "close"), ("1.0", "keep-alive"), ("1.1", "close")])
async def test_events_are_framed_as_the_version_of_http_wants(tmp_path: Path, version: str, kept: str) -> None:
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        gateway.plugins["scripted"].scripts.append(
            [Start(), TextDelta(text="one"), 0.05, TextDelta(text="two"), 0.05, Finish()]
        )
        body = json.dumps({"model": "scripted/m", "messages": [USER], "stream": True})
        lines = (f"POST /v1/chat/completions HTTP/{version}", "Host: localhost", "Content-Type: application/json")
        head = "\r\n".join((*lines, f"Connection: {kept}", f"Content-Length: {len(body)}", "", ""))
        reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
        writer.write(f"{head}{body}".encode())
        async with asyncio.timeout(10):
            received = await reader.read()
        writer.close()
    answered, _, sent = received.partition(b"\r\n\r\n")
    assert (b"Transfer-Encoding: chunked" in answered) is (version == "1.1")
    text = (unframed(sent) if version == "1.1" else sent).decode()
    assert re.findall(r'"content":"(\w+)"', text) == ["one", "two"]
    assert text.startswith("data: {")
    assert text.endswith("}\n\ndata: [DONE]\n\n")
    assert text.count("\n") == 2 * text.count("data: ")
