"""The settings of how much the gateway takes on at a time."""

from __future__ import annotations

from pydantic import Field

from orchestrator_core.config.settings.base import Count, Seconds, SettingsGroup


class CapacitySettings(SettingsGroup):
    """Requests, and calls to providers, at a time and process.

    What is above is refused at once, with the seconds after which to come again.
    """

    max_requests_in_flight: Count = Field(
        default=2000, description="Requests at once, streams to their end; looks at the gateway's health do not count."
    )
    max_request_bytes_in_flight: Count = Field(
        default=256 * 2**20, description="Bytes of the bodies of all requests at once; one body always has room."
    )
    max_loop_lag: Seconds = Field(
        default=0.25,
        description="Seconds that the event loop may be late, again and again, before a part of the requests is "
        "refused: as many as it takes to keep up.",
    )

    max_calls_in_flight: Count = Field(
        default=200,
        description="Calls to each provider at once, streams to their end; further ones go to a fallback, or wait.",
    )
    max_calls_in_total: Count = Field(default=1000, description="Calls to all providers at once.")
    max_calls_waiting: Count = Field(
        default=100,
        description="Calls that wait for each provider, clients in turn; further ones are refused at once.",
    )
    max_call_wait: Seconds = Field(
        default=2.0,
        description="Seconds that a call waits at most. Where it would have to wait for more than half of that, by how "
        "long calls took of late, it is refused at once.",
    )
