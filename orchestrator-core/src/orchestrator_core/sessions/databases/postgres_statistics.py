"""Statistics of tables that have grown, which end the plans that PostgreSQL made when they were small.

A connection keeps the plans of its statements. One that was made for an empty table takes a tenant for a row and reads
all that it has. Autovacuum takes statistics too, but looks once a minute, and a table may have grown much by then.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator_core.sessions.steps import Steps, do, rows

_OUTGROWN = """
SELECT relname FROM pg_class
WHERE relname IN ('sessions', 'turns', 'messages', 'summaries', 'labels', 'idempotency', 'usage', 'clients')
  AND pg_table_is_visible(oid) AND pg_has_role(relowner, 'USAGE')  -- others may not analyse it
  AND pg_stat_get_live_tuples(oid) > 2 * greatest(reltuples, 0) + 50
"""


def outgrown() -> Steps[Sequence[str]]:
    """Return the tables that have twice the rows that their statistics are of; a few rows need none."""
    return [table for (table,) in (yield from rows(_OUTGROWN))]


def analyse(table: str) -> Steps[None]:
    """Take the statistics of a table, unless somebody is doing so."""
    yield from do(f"ANALYZE (SKIP_LOCKED) {table}")
