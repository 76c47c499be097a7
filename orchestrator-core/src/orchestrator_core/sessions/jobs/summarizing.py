"""The transaction that stores a summary, if none came before it."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator_core.sessions.jobs import statements
from orchestrator_core.sessions.jobs.beginning import read_session
from orchestrator_core.sessions.jobs.usage import usage_sum
from orchestrator_core.sessions.jobs.usage_columns import usage_columns
from orchestrator_core.sessions.models import NewSummary, new_id
from orchestrator_core.sessions.steps import Steps, do, lock, rows


@dataclass(frozen=True, slots=True)
class AddSummary:
    """Everything that the job needs, ready to be written."""

    tenant: str
    session_id: str
    summary: NewSummary
    now: int

    def __call__(self) -> Steps[bool]:
        """Store the summary; return whether it still was the next one.

        Raises:
            NotFound: No such session.
        """
        summary = self.summary
        yield from lock(statements.LOCK_SESSION, self.tenant, self.session_id)
        session = yield from read_session(self.tenant, self.session_id)
        covers_more = session.summarized < summary.upto_sequence <= session.last_sequence
        if session.summary_id != summary.replaces or not covers_more:
            return False
        summary_id = new_id("sum")
        covered = (self.tenant, self.session_id, session.summarized, summary.upto_sequence)
        (condensed,) = (yield from rows(statements.COUNT_CONTEXT, *covered))[0]
        yield from do(
            statements.INSERT_SUMMARY,
            self.tenant,
            summary_id,
            self.session_id,
            session.summarized + 1,
            summary.upto_sequence,
            summary.replaces,
            summary.text,
            summary.provider,
            summary.model,
            *usage_columns(summary.usage),
            summary.cost,
            summary.tokens_before,
            summary.tokens_after,
            self.now,
        )
        tokens = summary.usage.total if summary.usage else 0
        yield from do(
            statements.SESSION_GETS_SUMMARY,
            summary_id,
            self.now,
            session.unsummarized - condensed,
            tokens,
            summary.cost,
            summary.cost,
            self.tenant,
            self.session_id,
        )
        if summary.provider is not None:
            yield usage_sum(
                self.tenant,
                session,
                summary.client,
                "summarize",
                summary.provider,
                summary.model or "",
                summary.usage,
                summary.cost,
                summary.duration,
                self.now,
            )
        return True
