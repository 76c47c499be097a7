"""What calls used that no turn and no summary accounts for: collected here, and written together.

So no call waits for the disk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import NamedTuple

import structlog

from orchestrator_core.config.redaction import REDACTOR
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


class Payer(NamedTuple):
    """Whom calls are charged to, and as what.

    Attributes:
        principal: The client.
        operation: What was done.
        user_id: The label of the caller, or "".
        session_id: The session that they are made for, or "".
    """

    principal: Principal
    operation: Operation
    user_id: str = ""
    session_id: str = ""


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
        self, payer: Payer, provider: str, model: str, usage: Usage | None, cost: float | None, seconds: float
    ) -> None:
        """Count a call that has ended.

        Args:
            payer: Whom it is charged to.
            provider: Who was asked.
            model: Which model.
            usage: The tokens; None where they are unknown.
            cost: USD; None where the price is unknown.
            seconds: How long it took.
        """
        principal, day = payer.principal, int(time.time() // _DAY)
        user_id = payer.user_id and REDACTOR.redact(payer.user_id)
        kind = CallKind(
            principal.tenant, day, user_id, principal.id, provider, model, payer.operation, payer.session_id
        )
        total = self._totals.get(kind)
        if total is None:
            if len(self._totals) >= MAX_KINDS:
                log.error("usage is not counted: the store is away", provider=provider)
                return
            total = self._totals[kind] = CallTotal()
            self._some.set()
        total.add(usage, cost, seconds)

    async def _write_on(self) -> None:
        while not self._closing.is_set():
            await self._some.wait()
            try:
                async with asyncio.timeout(WRITE_EVERY):
                    await self._closing.wait()
            except TimeoutError:
                await self._write()

    async def _write(self) -> None:
        written, self._totals = self._totals, {}
        self._some.clear()
        if written:
            await self._store_totals(written)

    async def _store_totals(self, totals: Mapping[CallKind, CallTotal]) -> None:
        """Store totals; what cannot be stored now is kept for the next time, and what never can be is dropped.

        One transaction holds many: the one that it fails for is found by halves.
        """
        try:
            await self._store.add_usage(totals)
        except StorageError as error:
            log.warning("usage was not stored yet", error=error.code)
            for kind, total in totals.items():
                self._totals.setdefault(kind, CallTotal()).merge(total)
            self._some.set()
        except Exception:
            kinds = list(totals)
            if len(kinds) == 1:
                kind, total = kinds[0], totals[kinds[0]]
                log.exception("usage cannot be stored", provider=kind.provider, model=kind.model, calls=total.calls)
                return
            half = len(kinds) // 2
            for part in (kinds[:half], kinds[half:]):
                await self._store_totals({kind: totals[kind] for kind in part})
