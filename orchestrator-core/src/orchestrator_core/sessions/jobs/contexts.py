"""Reading what no summary covers: never more of it than a call can use, however long the conversation is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from orchestrator_core.sessions.jobs import statements
from orchestrator_core.sessions.jobs.rows import MessageRow, SessionRow, stored_messages
from orchestrator_core.sessions.models import CONTEXT_BYTES, CONTEXT_MESSAGES, StoredMessage
from orchestrator_core.sessions.steps import Steps, rows

_PAGE = 128


class Context(NamedTuple):
    """Messages that belong to the conversation, oldest first.

    Attributes:
        rows: The messages.
        size: The characters of their parts.
        whole: Whether these are all that no summary covers.
    """

    rows: Sequence[MessageRow]
    size: int = 0
    whole: bool = True

    def messages(self) -> Sequence[StoredMessage]:
        """Return the messages; where they are many, this takes a while."""
        return stored_messages(self.rows)

    @property
    def large(self) -> bool:
        """Whether they are so many that the event loop should not decode them."""
        return len(self.rows) > _PAGE or self.size > CONTEXT_BYTES // 32


def read_newest(tenant: str, session: SessionRow) -> Steps[Context]:
    """Read the newest messages that no summary covers, those of the last turn in any case."""
    found: list[MessageRow] = []
    size, before = 0, session.last_sequence + 1
    while True:
        page = yield from rows(statements.GET_NEWEST, tenant, session.id, session.summarized, before, _PAGE)
        for row in page:
            longer = size + len(row[6])
            if row[2] != session.last_turn_id and (len(found) >= CONTEXT_MESSAGES or longer > CONTEXT_BYTES):
                return Context(found[::-1], size, whole=False)
            found.append(row)
            size = longer
        if len(page) < _PAGE:
            return Context(found[::-1], size)
        before = page[-1][1]


def read_oldest(tenant: str, session: SessionRow) -> Steps[Context]:
    """Read the oldest messages that no summary covers."""
    found: list[MessageRow] = []
    size, after = 0, session.summarized
    while True:
        page = yield from rows(statements.GET_OLDEST, tenant, session.id, after, _PAGE)
        for row in page:
            longer = size + len(row[6])
            if found and (len(found) >= CONTEXT_MESSAGES or longer > CONTEXT_BYTES):
                return Context(found, size, whole=False)
            found.append(row)
            size = longer
        if len(page) < _PAGE:
            return Context(found, size)
        after = page[-1][1]
