"""Reading turns with what was said in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from orchestrator_core.provider_api import NotFound
from orchestrator_core.sessions.jobs import statements
from orchestrator_core.sessions.jobs.beginning import read_session
from orchestrator_core.sessions.jobs.rows import MessageRow, TurnRow, stored_messages
from orchestrator_core.sessions.models import StoredTurn
from orchestrator_core.sessions.steps import Steps, one, rows


class TurnRows(NamedTuple):
    """What was read; becoming turns costs time that a reader does not have."""

    turns: Sequence[TurnRow]
    messages: Sequence[MessageRow]

    def stored(self) -> Sequence[StoredTurn]:
        """Return the turns."""
        messages = {stored.sequence: stored for stored in stored_messages(self.messages)}
        return [turn.turn(messages) for turn in self.turns]


def read_turns(*, tenant: str, session_id: str, after: int, limit: int) -> Steps[tuple[TurnRows, bool]]:
    """Read turns in their order, and whether more follow.

    Args:
        tenant: Whose they are.
        session_id: The session.
        after: The place of the first message of the turn that they follow; 0 is the beginning.
        limit: How many at most.
    """
    yield from read_session(tenant, session_id)
    found = [
        TurnRow._make(row) for row in (yield from rows(statements.GET_TURNS, tenant, session_id, after, limit + 1))
    ]
    turns = found[:limit]
    return (yield from _with_messages(tenant, session_id, turns)), len(found) > limit


def read_turn(*, tenant: str, session_id: str, turn_id: str) -> Steps[TurnRows]:
    """Read a turn.

    Raises:
        NotFound: No such session, or it has no such turn.
    """
    yield from read_session(tenant, session_id)
    row = yield from one(statements.GET_TURN_OF_SESSION, tenant, session_id, turn_id)
    if row is None:
        raise NotFound("The session has no such turn.")
    return (yield from _with_messages(tenant, session_id, [TurnRow._make(row)]))


def _with_messages(tenant: str, session_id: str, turns: Sequence[TurnRow]) -> Steps[TurnRows]:
    if not turns:
        return TurnRows((), ())
    span = (turns[0].first_sequence, max(turn.end_sequence for turn in turns))
    return TurnRows(turns, (yield from rows(statements.GET_MESSAGES, tenant, session_id, *span)))
