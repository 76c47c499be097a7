"""The floor: the least that a proxy on aiohttp does. It reads a body, sends it on, and sends back what comes.

    python -m benchmarks.gateway.passthrough PORT UPSTREAM_URL [DATABASE]

It has no keys, no limits, no log, no metrics, no deadlines, and knows nothing of what it carries. With the path of a
database what came is on the disk before it is sent on, and the answer before it is sent back. It reads nothing of it
and updates nothing, so that whatever keeps a conversation takes more.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from queue import SimpleQueue

import aiohttp
from aiohttp import web

KEEP_ALIVE = 30.0
"""Seconds for which an idle connection to the vendor is kept: as long as the gateway keeps one."""

SESSION = web.AppKey("session", aiohttp.ClientSession)
UPSTREAM = web.AppKey("upstream", str)


class Rows:
    """Writes rows in a thread: those that wait together are one transaction, with one sync of the disk."""

    def __init__(self, path: str) -> None:
        """Open a database."""
        self._loop = asyncio.get_running_loop()
        self._waiting: SimpleQueue[tuple[bytes, asyncio.Future[None]]] = SimpleQueue()
        threading.Thread(target=self._write, args=(path,), daemon=True).start()

    async def add(self, text: bytes) -> None:
        """Write a row, and wait until it is on the disk."""
        done = self._loop.create_future()
        self._waiting.put((text, done))
        await done

    def _write(self, path: str) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE said (id INTEGER PRIMARY KEY, text BLOB)")
        while True:
            batch = [self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get())
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO said (text) VALUES (?)", [(text,) for text, _ in batch])
            connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(self._tell, [done for _, done in batch])

    @staticmethod
    def _tell(written: Sequence[asyncio.Future[None]]) -> None:
        for done in written:
            if not done.done():
                done.set_result(None)


ROWS = web.AppKey("rows", Rows)


async def forward(request: web.Request) -> web.StreamResponse:
    """Send a request on, and its answer back."""
    body = await request.read()
    rows = request.app.get(ROWS)
    if rows is not None:
        await rows.add(body)
    url, headers = request.app[UPSTREAM] + request.path, {"content-type": "application/json"}
    async with request.app[SESSION].post(url, data=body, headers=headers) as answer:
        if answer.content_type != "text/event-stream":
            data = await answer.read()
            if rows is not None:
                await rows.add(data)
            return web.Response(body=data, status=answer.status, content_type=answer.content_type)
        response = web.StreamResponse(status=answer.status, headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


async def _session(app: web.Application) -> AsyncIterator[None]:
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        app[SESSION] = session
        if len(sys.argv) > 3:
            app[ROWS] = Rows(sys.argv[3])
        yield


def main() -> None:
    """Serve until told to stop."""
    app = web.Application(client_max_size=2**24)
    app[UPSTREAM] = sys.argv[2]
    app.cleanup_ctx.append(_session)
    app.router.add_post("/{path:.*}", forward)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), backlog=4096, access_log=None, print=None)


if __name__ == "__main__":
    main()
