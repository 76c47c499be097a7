"""How much the gateway takes from one provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from orchestrator_core.config import Settings

MIB = 1 << 20

RETRY_AFTER = 1.0
"""Seconds after which a client that was turned away may come again: most calls end within a few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamLimits:
    """The bounds of each provider instance's client. The defaults are those of the settings.

    Attributes:
        max_connections: Connections at a time; further calls wait for one, as long as connecting may take.
        max_response_bytes: The largest body to read, where the call names no other limit.
        max_event_bytes: The largest event of a stream.
        max_stream_bytes: The largest stream, from beginning to end.
        proxy: The URL of an HTTP proxy for all calls; the environment names none.
    """

    max_connections: int = 250
    max_response_bytes: int = 16 * MIB
    max_event_bytes: int = 8 * MIB
    max_stream_bytes: int = 128 * MIB
    proxy: str | None = field(default=None, repr=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Take the bounds from the operator's settings."""
        return cls(
            max_connections=settings.max_connections,
            max_response_bytes=settings.max_response_bytes,
            max_event_bytes=settings.max_event_bytes,
            max_stream_bytes=settings.max_stream_bytes,
            proxy=settings.upstream_proxy,
        )
