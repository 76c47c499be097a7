"""A provider that streams at a steady pace to many: for programs that look at what long streams cost.

    async with TickingUpstream(every=0.5) as upstream:
        OPENAI_BASE_URL = f"{upstream.url}/v1"   # the model `ticks-10` says ten words, `ticks` goes on until it is left

It can be a process of its own: `running_upstream` starts `python ticking.py --every 0.5`, and reads its address.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "ticks", "choices": [choice]}
    return _chunked(b"data: " + json.dumps(chunk).encode() + b"\n\n")


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


TICK = _event({"content": "tick "})
BEGIN = _event({"role": "assistant", "content": ""})
END = _event({}, "stop") + _chunked(b"data: [DONE]\n\n") + _chunked(b"")


class TickingUpstream:
    """The server.

    Attributes:
        open: Streams under way.
    """

    def __init__(self, *, every: float, port: int = 0) -> None:
        """Prepare.

        Args:
            every: Seconds from one word to the next; the first comes at once.
            port: Where to listen; 0 is a free one.
        """
        self.open = 0
        self._every = every
        self._port = port
        self._server: asyncio.Server
        self._tasks: set[asyncio.Task[Any]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, backlog=2048)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    await self._answer(reader, writer)
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        model = str(json.loads(await reader.readexactly(int(length)))["model"])
        left = int(model.rpartition("-")[2]) if "-" in model else -1
        self.open += 1
        try:
            writer.write(HEAD + BEGIN)
            while left:
                writer.write(TICK)
                await writer.drain()
                await asyncio.sleep(self._every)
                if reader.at_eof() or writer.is_closing():
                    raise ConnectionResetError
                left -= 1
            writer.write(END)
            await writer.drain()
        finally:
            self.open -= 1


@contextmanager
def running_upstream(every: float) -> Iterator[str]:
    """Run one as a process of its own; yield its address."""
    with subprocess.Popen(
        [sys.executable, Path(__file__), "--every", str(every)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def _serve_on(every: float) -> None:
    async with TickingUpstream(every=every) as upstream:
        print(upstream.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=float, default=0.5)
    asyncio.run(_serve_on(parser.parse_args().every))
