"""The turns that a process began and that have not ended: so that nobody reads them again as they end."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from orchestrator_core.sessions.jobs.beginning import Begun
from orchestrator_core.sessions.jobs.rows import SessionRow, TurnRow
from orchestrator_core.sessions.models import StartedTurn

MOST: Final = 10_000
"""Turns that are kept; the oldest are read again as they end."""


class UnderWay:
    """Keeps turns with their sessions, as they were stored when they began."""

    def __init__(self) -> None:
        self._begun: OrderedDict[tuple[str, str, int], tuple[SessionRow, TurnRow]] = OrderedDict()

    def put(self, tenant: str, begun: Begun) -> None:
        """Keep a turn, where it is to be answered."""
        if begun.turn is None:
            return
        self._begun[tenant, begun.turn_id, begun.turn.started_at] = begun.session, begun.turn
        if len(self._begun) > MOST:
            self._begun.popitem(last=False)

    def take(self, tenant: str, started: StartedTurn) -> tuple[SessionRow, TurnRow] | None:
        """Return a try of a turn with its session, once; None where it is not known."""
        return self._begun.pop((tenant, started.turn_id, started.since), None)
