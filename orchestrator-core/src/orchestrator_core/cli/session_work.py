"""What `orchestrator sessions` does."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import click

from orchestrator_core.cli.progress import reported
from orchestrator_core.cli.stored import stored
from orchestrator_core.config import Config
from orchestrator_core.server.query import time_text
from orchestrator_core.server.routes.session_bodies import session_body
from orchestrator_core.server.transfer.reading import read_conversation
from orchestrator_core.server.transfer.writing import export as lines_of
from orchestrator_core.sessions.models import Session, SessionFilter, SessionStatus
from orchestrator_core.sessions.store import SessionStore

PAGE = 100
"""Sessions that are read, or deleted, at once."""

After = tuple[datetime, str]


async def session_rows(
    config: Config, tenant: str, user_id: str | None, status: str | None, metadata: Mapping[str, str], limit: int
) -> Sequence[Mapping[str, Any]]:
    """Describe sessions, newest first."""
    matching = SessionFilter(user_id=user_id, status=cast("SessionStatus | None", status), metadata=metadata)
    found: list[Session] = []
    after: After | None = None
    async with stored(config, "read") as store:
        while len(found) < limit:
            wanted = min(PAGE, limit - len(found))
            page = await store.list_sessions(tenant, limit=wanted, matching=matching, after=after)
            found += page.items
            if not page.has_more:
                break
            after = (found[-1].created_at, found[-1].id)
    return [session_body(session) for session in found]


async def turn_rows(config: Config, tenant: str, session_id: str) -> tuple[str, Sequence[Mapping[str, Any]]]:
    """Describe the turns of a session; also return what stands above them."""
    rows: list[Mapping[str, Any]] = []
    async with stored(config, "read") as store:
        session = await store.get_session(tenant, session_id)
        after, more = 0, True
        while more:
            page = await store.turns(tenant, session_id, limit=PAGE, after=after)
            for turn in page.items:
                outcome, after = turn.outcome, turn.first_sequence
                rows.append(
                    {
                        "turn_id": turn.id,
                        "state": outcome.state,
                        "started_at": time_text(turn.started_at),
                        "provider": outcome.provider,
                        "model": outcome.model,
                        "tokens": outcome.usage.total if outcome.usage else None,
                        "cost": outcome.cost,
                        "error_code": outcome.error_code,
                        "messages": [{"role": one.message.role, "text": one.message.text} for one in turn.messages],
                    }
                )
            more = page.has_more
    owner = f" of {session.user_id}" if session.user_id else ""
    return f"{session.id}: {session.status}, {session.message_count} messages{owner}", rows


async def export(config: Config, tenant: str, session_id: str, output: Path | None) -> None:
    """Write a session to a file that its owner alone may read, once it is whole, or to standard output."""
    async with stored(config, "read") as store:
        session = await store.get_session(tenant, session_id)
        if output is None:
            await _write(store, tenant, session, sys.stdout.buffer)
            return
        part = output.with_name(f"{output.name}.part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            await reported(_write(store, tenant, session, file), "Exporting")
        part.replace(output)
    click.echo(f"Wrote {output}.", err=True)


async def _write(store: SessionStore, tenant: str, session: Session, file: Any) -> None:
    async with aclosing(lines_of(store, tenant, session)) as lines:
        async for some in lines:
            file.write(some)
    file.flush()


async def import_(config: Config, tenant: str, data: bytes) -> str:
    """Make a session of lines, and return its id."""
    conversation = read_conversation(data)
    async with stored(config, "serve") as store:
        return (await reported(store.import_session(tenant, conversation), "Importing")).id


async def purge(
    config: Config, tenant: str, user_id: str | None, status: str | None, since: datetime | None, *, ask: bool
) -> None:
    """Delete sessions for good, a hundred at a time."""
    matching = SessionFilter(user_id=user_id, status=cast("SessionStatus | None", status), inactive_since=since)
    async with stored(config, "serve") as store:
        ids = await _matching(store, tenant, matching)
        if not ids:
            click.echo("No session matches.", err=True)
            return
        if ask:
            click.confirm(f"Delete {len(ids)} sessions with all that was said in them?", abort=True, err=True)
        deleted = 0
        with click.progressbar(length=len(ids), label="Deleting", file=sys.stderr) as bar:
            for start in range(0, len(ids), PAGE):
                some = ids[start : start + PAGE]
                deleted += await store.purge(tenant, some, inactive_since=since)
                bar.update(len(some))
    click.echo(f"Deleted {deleted} sessions.", err=True)


async def _matching(store: SessionStore, tenant: str, matching: SessionFilter) -> list[str]:
    ids: list[str] = []
    after: After | None = None
    while True:
        page = await store.list_sessions(tenant, limit=1000, matching=matching, after=after)
        ids += [session.id for session in page.items]
        if not page.has_more:
            return ids
        after = (page.items[-1].created_at, page.items[-1].id)
