"""Every setting of the gateway itself, with its type, its unit and its default."""

from __future__ import annotations

import time

from orchestrator_core.config.settings.access import (
    DEFAULT_CLIENT_LIMIT,
    DEFAULT_FAILED_AUTHENTICATIONS,
    DEFAULT_SESSION_LIMIT,
    AccessSettings,
)
from orchestrator_core.config.settings.alerts import AlertSettings
from orchestrator_core.config.settings.cache import CacheSettings
from orchestrator_core.config.settings.capacity import CapacitySettings
from orchestrator_core.config.settings.connections import ConnectionSettings
from orchestrator_core.config.settings.export import ExportSettings
from orchestrator_core.config.settings.memory import MemorySettings
from orchestrator_core.config.settings.network import NetworkSettings
from orchestrator_core.config.settings.page import PageSettings
from orchestrator_core.config.settings.process import ProcessSettings
from orchestrator_core.config.settings.resilience import ResilienceSettings
from orchestrator_core.config.settings.routing import RoutingSettings
from orchestrator_core.config.settings.specified import SpecifiedSettings
from orchestrator_core.config.settings.storage import StorageSettings
from orchestrator_core.config.settings.upstream import UpstreamSettings
from orchestrator_core.provider_api import Deadline


class Settings(
    # pydantic takes fields from the last base first; this is the order of the reference, backwards.
    ExportSettings,
    MemorySettings,
    ResilienceSettings,
    CacheSettings,
    CapacitySettings,
    UpstreamSettings,
    RoutingSettings,
    AlertSettings,
    ConnectionSettings,
    NetworkSettings,
    AccessSettings,
    PageSettings,
    ProcessSettings,
    StorageSettings,
    SpecifiedSettings,
):
    """The settings of the gateway; without any it is a development gateway."""

    @property
    def production(self) -> bool:
        """Whether this is a production gateway."""
        return self.environment == "production"

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.server_host or ("127.0.0.1" if self.environment == "development" else "0.0.0.0")  # noqa: S104 - a container must be reachable; the start-up checks say what is unsafe

    @property
    def client_limit(self) -> int | None:
        """Requests a minute and client; None is no limit."""
        return self._limit(self.max_requests_per_minute, DEFAULT_CLIENT_LIMIT)

    @property
    def session_limit(self) -> int | None:
        """Requests a minute and session; None is no limit."""
        return self._limit(self.rate_limit_per_session, DEFAULT_SESSION_LIMIT)

    @property
    def failed_authentications_limit(self) -> int | None:
        """Wrong client credentials a minute and address; None is no limit."""
        return self._limit(self.max_failed_authentications, DEFAULT_FAILED_AUTHENTICATIONS)

    def deadline(self, timeout: float | None = None) -> Deadline:
        """Return the time limits of a request that begins now.

        Args:
            timeout: The caller's own limit in seconds; the configured one is not exceeded.
        """
        seconds = self.total_timeout if timeout is None else min(timeout, self.total_timeout)
        at = time.monotonic() + seconds
        return Deadline(at, self.connect_timeout, self.first_event_timeout, self.idle_timeout)

    def _limit(self, configured: int | None, default: int) -> int | None:
        if configured is not None or self.environment == "development":
            return configured
        return default
