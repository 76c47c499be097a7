"""Requests whose end two readers could see at different places: none is served, and nothing behind it is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fake_providers.scripted import ScriptedProvider
from scripted_gateway import Served, served

BODY = b'{"message": "hi"}'
CHUNKED = b"11\r\n" + BODY + b"\r\n0\r\n\r\n"
HEAD = b"POST /api/orchestrate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
GET = b"GET /health/live HTTP/1.1\r\nHost: a\r\n"
SMUGGLED = b"GET /api/providers HTTP/1.1\r\nHost: a\r\n\r\n"
LENGTH = b"Content-Length: 17\r\n"
CODED = b"Transfer-Encoding: chunked\r\n"

AMBIGUOUS = {
    "length and chunked": HEAD + LENGTH + CODED + b"\r\n" + CHUNKED,
    "chunked and a shorter length": HEAD + CODED + b"Content-Length: 4\r\n\r\n" + CHUNKED,
    "two lengths": HEAD + LENGTH + b"Content-Length: 18\r\n\r\n" + BODY,
    "the same length twice": HEAD + LENGTH + LENGTH + b"\r\n" + BODY,
    "a list of lengths": HEAD + b"Content-Length: 17, 17\r\n\r\n" + BODY,
    "a signed length": HEAD + b"Content-Length: +17\r\n\r\n" + BODY,
    "a hexadecimal length": HEAD + b"Content-Length: 0x11\r\n\r\n" + BODY,
    "a length beyond 64 bits": HEAD + b"Content-Length: 99999999999999999999\r\n\r\n" + BODY,
    "a space before the colon": HEAD + b"Content-Length : 17\r\n\r\n" + BODY,
    "an unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKED,
    "a coding after chunked": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKED,
    "chunked twice": HEAD + CODED + CODED + b"\r\n" + CHUNKED,
    "a quoted coding": HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n' + CHUNKED,
    "a coding behind a vertical tab": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKED,
    "a folded coding": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKED,
    "chunked in HTTP/1.0": HEAD.replace(b"1.1", b"1.0") + CODED + b"\r\n" + CHUNKED,
    "a hexadecimal prefix of a chunk": HEAD + CODED + b"\r\n0x" + CHUNKED,
    "a signed chunk": HEAD + CODED + b"\r\n+" + CHUNKED,
    "bare line feeds in chunks": HEAD + CODED + b"\r\n" + CHUNKED.replace(b"\r\n", b"\n"),
    "a chunk longer than it says": HEAD + CODED + b"\r\n10\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk beyond 64 bits": HEAD + CODED + b"\r\nffffffffffffffff1\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a length in the trailers": HEAD + CODED + b"\r\n" + CHUNKED[:-2] + LENGTH + b"\r\n",
    "a folded header": GET + b"X-A: a\r\n b\r\n\r\n",
    "bare line feeds": GET.replace(b"\r\n", b"\n") + b"\n",
    "one bare line feed": GET + b"X-A: a\nX-B: b\r\n\r\n",
    "a bare carriage return": GET + b"X-A: a\rX-B: b\r\n\r\n",
    "NUL in a value": GET + b"X-A: a\0b\r\n\r\n",
    "NUL in a name": GET + b"X-\0A: b\r\n\r\n",
    "NUL in the path": b"GET /health\0/live HTTP/1.1\r\nHost: a\r\n\r\n",
    "a control character": GET + b"X-A: a\x01b\r\n\r\n",
    "a space in a name": GET + b"X A: b\r\n\r\n",
    "no name": GET + b": b\r\n\r\n",
    "no colon": GET + b"nothing\r\n\r\n",
    "no host": b"GET /health/live HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: b\r\n\r\n",
    "a space in the path": b"GET /health /live HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET /health/live\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a method that is none": b"FOO /health/live HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        yield gateway


async def exchange(gateway: Served, *pieces: bytes) -> bytes:
    """Send pieces one after the other, and read until the gateway closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if len(pieces) > 1:
                await asyncio.sleep(0.001)
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_an_ambiguous_request_ends_the_connection(gateway: Served, name: str) -> None:
    got = await exchange(gateway, AMBIGUOUS[name] + SMUGGLED)
    assert re.findall(rb"HTTP/1\.[01] (\d{3}) ", got) == [b"400"]
    assert b"X-Content-Type-Options: nosniff" in got
    assert gateway.plugins["scripted"].requests == []


async def test_a_coding_that_nobody_undoes_is_refused(gateway: Served) -> None:
    sent = HEAD + b"Connection: close\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKED
    assert (await exchange(gateway, sent)).startswith(b"HTTP/1.1 415 ")


@pytest.mark.parametrize("body", [LENGTH + b"\r\n" + BODY, CODED + b"\r\n" + CHUNKED], ids=["length", "chunked"])
async def test_a_request_may_come_byte_by_byte(gateway: Served, body: bytes) -> None:
    sent = HEAD + b"Connection: close\r\n" + body
    got = await exchange(gateway, *(sent[at : at + 1] for at in range(len(sent))))
    assert got.startswith(b"HTTP/1.1 200 ")


async def test_pipelined_requests_are_answered_in_their_order(gateway: Served) -> None:
    paths = [b"/health/live", b"/nothing", b"/api/providers", b"/health/ready"] * 20
    sent = b"".join(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n" for path in paths)
    got = await exchange(gateway, sent + GET + b"Connection: close\r\n\r\n")
    statuses = [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 404, 200, 200] * 20 + [200]
