"""The settings of calls to providers."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from orchestrator_core.config.settings.base import Count, Seconds, SettingsGroup
from orchestrator_core.provider_api.urls import NO_HTTP_URL, is_http_url


def _proxy(value: str | None) -> str | None:
    if value is not None and not is_http_url(value):
        raise ValueError(NO_HTTP_URL)
    return value


class UpstreamSettings(SettingsGroup):
    """Calls to providers: their time and size."""

    connect_timeout: Seconds = Field(default=5.0, description="Seconds to connect to a provider.")
    first_event_timeout: Seconds = Field(
        default=120.0, description="Seconds until the first event of a streamed answer."
    )
    idle_timeout: Seconds = Field(default=30.0, description="Seconds that a stream may be silent.")
    total_timeout: Seconds = Field(default=600.0, description="Seconds that a request may take altogether.")
    max_connections: Count = Field(
        default=250,
        description="Connections to each provider: more than `max_calls_in_flight`, so that a look at its health finds "
        "one.",
    )
    upstream_proxy: Annotated[str | None, AfterValidator(_proxy)] = Field(
        default=None, repr=False, description="URL of the HTTP proxy for calls to providers."
    )
    max_request_bytes: Count = Field(default=20 * 2**20, description="Bytes of a request's body.")
    max_response_bytes: Count = Field(default=16 * 2**20, description="Bytes of a provider's answer.")
    max_embedding_bytes: Count = Field(default=64 * 2**20, description="Bytes of a provider's answer with embeddings.")
    max_event_bytes: Count = Field(default=8 * 2**20, description="Bytes of one event of a stream.")
    max_stream_bytes: Count = Field(default=128 * 2**20, description="Bytes of a whole stream.")
