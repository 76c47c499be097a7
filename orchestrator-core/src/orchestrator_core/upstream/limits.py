"""How much the gateway takes from one provider, and asks of it, at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import Overloaded

MIB = 1 << 20

RETRY_AFTER = 1.0
"""Seconds after which a client that was turned away may come again: most calls end within a few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamLimits:
    """The bounds of each provider instance's client. The defaults are those of the settings.

    Attributes:
        max_connections: Connections at a time; further calls wait for one, as long as connecting may take.
        max_calls_in_flight: Calls at a time, those that wait among them; further ones are refused.
        max_response_bytes: The largest body to read, where the call names no other limit.
        max_event_bytes: The largest event of a stream.
        max_stream_bytes: The largest stream, from beginning to end.
        proxy: The URL of an HTTP proxy for all calls; the environment names none.
    """

    max_connections: int = 100
    max_calls_in_flight: int = 200
    max_response_bytes: int = 16 * MIB
    max_event_bytes: int = 8 * MIB
    max_stream_bytes: int = 128 * MIB
    proxy: str | None = field(default=None, repr=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Take the bounds from the operator's settings."""
        return cls(
            max_connections=settings.max_connections,
            max_calls_in_flight=settings.max_calls_in_flight,
            max_response_bytes=settings.max_response_bytes,
            max_event_bytes=settings.max_event_bytes,
            max_stream_bytes=settings.max_stream_bytes,
            proxy=settings.upstream_proxy,
        )


class CallGate:
    """Counts the calls in flight of one provider instance, and refuses those above the bound at once.

    Attributes:
        in_flight: Calls that were admitted and have not ended.
    """

    __slots__ = ("_limit", "in_flight")

    def __init__(self, limit: int) -> None:
        """Admit up to `limit` calls at a time."""
        self._limit = limit
        self.in_flight = 0

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place for the length of a call.

        Raises:
            Overloaded: Every place is taken.
        """
        if self.in_flight >= self._limit:
            raise Overloaded(
                f"All {self._limit} places for calls to this provider are taken. Try again shortly.",
                retry_after=RETRY_AFTER,
            )
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1
