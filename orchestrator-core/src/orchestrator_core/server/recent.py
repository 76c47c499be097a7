"""What happened lately: the activity of the last hour, and the newest security events.

Both are in memory and bounded. Of several workers each reads the counters of all, and leaves in a file what it kept, so
that any of them can show the events of all, and one that takes the place of another goes on from there.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from orchestrator_core.security.recent_events import RecentEvent, RecentEvents
from orchestrator_core.telemetry.activity import STEP, Activity, Step, totals
from orchestrator_core.telemetry.metrics import Metrics

LEAVE_EVERY: Final = 2.0
"""Seconds after which other workers know of an event."""

_PATTERN: Final = "recent-*.json"
_EVENTS: Final = TypeAdapter(list[RecentEvent])
_STEPS: Final = TypeAdapter(list[Step])

_logger = structlog.get_logger(__name__)


class Recent:
    """What happened lately.

    Attributes:
        activity: The last hour.
    """

    def __init__(self, events: RecentEvents) -> None:
        """Take the events of this process."""
        self.activity = Activity()
        self._events = events
        self._file: Path | None = None

    async def share(self, folder: Path, place: int) -> None:
        """Share with the other workers, and go on from what the one before at this place kept.

        Args:
            folder: The same for all workers.
            place: The place of this one.
        """
        self._file = folder / _PATTERN.replace("*", str(place))
        events, steps = await asyncio.to_thread(_read, self._file)
        self._events.take(events)
        self.activity.take(steps)

    async def events(self) -> Sequence[RecentEvent]:
        """Return the newest events of all workers, newest first."""
        found = list(self._events.all())
        if self._file is not None:
            found += await asyncio.to_thread(_of_others, self._file)
        return sorted(found, key=lambda event: event.at, reverse=True)

    async def watch(self, metrics: Metrics) -> None:
        """Read the counters at the end of each step, and leave what is new for others, until cancelled."""
        self.activity.add(int(time.time()), await asyncio.to_thread(totals, metrics))
        left: tuple[int, int] | None = None
        while True:
            now = time.time()
            await asyncio.sleep(min(STEP - now % STEP, LEAVE_EVERY if self._file else STEP))
            at = int(time.time() // STEP * STEP)
            if at > now:
                self.activity.add(at, await asyncio.to_thread(totals, metrics))
            if self._file is not None and (self._events.count, at) != left:
                left = self._events.count, at
                await asyncio.to_thread(_write, self._file, self._events.all(), self.activity.after(0, at))


def _of_others(own: Path) -> list[RecentEvent]:
    return [event for path in own.parent.glob(_PATTERN) if path != own for event in _read(path)[0]]


def _read(path: Path) -> tuple[list[RecentEvent], list[Step]]:
    try:
        found = json.loads(path.read_bytes())
        return _EVENTS.validate_python(found["events"]), _STEPS.validate_python(found["steps"])
    except FileNotFoundError:
        return [], []
    except (OSError, ValueError, KeyError, ValidationError) as error:
        _logger.warning("What another worker kept cannot be read", reason=type(error).__name__)
        return [], []


def _write(path: Path, events: Sequence[RecentEvent], steps: Sequence[Step]) -> None:
    body: dict[str, Any] = {"events": [asdict(event) for event in events], "steps": [asdict(step) for step in steps]}
    written = path.with_suffix(f".{os.getpid()}")
    try:
        written.write_text(json.dumps(body))
        written.replace(path)
    except OSError as error:
        _logger.warning("What this worker kept cannot be left for others", reason=type(error).__name__)


RECENT = web.AppKey("orchestrator.recent", Recent)
"""What happened lately."""
