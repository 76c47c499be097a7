"""Clients that hold connections without using them, and healthy ones beside them."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any, Final

import aiohttp

PACE: Final = 0.3
"""Seconds between two bytes of a slow client."""

_HEAD = (
    b"POST /api/orchestrate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n"
)
_PIPELINED = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 30


@dataclass
class Latencies:
    """What healthy requests took, in seconds, and what went wrong with them."""

    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def p50(self) -> float:
        """The median."""
        return quantiles(self.seconds, n=100)[49]

    @property
    def p99(self) -> float:
        """What 99 of 100 stay below."""
        return quantiles(self.seconds, n=100)[98]


async def _drip(sock: socket.socket, text: bytes) -> None:
    loop = asyncio.get_running_loop()
    for at in range(len(text)):
        await loop.sock_sendall(sock, text[at : at + 1])
        await asyncio.sleep(PACE)


async def silent(sock: socket.socket) -> None:
    """Send nothing."""
    await asyncio.sleep(3600)


async def slow_head(sock: socket.socket) -> None:
    """Send the head of a request byte by byte."""
    await _drip(sock, _HEAD + b"X-Slow: " + b"a" * 8000)


async def slow_body(sock: socket.socket) -> None:
    """Send the head of a request, and its body byte by byte."""
    await asyncio.get_running_loop().sock_sendall(sock, _HEAD + b"\r\n")
    await _drip(sock, b'{"message": "' + b"a" * 8000)


async def deaf(sock: socket.socket) -> None:
    """Ask for much, and read nothing of it."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, _PIPELINED)
    while True:
        await loop.sock_sendall(sock, b"\r\n")
        await asyncio.sleep(PACE)


KINDS: Final[dict[str, Callable[[socket.socket], Coroutine[Any, Any, None]]]] = {
    "silent": silent,
    "slow head": slow_head,
    "slow body": slow_body,
    "deaf": deaf,
}


async def hold(port: int, kind: str, within: float) -> float | None:
    """Be a slow client until the gateway closes; return after how many seconds, None where it did not in time."""
    with socket.socket() as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        began = time.monotonic()
        tasks = [asyncio.create_task(KINDS[kind](sock))]
        if kind != "deaf":
            tasks.append(asyncio.create_task(_until_closed(sock)))
        done, _ = await asyncio.wait(tasks, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        took = time.monotonic() - began
        for task in tasks:
            task.cancel()
        for end in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(end, BaseException) and not isinstance(end, OSError | asyncio.CancelledError):
                raise end
        return took if done else None


async def _until_closed(sock: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(sock, 4096):
        pass


@asynccontextmanager
async def healthy(url: str, clients: int) -> AsyncIterator[Latencies]:
    """Ask the gateway all the time, with so many clients; every request must be answered."""
    found = Latencies()
    body = json.dumps({"message": "hello", "agent_config": {"provider": "echo"}})

    async def ask(http: aiohttp.ClientSession) -> None:
        while True:
            began = time.monotonic()
            headers = {"Content-Type": "application/json"}
            async with http.post(f"{url}/api/orchestrate", data=body, headers=headers) as response:
                text = await response.text()
            found.seconds.append(time.monotonic() - began)
            if response.status != 200:
                found.faults.append(f"{response.status} {text[:200]}")
            await asyncio.sleep(0.02)

    async with aiohttp.ClientSession() as http:
        tasks = [asyncio.create_task(ask(http)) for _ in range(clients)]
        try:
            yield found
        finally:
            for task in tasks:
                task.cancel()
            for end in await asyncio.gather(*tasks, return_exceptions=True):
                if not isinstance(end, asyncio.CancelledError):
                    found.faults.append(repr(end))
