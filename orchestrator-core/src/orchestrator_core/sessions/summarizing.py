"""The job that stores a summary, if none came before it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from orchestrator_core.sessions import statements
from orchestrator_core.sessions.beginning import read_session
from orchestrator_core.sessions.models import NewSummary, new_id
from orchestrator_core.sessions.rows import usage_columns


@dataclass(frozen=True, slots=True)
class AddSummary:
    """Everything that the job needs, ready to be written."""

    tenant: str
    session_id: str
    summary: NewSummary
    text: str
    now: int

    def __call__(self, connection: sqlite3.Connection) -> bool:
        """Store the summary; return whether it still was the next one.

        Raises:
            NotFound: No such session.
        """
        summary = self.summary
        session = read_session(connection, self.tenant, self.session_id)
        covers_more = session.summarized < summary.upto_sequence <= session.last_sequence
        if session.summary_id != summary.replaces or not covers_more:
            return False
        summary_id = new_id("sum")
        place = (self.tenant, self.session_id, summary.upto_sequence)
        (left,) = connection.execute(statements.COUNT_CONTEXT, place).fetchone()
        connection.execute(
            statements.INSERT_SUMMARY,
            (
                self.tenant,
                summary_id,
                self.session_id,
                session.summarized + 1,
                summary.upto_sequence,
                summary.replaces,
                self.text,
                summary.provider,
                summary.model,
                *usage_columns(summary.usage),
                summary.cost,
                self.now,
            ),
        )
        tokens = summary.usage.total if summary.usage else 0
        connection.execute(
            statements.SESSION_GETS_SUMMARY,
            (summary_id, self.now, left, tokens, summary.cost, summary.cost, self.tenant, self.session_id),
        )
        return True
