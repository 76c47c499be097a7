"""The newest security events, in memory and bounded.

Each event has places of its own, so that no flood of one hides another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.security.alerts import Detail

KEPT: Final = 20
"""How many of one event are kept."""


@dataclass(frozen=True, slots=True)
class RecentEvent:
    """A security event that happened.

    Attributes:
        at: When, in ISO 8601 and UTC.
        event: Its name.
        details: Who and where.
    """

    at: str
    event: str
    details: Mapping[str, Detail]


class RecentEvents:
    """Keeps the newest events.

    Attributes:
        count: How many there ever were here; it changes with each.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self.count = 0
        self._kept: dict[str, deque[RecentEvent]] = {}

    def add(self, event: str, details: Mapping[str, Detail]) -> None:
        """Keep an event, without any key in it."""
        shown = {name: REDACTOR.redact(value) if isinstance(value, str) else value for name, value in details.items()}
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.take([RecentEvent(moment, event, shown)])

    def take(self, events: Iterable[RecentEvent]) -> None:
        """Keep events that are as they are to be shown, oldest first."""
        for event in events:
            self._kept.setdefault(event.event, deque(maxlen=KEPT)).append(event)
            self.count += 1

    def all(self) -> Sequence[RecentEvent]:
        """Return what is kept, oldest first."""
        return sorted((event for kept in self._kept.values() for event in kept), key=lambda event: event.at)
