"""What is under way in the server, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

CANCEL_TIMEOUT = 5.0
"""Seconds in which requests that are cancelled at the end of the grace period have to be gone."""


class Lifecycle:
    """The requests under way, and small work that outlives its request.

    Attributes:
        expired: Whether the grace period is over, and requests are being cancelled for it.
    """

    def __init__(self) -> None:
        self.expired = False
        self._requests: set[asyncio.Task[Any]] = set()
        self._owned: set[asyncio.Task[Any]] = set()

    def enter(self) -> asyncio.Task[Any]:
        """Count the current task as a request; give what is returned to `leave`."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("requests are served in tasks")
        self._requests.add(task)
        return task

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Count a request as done."""
        self._requests.discard(task)

    def own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that outlives its request."""
        task = asyncio.create_task(work)
        self._owned.add(task)
        task.add_done_callback(self._owned.discard)
        return task

    async def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something to its end even if the request is cancelled meanwhile."""
        await asyncio.shield(self.own(work))

    async def drain(self, grace: float) -> None:
        """Let requests end by themselves for `grace` seconds, then cancel them; each then says so to its client."""
        if self._requests:
            await asyncio.wait(self._requests, timeout=grace)
        self.expired = True
        for task in self._requests:
            task.cancel()
        if self._requests:
            await asyncio.wait(self._requests, timeout=CANCEL_TIMEOUT)
        if self._owned:
            await asyncio.wait(self._owned, timeout=CANCEL_TIMEOUT)


LIFECYCLE = web.AppKey("orchestrator.lifecycle", Lifecycle)
