"""What a gateway that is a process of its own holds, seen from outside."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import psutil

from processes import GatewayProcess

_GAUGE = re.compile(r"^(orchestrator_\w*in_flight|orchestrator_calls_waiting)(?:\{[^}]*\})? ([\d.e+]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Held:
    """What a gateway holds at a moment.

    Attributes:
        clients: Connections of clients; those that look should keep none.
        providers: Connections to providers, such as those that are kept for the next call.
        descriptors: Descriptors that are no connections.
        memory: Bytes of memory that are its own.
        in_flight: What its metrics say is under way, without the request that asks for them.
    """

    clients: int
    providers: int
    descriptors: int
    memory: int
    in_flight: Mapping[str, int]


async def look(gateway: GatewayProcess, http: aiohttp.ClientSession) -> Held:
    """Look at what a gateway holds."""
    async with http.get(f"{gateway.url}/metrics") as reply:
        told = await reply.text()
    in_flight: Counter[str] = Counter()
    for name, value in _GAUGE.findall(told):
        in_flight[name] += int(float(value))
    in_flight["orchestrator_http_requests_in_flight"] -= 1
    process = psutil.Process(gateway.process.pid)
    sockets = [socket for socket in process.net_connections("tcp") if socket.status != psutil.CONN_LISTEN]
    clients = sum(socket.laddr.port == gateway.port for socket in sockets)
    return Held(
        clients=clients,
        providers=len(sockets) - clients,
        descriptors=process.num_fds() - len(sockets),
        memory=process.memory_info().rss,
        in_flight=dict(in_flight),
    )


async def look_when_quiet(gateway: GatewayProcess, http: aiohttp.ClientSession, within: float = 5.0) -> Held:
    """Look as soon as nothing is under way, or at the end of the time that it has for that."""
    end = time.monotonic() + within
    while True:
        held = await look(gateway, http)
        if not any(held.in_flight.values()) or time.monotonic() > end:
            return held
        await asyncio.sleep(0.05)


def turns_by_state(gateway: GatewayProcess) -> Counter[str]:
    """Count the stored turns of a gateway on SQLite by how they ended."""
    database = sqlite3.connect(f"file:{gateway.directory}/orchestrator.db?mode=ro", uri=True)
    try:
        return Counter(dict(database.execute("SELECT state, count(*) FROM turns GROUP BY state").fetchall()))
    finally:
        database.close()
