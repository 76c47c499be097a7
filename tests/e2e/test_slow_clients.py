"""Clients that hold connections without using them are cut off, and no other client notices."""

from __future__ import annotations

import asyncio
from typing import Any

import psutil

from slow_clients import KINDS, healthy, hold

ENVIRON = {
    "MONITORING_ENABLED": "false",
    "ORCHESTRATOR_PROVIDERS": "echo",
    "ORCHESTRATOR_CLIENT_HEAD_TIMEOUT": "1",
    "ORCHESTRATOR_CLIENT_BODY_TIMEOUT": "1",
    "ORCHESTRATOR_CLIENT_WRITE_TIMEOUT": "1",
}


async def test_slow_clients_are_cut_off_and_healthy_ones_are_served(gateway_process: Any) -> None:
    gateway = gateway_process(environ=ENVIRON)
    port, process = int(gateway.url.rpartition(":")[2]), psutil.Process(gateway.process.pid)
    async with healthy(gateway.url, 1):
        await asyncio.sleep(0.3)
    before = process.num_fds()
    async with healthy(gateway.url, 4) as found:
        ends = await asyncio.gather(*(hold(port, kind, 60) for kind in KINDS for _ in range(15)))
    assert None not in ends
    assert found.faults == []
    assert len(found.seconds) > 20
    async with asyncio.timeout(20):
        while process.num_fds() > before:
            await asyncio.sleep(0.1)
