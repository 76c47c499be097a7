"""How the gateway is: for people, for probes, for load balancers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

from aiohttp import web
from importlib_metadata import version
from pydantic import ConfigDict

from orchestrator_core.orchestration import Gateway
from orchestrator_core.provider_api import ShuttingDown, StorageError
from orchestrator_core.server.context import gateway
from orchestrator_core.server.endpoint import Described, Endpoint
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.json_answer import json_response
from orchestrator_core.server.query import time_text

SERVICE = "orchestrator"
STORE_TIMEOUT = 2.0
"""Seconds that the store may take to say that it is well."""

Status = Literal["healthy", "degraded", "unhealthy"]


class HealthBody(Described):
    """How the gateway is. A provider without a key is false and does not count."""

    status: Status
    timestamp: str
    version: str
    providers_status: dict[str, bool]


class ServiceHealthBody(Described):
    """How the service is, with one field `<provider>_configured` for each served provider."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": {"type": "boolean"}})

    status: Status
    service: str
    version: str


class ProbeBody(Described):
    """The answer to a probe."""

    status: Literal["alive", "ready"]


class ReadyBody(ProbeBody):
    """The answer to the probe of readiness. A gateway whose Redis is away takes work, with stricter limits.

    Attributes:
        redis: How Redis is, where one is configured.
    """

    redis: Literal["connected", "lost"] | None = None


@cache
def package_version() -> str:
    """Return the version of the gateway."""
    return version("orchestrator-core")


async def health(request: web.Request) -> web.Response:
    """Say how the gateway and every provider are; 200 as long as the process serves."""
    served = gateway(request)
    return json_response(
        {
            "status": await _status(served),
            "timestamp": time_text(datetime.now(UTC)),
            "version": package_version(),
            "providers_status": _providers_status(served),
        }
    )


async def service_health(request: web.Request) -> web.Response:
    """Say which providers are configured."""
    served = gateway(request)
    configured = {f"{name}_configured": found.configured for name, found in served.registry.providers.items()}
    return json_response(
        {"status": await _status(served), "service": SERVICE, "version": package_version(), **configured}
    )


async def live(_: web.Request) -> web.Response:
    """Say that the process serves."""
    return json_response({"status": "alive"})


async def ready(request: web.Request) -> web.Response:
    """Say whether the gateway takes work.

    Raises:
        ShuttingDown: It is stopping.
        StorageError: The store cannot be written.
    """
    served = gateway(request)
    if served.stopping:
        raise ShuttingDown("The gateway is stopping.")
    await _ping(served)
    body = {"status": "ready"}
    if served.shared is not None:
        body["redis"] = "connected" if await served.shared.ping() else "lost"
    return json_response(body)


async def _ping(served: Gateway) -> None:
    try:
        async with asyncio.timeout(STORE_TIMEOUT):
            await served.store.ping()
    except TimeoutError:
        raise StorageError("The conversation store does not answer.") from None


async def _status(served: Gateway) -> Status:
    try:
        await _ping(served)
    except StorageError:
        return "unhealthy"
    configured = [found.healthy for found in served.registry.providers.values() if found.configured]
    if not any(configured):
        return "unhealthy"
    shared = served.shared is None or await served.shared.ping()
    return "healthy" if all(configured) and shared else "degraded"


def _providers_status(served: Gateway) -> Mapping[str, bool]:
    failed = {found.name: False for found in served.registry.quarantined}
    providers = served.registry.providers.items()
    return failed | {name: found.configured and found.healthy for name, found in providers}


_SERVICE_EXAMPLE: Mapping[str, Any] = {
    "status": "healthy",
    "service": SERVICE,
    "version": "0.1.0",
    "mistral_configured": True,
    "openai_configured": False,
}

ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/api/health",
        handler=health,
        summary="How the gateway and its providers are",
        tag="Health",
        surface=Surface.API,
        response=HealthBody,
        response_example={
            "status": "healthy",
            "timestamp": "2026-11-21T09:30:00.000Z",
            "version": "0.1.0",
            "providers_status": {"mistral": True, "openai": False},
        },
        authenticated=False,
        probe=True,
    ),
    Endpoint(
        method="GET",
        path="/health",
        handler=service_health,
        summary="Which providers are configured",
        tag="Health",
        surface=Surface.PLAIN,
        response=ServiceHealthBody,
        response_example=_SERVICE_EXAMPLE,
        authenticated=False,
        probe=True,
    ),
    Endpoint(
        method="GET",
        path="/health/live",
        handler=live,
        summary="Whether the process serves",
        tag="Health",
        surface=Surface.PLAIN,
        response=ProbeBody,
        response_example={"status": "alive"},
        authenticated=False,
        probe=True,
    ),
    Endpoint(
        method="GET",
        path="/health/ready",
        handler=ready,
        summary="Whether the gateway takes work",
        tag="Health",
        surface=Surface.PLAIN,
        response=ReadyBody,
        errors=(ShuttingDown, StorageError),
        response_example={"status": "ready"},
        authenticated=False,
        probe=True,
    ),
)
