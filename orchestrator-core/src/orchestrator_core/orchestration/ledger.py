"""What calls without a session used: collected here, and written together, so that no call waits for the disk."""

from __future__ import annotations

import asyncio
import time

import structlog

from orchestrator_core.provider_api import StorageError, Usage
from orchestrator_core.security.principal import Principal
from orchestrator_core.sessions.bills import CallKind, CallTotal, Operation
from orchestrator_core.sessions.store import SessionStore

WRITE_EVERY = 1.0
"""Seconds between two writes: what a process that is killed may lose."""

MAX_KINDS = 10_000
"""Kinds of calls that are kept while the store is away."""

_DAY = 86_400

log = structlog.get_logger(__name__)


class Ledger:
    """Adds up calls, and writes the totals every second in which there were any, and at the end."""

    def __init__(self, store: SessionStore) -> None:
        """Make a ledger; `start` it."""
        self._store = store
        self._totals: dict[CallKind, CallTotal] = {}
        self._some = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write_on(), name="usage ledger")

    async def close(self) -> None:
        """Write what is left."""
        self._closing.set()
        self._some.set()
        if self._task is not None:
            await self._task
        await self._write()

    def add(
        self,
        principal: Principal,
        operation: Operation,
        provider: str,
        model: str,
        usage: Usage | None,
        cost: float | None,
        seconds: float,
    ) -> None:
        """Count a call that has ended."""
        day = int(time.time() // _DAY)
        kind = CallKind(principal.tenant, day, "", principal.id, provider, model, operation)
        if kind not in self._totals and len(self._totals) >= MAX_KINDS:
            log.error("usage is not counted: the store is away", provider=provider)
            return
        self._totals.setdefault(kind, CallTotal()).add(usage, cost, seconds)
        self._some.set()

    async def _write_on(self) -> None:
        while not self._closing.is_set():
            await self._some.wait()
            try:
                async with asyncio.timeout(WRITE_EVERY):
                    await self._closing.wait()
            except TimeoutError:
                await self._write()

    async def _write(self) -> None:
        """Write the totals; those that cannot be written now are kept for the next time."""
        written, self._totals = self._totals, {}
        if not written:
            return
        self._some.clear()
        try:
            await self._store.add_usage(written)
        except StorageError as error:
            log.warning("usage was not stored yet", error=error.code)
            for kind, total in written.items():
                self._totals.setdefault(kind, CallTotal()).merge(total)
            self._some.set()
