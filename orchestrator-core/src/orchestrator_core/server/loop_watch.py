"""Looks at the process itself: whether its event loop keeps up, and whether its log is read."""

from __future__ import annotations

import asyncio

from orchestrator_core.telemetry.log_queue import LogQueue
from orchestrator_core.telemetry.metrics import Metrics

LOOK_EVERY = 0.5
"""Seconds between two looks."""


async def watch_loop(metrics: Metrics, lines: LogQueue | None) -> None:
    """Look again and again, until cancelled.

    Args:
        metrics: What is told how late the loop was.
        lines: The queue of the log, whose dropped lines are counted.
    """
    loop, counted = asyncio.get_running_loop(), 0
    while True:
        due = loop.time() + LOOK_EVERY
        await asyncio.sleep(LOOK_EVERY)
        metrics.loop_lag.observe(max(0.0, loop.time() - due))
        if lines is not None and lines.dropped > counted:
            metrics.lines_dropped.inc(lines.dropped - counted)
            counted = lines.dropped
