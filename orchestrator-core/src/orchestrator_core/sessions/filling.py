"""Sessions that are written in parts, so that nobody else waits long, and that are there only when they are whole."""

from __future__ import annotations

import asyncio
from functools import partial

from orchestrator_core.sessions.databases.base import Database
from orchestrator_core.sessions.jobs.copies import BeginFork, SessionHead
from orchestrator_core.sessions.jobs.imports import Import
from orchestrator_core.sessions.jobs.rows import SessionRow

PART = 2000
"""Messages that one transaction copies."""


async def fork(database: Database, begin: BeginFork) -> SessionRow:
    """Copy a session.

    Raises:
        NotFound: See `BeginFork`; also where the original is deleted meanwhile.
        SessionBusy: See `BeginFork`.
    """
    copy, filled = await database.write(begin, undo=begin.abandon)
    try:
        for first in range(1, copy.alone, PART):
            last = min(first + PART, copy.alone) - 1
            for turn in await database.write(partial(copy.copy, first, last)):
                filled.add(turn)
        return await database.write(partial(copy.show, filled))
    except BaseException:
        await forget(database, copy.head)
        raise


async def fill(database: Database, ready: Import) -> SessionRow:
    """Write a conversation."""
    head = ready.head
    await database.write(head.add, undo=lambda _: head.forget)
    try:
        for part in ready.parts:
            await database.write(part.write)
        return await database.write(ready.show)
    except BaseException:
        await forget(database, head)
        raise


async def forget(database: Database, head: SessionHead) -> None:
    """Delete a session that will not be whole, even where the caller is cancelled."""
    await asyncio.shield(database.write(head.forget))
