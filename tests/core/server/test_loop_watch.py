"""Whether the event loop keeps up, and whether the log is read."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from orchestrator_core.server import loop_watch
from orchestrator_core.server.loop_watch import watch_loop
from orchestrator_core.telemetry.log_queue import LogQueue
from orchestrator_core.telemetry.metrics import Metrics


async def test_a_loop_that_is_held_up_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_watch, "LOOK_EVERY", 0.01)
    metrics = Metrics()
    watch = asyncio.create_task(watch_loop(metrics, None))
    await asyncio.sleep(0.02)
    time.sleep(0.2)
    await asyncio.sleep(0.02)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    text = metrics.render()[0].decode()
    (total,) = (line for line in text.splitlines() if line.startswith("orchestrator_event_loop_lag_seconds_sum"))
    assert float(total.split()[-1]) > 0.15


async def test_lines_that_were_dropped_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_watch, "LOOK_EVERY", 0.001)
    reader, writer = os.pipe()
    lines, metrics = LogQueue(writer, limit=0), Metrics()
    for _ in range(3):
        lines.write("lost")
    watch = asyncio.create_task(watch_loop(metrics, lines))
    while b"orchestrator_log_lines_dropped_total 3.0" not in metrics.render()[0]:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    assert b"orchestrator_log_lines_dropped_total 3.0" in metrics.render()[0]
    assert lines.close()
    os.close(reader)
    os.close(writer)
