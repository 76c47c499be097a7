from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from benchmarks.gateway import load, scenarios, subjects, upstream
from benchmarks.gateway.comparisons import NO_SUMMARIES
from benchmarks.gateway.scenarios import (
    NEW,
    PACED,
    Sessions,
    chat,
    embedding,
    long_answer,
    long_question,
    streamed,
    streamed_turn,
    tools,
)
from benchmarks.gateway.subjects import Subject, direct, resident
from benchmarks.gateway.upstream import EVENTS, LONG_TEXT, PACED_EVENTS, TEXT, Upstream
from benchmarks.gateway.wire import MessageReader


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a vendor."""
    loop, made = asyncio.get_running_loop(), list[Upstream]()

    def make() -> Upstream:
        made.append(Upstream())
        return made[-1]

    async with await loop.create_server(make, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        while not all(each._transport.is_closing() for each in made):
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("make", "events"),
    [(chat, 0), (long_question, 0), (long_answer, 0), (tools, 0), (embedding, 0), (streamed, EVENTS + 4)],
)
async def test_every_answer_is_counted(port: int, make: object, events: int) -> None:
    assert callable(make)
    outcome = await load.run(port, make(direct(port), ""), connections=3, seconds=60, most=2)
    assert (len(outcome.latencies), len(outcome.first), outcome.errors) == (6, 6, 0)
    assert (outcome.events, outcome.events_under_load, outcome.under_load) == (6 * events, 6 * events, 6)
    assert all(first <= whole for first, whole in zip(outcome.first, outcome.latencies, strict=True))


@pytest.mark.parametrize(("make", "text"), [(chat, TEXT), (long_question, TEXT), (long_answer, LONG_TEXT)])
async def test_an_answer_is_as_long_as_it_was_asked_for(port: int, make: object, text: str) -> None:
    assert callable(make)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    writer.write(make(direct(port), "")(0, 0))
    answer = await reader.readuntil(text.encode() + b'"')
    assert len(answer) < len(text) + 1000
    writer.close()
    await writer.wait_closed()


async def read_request(reader: asyncio.StreamReader) -> None:
    """Read a request, whose length is its last header."""
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.rpartition(b": ")[2]))


async def test_what_comes_when_the_load_is_over_is_no_part_of_the_rate() -> None:
    asked, third, second_answered = 0, asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await read_request(reader)
                asked += 1
                number = asked
                if number == 2:  # of the other client, for whom the load goes on
                    await third.wait()
                elif number == 3:
                    third.set()
                    await second_answered.wait()
                    await asyncio.sleep(0.2)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
                if number == 2:
                    second_answered.set()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        outcome = await load.run(port, chat(direct(port), ""), connections=2, seconds=0.0)
    assert (len(outcome.latencies), outcome.under_load, outcome.errors) == (3, 2, 0)
    assert outcome.rate == 2 / outcome.seconds


async def test_a_failure_is_an_error_and_no_answer(port: int) -> None:
    request = direct(port).request("/broken/v1/chat/completions", {})
    outcome = await load.run(port, lambda _connection, _number: request, connections=2, seconds=60, most=1)
    assert (outcome.latencies, outcome.errors) == ([], 2)


async def test_the_gateway_passes_on_long_conversations_with_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subjects, "IDLE_AFTER", 0.0)
    anywhere = range(1024)
    with (
        subjects.upstream(tmp_path, anywhere) as vendor,
        subjects.gateway("gateway", tmp_path / "gateway", vendor, anywhere) as gateway,
    ):
        for make in (long_question, long_answer, tools):
            outcome = await load.run(gateway.port, make(gateway, ""), connections=2, seconds=60, most=1)
            assert (len(outcome.latencies), outcome.errors) == (2, 0)


async def test_the_longest_history_is_sent_whole(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []

    class Seeing(MessageReader):
        def feed(self, data: bytes) -> bool:
            complete = super().feed(data)
            if complete and self.body:
                sent.append(len(json.loads(self.body)["messages"]))
            return complete

    monkeypatch.setattr(upstream, "MessageReader", Seeing)
    monkeypatch.setattr(subjects, "IDLE_AFTER", 0.0)
    longest = max(NEW)

    def take_turns() -> None:
        with subjects.gateway("gateway", tmp_path / "gateway", port, range(1024), NO_SUMMARIES) as gateway:
            sessions = Sessions(gateway)
            with contextlib.closing(sessions._connection):
                sessions.copy(longest - 1, 2)
                sessions._ask("/api/orchestrate", scenarios._say(sessions.ids[1]))

    await asyncio.to_thread(take_turns)
    assert sent == [*range(1, longest, 2), longest]


async def test_a_turn_is_streamed_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "IDLE_AFTER", 0.0)
    anywhere = range(1024)
    with (
        subjects.upstream(tmp_path, anywhere) as vendor,
        subjects.gateway("gateway", tmp_path / "gateway", vendor, anywhere) as gateway,
    ):
        outcome = await load.run(gateway.port, streamed_turn(gateway, PACED), connections=2, seconds=60, most=1)
    assert (len(outcome.latencies), len(outcome.first), outcome.errors) == (2, 2, 0)
    assert outcome.events > 2 * PACED_EVENTS


async def test_sending_a_request_is_part_of_its_latency() -> None:
    class Slow(asyncio.Transport):
        def write(self, data: object) -> None:
            time.sleep(0.01)
            loop.call_soon(client.data_received, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        def close(self) -> None:
            client.connection_lost(None)

    loop, outcome = asyncio.get_running_loop(), load.Outcome()
    client = load._Client(0, 0, lambda _connection, _number: b"", outcome, load._Span(0.0, 1), most=1)
    client.connection_made(Slow())
    client.go_on()
    await client.done
    assert (len(outcome.latencies), outcome.errors) == (1, 0)
    assert outcome.first[0] >= 0.01


async def test_a_stream_that_breaks_off_is_an_error() -> None:
    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: x\n\r\n0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(cut, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        outcome = await load.run(port, streamed(direct(port), ""), connections=1, seconds=60, most=1)
    assert (outcome.latencies, outcome.errors) == ([], 1)


@pytest.mark.parametrize("ending", ["each_third_breaks_off", "each_third_is_refused", "closes_after_each"])
async def test_every_request_is_an_answer_or_an_error_however_a_server_ends_them(ending: str) -> None:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await read_request(reader)
                asked += 1
                status = b"503 Busy" if ending == "each_third_is_refused" and asked % 3 == 0 else b"200 OK"
                body = b"" if ending == "each_third_breaks_off" and asked % 3 == 0 else b"hello"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n" + body)
                await writer.drain()
                if not body or ending == "closes_after_each":
                    break
        writer.close()

    clients, most = 4, 9
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        outcome = await load.run(port, chat(direct(port), ""), clients, seconds=60, most=most)
    assert len(outcome.latencies) + outcome.errors == clients * most
    assert outcome.errors > 0
    assert outcome.latencies


async def test_every_request_to_a_server_that_went_away_is_an_error() -> None:
    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.close()
        writer.close()

    server = await asyncio.start_server(leave, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outcome = await load.run(port, chat(direct(port), ""), connections=1, seconds=60, most=5)
    assert (outcome.latencies, outcome.errors) == ([], 5)


async def test_memory_is_counted_from_the_idle_server(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenarios, "SETTLE", 0.0)
    subject = direct(port)
    subject.process = psutil.Process()
    subject.idle = resident(subject.processes()) - 500.0  # which earlier loads have taken
    cell = await scenarios.measure(subject, scenarios.Scenario("chat", 1, chat, seconds=60.0, most=1))
    assert cell.memory > 400


async def test_what_an_idle_server_computes_is_taken_off_paced_streams(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenarios, "SETTLE", 0.0)
    monkeypatch.setattr(Subject, "processor_seconds", lambda _: time.perf_counter() / 2)
    subject = direct(port)
    await scenarios.rest([subject], 0.1)
    assert subject.resting == pytest.approx(0.5, rel=0.5)
    subject.resting = 1.0  # more than all, whatever the machine does between two clocks
    plain, paced = [
        await scenarios.measure(subject, scenarios.Scenario("chat", 1, chat, base, seconds=60.0, most=1))
        for base in ("", scenarios.PACED)
    ]
    assert plain.processor > paced.processor == 0.0


async def test_what_does_not_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "PATIENCE", 0.05)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        outcome = await load.run(port, chat(direct(port), ""), connections=2, seconds=0.05)
    assert (outcome.latencies, outcome.errors) == ([], 2)
