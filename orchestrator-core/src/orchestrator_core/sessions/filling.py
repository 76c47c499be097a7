"""Sessions that are written in parts, so that nobody else waits long, and that are there only when they are whole."""

from __future__ import annotations

import asyncio
from functools import partial

from orchestrator_core.sessions.databases.base import Database
from orchestrator_core.sessions.jobs.copies import BeginFork, SessionHead
from orchestrator_core.sessions.jobs.imports import prepare
from orchestrator_core.sessions.jobs.labels import labels_of
from orchestrator_core.sessions.jobs.rows import Redact, SessionRow, metadata_json
from orchestrator_core.sessions.models import NewConversation, new_id

PART = 2000
"""Messages that one transaction copies, or writes."""


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


async def fill(database: Database, tenant: str, conversation: NewConversation, redact: Redact, now: int) -> SessionRow:
    """Write a conversation.

    Args:
        database: Where to.
        tenant: Whose it is.
        conversation: What was said; it holds together.
        redact: Masks secrets in all text.
        now: Microseconds.
    """
    head = SessionHead(
        tenant=tenant,
        session_id=new_id("sess"),
        process_id=database.process_id,
        user_id=None if conversation.user_id is None else redact(conversation.user_id),
        metadata=metadata_json(conversation.metadata, redact),
        labels=labels_of(conversation.metadata, redact),
        parent_id=conversation.parent_id,
        now=now,
    )
    # In a thread: a long conversation takes a second to be written down.
    ready = await asyncio.to_thread(prepare, head, conversation, redact, PART)
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
