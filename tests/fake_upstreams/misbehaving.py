"""A provider that misbehaves as it is told to, on a socket of its own, byte by byte.

The behaviour is the first part of the path (`http://127.0.0.1:<port>/<behaviour>/v1/chat/completions`) or, where
that is `v1`, the model's name after `fault-`; any other model is answered well. `<behaviour>+2` misbehaves for the
first two requests of that name only, and `<behaviour>@tag` is counted apart. `fake_upstreams.behaviours` has the table.

    async with MisbehavingUpstream() as upstream:
        client.post(f"{upstream.base_url('http-500')}/chat/completions", ...)
        assert upstream.requests["http-500"] == 1
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from fake_upstreams.behaviours import BEHAVIOURS


class ConnectionCutError(Exception):
    """The behaviour ended the connection itself."""


@dataclass
class Call:
    """One request, and the means to answer it, badly if need be.

    Attributes:
        method: As sent.
        path: What follows the behaviour in the path.
        headers: With lower-case names.
        body: The body as JSON, or None.
        raw: The body as sent.
        name: The behaviour as written.
        url: Where this upstream is.
        slow: Seconds that slow behaviours wait.
    """

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    name: str
    url: str
    slow: float
    writer: asyncio.StreamWriter = field(repr=False)

    @property
    def body(self) -> dict[str, Any]:
        try:
            parsed = json.loads(self.raw)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}

    @property
    def streamed(self) -> bool:
        return self.body.get("stream") is True

    async def write(self, data: bytes) -> None:
        """Send bytes as they stand, in a segment of their own where they are few."""
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int, *headers: tuple[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} Answer", *(f"{name}: {value}" for name, value in headers)]
        await self.write("\r\n".join([*lines, "", ""]).encode())

    async def reply(self, status: int, content_type: str, body: bytes, *headers: tuple[str, str]) -> None:
        """Send a whole answer, correctly framed."""
        await self.head(status, ("Content-Type", content_type), ("Content-Length", str(len(body))), *headers)
        await self.write(body)

    async def chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked answer; an empty one ends it."""
        await self.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def cut(self, *, reset: bool) -> None:
        """End the connection, by a reset or in an orderly way, after what was written has left."""
        await asyncio.sleep(0.02)
        if reset:
            raw = self.writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()
        else:
            self.writer.close()
        raise ConnectionCutError


class MisbehavingUpstream:
    """The server.

    Attributes:
        requests: How many requests each behaviour had.
        cancelled: How many clients left each behaviour before its answer was complete.
        left_at: When one did last, by the monotonic clock.
        calls: Every request, in order.
        connections: How many connections were made.
        answering: Answers under way.
        most_answering: The most answers that were under way at a time.
        elsewhere: How many requests came to where the redirect leads.
    """

    def __init__(self, *, slow: float = 0.3, tls: ssl.SSLContext | None = None) -> None:
        self.requests: Counter[str] = Counter()
        self.cancelled: Counter[str] = Counter()
        self.left_at: dict[str, float] = {}
        self.calls: list[Call] = []
        self.connections = 0
        self.answering = 0
        self.most_answering = 0
        self._slow = slow
        self._tls = tls
        self._tasks: set[asyncio.Task[Any]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls, limit=1 << 26)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def elsewhere(self) -> int:
        return self.requests["elsewhere"]

    def base_url(self, behaviour: str = "ok") -> str:
        """The base URL of a provider that behaves so, with `/v1`."""
        return f"{self.url}/{behaviour}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        self.connections += 1
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        first = b""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ConnectionCutError):
            try:
                while True:
                    first = await self._answer(await self._read(first, reader, writer), reader)
            finally:
                writer.transport.abort()
                self._writers.discard(writer)

    async def _read(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Call:
        head = first + await reader.readuntil(b"\r\n\r\n")
        start, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = start.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("transfer-encoding") == "chunked":
            raw = b""
            while size := int(await reader.readline(), 16):
                raw += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        else:
            raw = await reader.readexactly(int(headers.get("content-length", "0")))
        name, _, path = target.removeprefix("/").partition("/")
        call = Call(method, path, headers, raw, name, self.url, self._slow, writer)
        if name == "v1":
            model = str(call.body.get("model", "")).rpartition("/")[2]
            call.path = "v1/" + path
            call.name = model.removeprefix("fault-") if model.startswith("fault-") else "ok"
        self.requests[call.name] += 1
        self.calls.append(call)
        return call

    async def _answer(self, call: Call, reader: asyncio.StreamReader) -> bytes:
        """Behave; return what came of the next request meanwhile. A client that leaves ends the behaviour."""
        name, _, times = call.name.partition("@")[0].partition("+")
        behave = BEHAVIOURS["ok" if times and self.requests[call.name] > int(times) else name]
        self.answering += 1
        self.most_answering = max(self.most_answering, self.answering)
        behaving = asyncio.ensure_future(behave(call))
        leaving = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({behaving, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if behaving.done():
                behaving.result()
                return leaving.result() if leaving.done() and not leaving.exception() else b""
            self._note_leaving(call)
            raise ConnectionCutError
        except ConnectionError:
            self._note_leaving(call)
            raise
        finally:
            self.answering -= 1
            behaving.cancel()
            leaving.cancel()
            await asyncio.gather(behaving, leaving, return_exceptions=True)

    def _note_leaving(self, call: Call) -> None:
        self.cancelled[call.name] += 1
        self.left_at[call.name] = time.monotonic()
