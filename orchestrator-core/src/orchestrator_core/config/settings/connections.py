"""The settings of clients' connections."""

from __future__ import annotations

import resource

from pydantic import Field

from orchestrator_core.config.settings.base import Count, Seconds, SettingsGroup


class ConnectionSettings(SettingsGroup):
    """What a client's connection may take."""

    max_client_connections: Count | None = Field(
        default=None,
        description="Connections of clients that each process keeps open; without it three quarters of the "
        "descriptors that the system lets it have.",
    )
    max_client_connections_per_address: Count | None = Field(
        default=None,
        description="The same for one address, or one IPv6 /64; without it as many as of all. Trusted proxies are not "
        "counted.",
    )
    client_head_timeout: Seconds = Field(
        default=15.0, description="Seconds in which the head of a request has to be there, once it has begun."
    )
    client_body_timeout: Seconds = Field(
        default=30.0, description="Seconds in which the body of a request has to be there."
    )
    client_idle_timeout: Seconds = Field(
        default=75.0,
        description="Seconds for which a connection stays open without a request. More than a proxy in front keeps it.",
    )
    client_write_timeout: Seconds = Field(
        default=30.0, description="Seconds after which a client that takes nothing of its answer is cut off."
    )

    @property
    def client_connections_limit(self) -> int:
        """Connections of clients that this process keeps open."""
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return self.max_client_connections or max(1, descriptors * 3 // 4)
