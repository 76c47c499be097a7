"""Databases of any size in little time: they make their rows themselves, such as the store would have written."""
# ruff: noqa: S608 - every value is one of this file

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from orchestrator_core.provider_api import PARTS, TextPart
from orchestrator_core.security.principal import ANONYMOUS

TEXT = "What was said in this message is about as long as what people say: two hundred characters or so, " * 2
DAYS = 20
"""Over which the sessions are spread."""

_TENANT = ANONYMOUS.tenant


@dataclass(frozen=True)
class Filling:
    """What a database holds.

    Attributes:
        sessions: How many.
        messages: Of each session.
        context: How many of them no summary covers; None where there is no summary.
    """

    sessions: int
    messages: int = 2
    context: int | None = None
    began: int = int((time.time() - DAYS * 86_400) * 1000)

    @property
    def turns(self) -> int:
        """How many turns each session has."""
        return self.messages // 2

    @property
    def users(self) -> int:
        """How many users there are, and how many values of a label: of 25 sessions each."""
        return max(1, self.sessions // 25)

    @property
    def stored(self) -> int:
        """How many messages there are in all."""
        return self.sessions * self.messages

    def session(self, number: int) -> str:
        """Return the id of a session."""
        return f"sess_{self.began + number * self._step:012x}{number:020x}"

    def place(self, number: int) -> tuple[datetime, str]:
        """Return where a session stands among all."""
        return datetime.fromtimestamp((self.began + number * self._step) / 1000, UTC), self.session(number)

    @property
    def _step(self) -> int:
        return DAYS * 86_000_000 // self.sessions

    def statements(self, hexadecimal: str) -> Iterator[str]:
        """Yield what fills a database of the newest schema.

        Args:
            hexadecimal: How the database writes a whole number in 12 hexadecimal digits; `{}` is the number.
        """
        text = PARTS.dump_json((TextPart(text=TEXT),), exclude_none=True).decode()
        number = f"(i / {self.turns})"
        made = f"({self.began} + {number} * {self._step})"

        def identity(prefix: str, of: str) -> str:
            return f"'{prefix}_' || {hexadecimal.format(made)} || '00000000' || {hexadecimal.format(of)}"

        session, turn = identity("sess", number), identity("turn", "i")
        last_turn = identity("turn", f"(i * {self.turns} + {self.turns - 1})").replace(number, "i")
        upto = None if self.context is None else self.messages - self.context
        summary = "NULL" if upto is None else identity("sum", "i").replace(number, "i")
        sessions, turns = self._numbers(self.sessions), self._numbers(self.sessions * self.turns)
        at = f"{made} * 1000"
        own = [part.replace(number, "i") for part in (session, at)]
        yield f"""{sessions} INSERT INTO sessions (tenant, id, user_id, metadata, created_at, last_turn_at, active_at,
            message_count, last_sequence, unsummarized, last_turn_id, summary_id, seen_summary_id, providers,
            total_tokens, answered_turns, answer_time)
            SELECT '{_TENANT}', {own[0]}, 'user-' || (i % {self.users}),
            '{{"topic":"topic-' || (i % {self.users}) || '"}}',
            {own[1]}, {own[1]}, {own[1]}, {self.turns}, {self.messages}, {self.context or self.messages}, {last_turn},
            {summary}, {summary}, '["echo"]', {100 * self.turns}, {self.turns}, 0.5 FROM n"""
        yield f"""{sessions} INSERT INTO labels (tenant, name, value, created_at, session_id)
            SELECT '{_TENANT}', 'topic', 'topic-' || (i % {self.users}), {own[1]}, {own[0]} FROM n"""
        yield f"""{turns} INSERT INTO turns (tenant, id, session_id, state, first_sequence, messages, user_messages,
            answer_sequence, provider, model, finish_reason, input_tokens, cached_input_tokens, cache_write_tokens,
            output_tokens, reasoning_tokens, attempts, duration, started_at, finished_at, client)
            SELECT '{_TENANT}', {turn}, {session}, 'complete', 2 * (i % {self.turns}) + 1, 1, 1,
            2 * (i % {self.turns}) + 2, 'echo', 'echo-1', 'stop', 50, 0, 0, 50, 0,
            '[{{"provider":"echo","model":"echo-1","duration":0.5,"error":null}}]', 0.5, {at}, {at}, 'anonymous'
            FROM n"""
        for place, role in enumerate(("user", "assistant"), start=1):
            yield f"""{turns} INSERT INTO messages (tenant, session_id, sequence, id, turn_id, role, parts, created_at)
                SELECT '{_TENANT}', {session}, 2 * (i % {self.turns}) + {place},
                {identity("msg", f"(2 * i + {place})")}, {turn}, '{role}', '{text}', {at} FROM n"""
        if upto is not None:
            yield f"""{sessions} INSERT INTO summaries (tenant, id, session_id, from_sequence, upto_sequence, text,
                provider, model, created_at)
                SELECT '{_TENANT}', {summary}, {own[0]}, 1, {upto}, '{TEXT}', 'echo', 'echo-1', {own[1]} FROM n"""
        days = self._numbers(min(self.sessions, 1000 * DAYS))
        yield f"""{days} INSERT INTO usage (tenant, day, user_id, client, provider, model, operation, shard, calls,
            input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost, unpriced,
            seconds)
            SELECT '{_TENANT}', {self.began // 86_400_000} + i / 1000, 'user-' || (i % 1000), 'anonymous', 'echo',
            'echo-1', 'chat', i % 16, 1, 50, 0, 0, 50, 0, 0, 1, 0.5 FROM n"""
        yield f"INSERT INTO tenants VALUES ('{_TENANT}', 0, {self.sessions}, {self.sessions})"

    @staticmethod
    def _numbers(count: int) -> str:
        return f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1})"


def fill_sqlite(path: Path, filling: Filling) -> float:
    """Fill a migrated file; return its bytes for a message."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA cache_size=-262144")
        database.execute("BEGIN")
        for statement in filling.statements("printf('%012x', {})"):
            database.execute(statement)
        database.execute("COMMIT")
    return path.stat().st_size / filling.stored


async def fill_postgres(url: str, filling: Filling, *, statistics: bool = True) -> float:
    """Fill a migrated database, and take its statistics where they are wanted; return its bytes for a message."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            for statement in filling.statements("lpad(to_hex(({})::bigint), 12, '0')"):
                await connection.execute(_wide(statement))
        if statistics:
            await connection.execute("VACUUM ANALYZE")
        size: int = await connection.fetchval("SELECT pg_database_size(current_database())")
    finally:
        await connection.close()
    return size / filling.stored


def _wide(statement: str) -> str:
    return statement.replace("SELECT 0 UNION", "SELECT 0::bigint UNION")
