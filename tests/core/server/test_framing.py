"""Requests whose end two readers could see at different places: none is served, and nothing behind it is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ambiguous_requests import AMBIGUOUS, BODY, CHUNKED, CODED, GET, HEAD, LENGTH, SMUGGLED
from fake_providers.scripted import ScriptedProvider
from scripted_gateway import Served, served


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


@pytest.mark.parametrize(
    "name", [name for name in AMBIGUOUS if AMBIGUOUS[name].startswith(b"POST") and "chunk" in name]
)
async def test_an_ambiguous_body_behind_its_head_ends_the_connection(gateway: Served, name: str) -> None:
    head, _, body = AMBIGUOUS[name].partition(b"\r\n\r\n")
    for _ in range(20):
        try:
            got = await exchange(gateway, head + b"\r\n\r\n", body + SMUGGLED)
        except (
            ConnectionError
        ):  # what is behind the error met a closed connection, so that the answer is lost on the way
            continue
        break
    assert re.findall(rb"HTTP/1\.[01] (\d{3}) ", got)[:1] == [b"400"]
    assert b'"providers"' not in got
    assert gateway.plugins["scripted"].requests == []


@pytest.mark.parametrize("name", [name for name in AMBIGUOUS if CODED in AMBIGUOUS[name]])
async def test_a_body_is_refused_wherever_it_is_cut(
    gateway: Served, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole, answered = AMBIGUOUS[name] + SMUGGLED, 0
    for cut in range(whole.index(b"\r\n\r\n") + 4, len(whole)):
        try:
            got = await exchange(gateway, whole[:cut], whole[cut:])
        except ConnectionError:  # the second piece met a closed connection, so that the answer is lost on the way
            continue
        answered += 1
        assert re.findall(rb"HTTP/1\.[01] (\d{3}) ", got) == [b"400"], cut
    assert answered > 10
    assert gateway.plugins["scripted"].requests == []
    assert "Unhandled" not in caplog.text


LATE = b"GET /api/v1/openai/models HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("rest", "status"), [(b"Bad header\r\n\r\n", b"400"), (b"X: " + b"a" * 9000 + b"\r\n\r\n", b"431")]
)
@pytest.mark.parametrize("before", [b"", b"\r\n\r\n\r\n"])
async def test_an_error_is_the_same_wherever_the_request_line_is_cut(
    gateway: Served, before: bytes, rest: bytes, status: bytes
) -> None:
    line = before + LATE
    for cut in range(1, len(line)):
        got = await exchange(gateway, line[:cut], line[cut:] + rest)
        assert got[9:12] == status, cut
        assert b'"success": false' in got or b'"success":false' in got, cut


@pytest.mark.parametrize("length", [8195, 8300, 12_000])
async def test_an_address_that_is_too_long_is_refused_as_one_however_it_comes(gateway: Served, length: int) -> None:
    sent = (b"GET /api/v1/openai/" + b"a" * length)[:length] + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for size in (len(sent), 4000, 1000):
        try:
            got = await exchange(gateway, *(sent[at : at + size] for at in range(0, len(sent), size)))
        except ConnectionError:  # a further piece met a closed connection, so that the answer is lost on the way
            continue
        assert got[9:12] == b"414", size
        assert b'"success": false' in got or b'"success":false' in got, size


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
    sent = b"".join(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n" for path in paths)
    got = await exchange(gateway, sent + GET + b"Connection: close\r\n\r\n")
    statuses = [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 404, 200, 200] * 20 + [200]
