"""Providers and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from orchestrator_core.plugins import Provider
from orchestrator_core.provider_api import Capability, StorageError
from orchestrator_core.resilience.breakers import ALL_MODELS, Circuit
from orchestrator_core.security.principal import Principal
from orchestrator_core.server.context import gateway, principal
from orchestrator_core.server.endpoint import Described, Endpoint
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.json_answer import json_response

_TEXT_FORMATS = {
    "text/plain": {"type": "string"},
    "application/openmetrics-text": {"type": "string"},
}


class CircuitBody(Described):
    """A model that is left alone for a while, because too many of its calls failed."""

    model: str
    state: Literal["open", "half_open"] = Field(description="`half_open`: a call finds out how it is.")
    retry_after: float = Field(description="Seconds after which it is asked again.")


ProviderState = Literal["healthy", "unhealthy", "not_configured", "quarantined"]


class ProviderRow(Described):
    """A provider; one whose plugin failed has no models and says why in `error`."""

    name: str
    state: ProviderState = Field(description="`quarantined`: its plugin failed; `not_configured`: it has no key.")
    models: list[str]
    is_healthy: bool
    capabilities: list[Capability]
    title: str | None = None
    configured: bool = False
    default_model: str | None = None
    error: str | None = None
    circuits: list[CircuitBody] = Field(default=[], description="The models that are left alone for a while.")


class ProvidersBody(Described):
    """The providers."""

    providers: list[ProviderRow]


class SystemMetrics(Described):
    """The gateway, with all its processes on this machine."""

    uptime: str
    requests_total: int
    errors_rate: float = Field(description="The share of requests that were answered with 500 or above, from 0 to 1.")


class ProviderMetrics(Described):
    """Calls to one provider."""

    requests: int
    avg_latency: float = Field(description="Seconds.")
    success_rate: float = Field(description="From 0 to 1.")


class SessionTotals(Described):
    """The sessions of all tenants."""

    active: int
    total_created: int
    avg_duration: str = Field(description="Hours, minutes and seconds.")


class MetricsBody(Described):
    """The figures of this gateway."""

    system: SystemMetrics
    providers: dict[str, ProviderMetrics]
    sessions: SessionTotals


async def providers(request: web.Request) -> web.Response:
    """List the providers that the caller may use, those whose plugin failed among them."""
    served, caller = gateway(request), principal(request)
    registry = served.registry
    circuits: dict[str, list[Circuit]] = {}
    for each in served.guards.breakers.circuits:
        circuits.setdefault(each.provider, []).append(each)
    set_aside = {failed.name for failed in registry.quarantined}
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "state": "quarantined" if name in set_aside else _state(found),
            "models": [model.id for model in found.models if caller.may_use(name, model.id)],
            "is_healthy": found.configured and found.healthy,
            "capabilities": list(found.info.capabilities),
            "title": found.info.title,
            "configured": found.configured,
            "default_model": _default_model(found, caller),
            "error": _problem(found, caller) if found.configured else "No usable key is configured.",
            "circuits": [
                {"model": each.model, "state": each.state, "retry_after": round(each.wait, 1)}
                for each in circuits.get(name, ())
                if _shown(each, found, caller)
            ],
        }
        for name, found in registry.providers.items()
        if caller.may_use(name)
    ]
    rows += [
        {
            "name": failed.name,
            "state": "quarantined",
            "models": [],
            "is_healthy": False,
            "capabilities": [],
            "title": None,
            "configured": False,
            "default_model": None,
            "error": failed.reason if caller.admin else "The provider's plugin cannot be used.",
            "circuits": [],
        }
        for failed in registry.quarantined
        if failed.name not in registry.providers and caller.may_use(failed.name)
    ]
    return json_response({"providers": sorted(rows, key=lambda row: str(row["name"]))})


def _state(provider: Provider) -> ProviderState:
    if not provider.configured:
        return "not_configured"
    return "healthy" if provider.healthy else "unhealthy"


def _shown(circuit: Circuit, found: Provider, caller: Principal) -> bool:
    """Whether a caller is shown a circuit: of a model that only others named, an admin alone learns the name."""
    if caller.admin or circuit.model == ALL_MODELS:
        return True
    return bool(found.known(circuit.model)) and caller.may_use(found.id, circuit.model)


def _default_model(found: Provider, caller: Principal) -> str | None:
    model = found.default_model("chat")
    return model if model is not None and caller.may_use(found.id, model) else None


def _problem(provider: Provider, caller: Principal) -> str | None:
    """Return what is wrong with a provider: what exactly is for admins, since it may tell of the operator's account."""
    if caller.admin or provider.healthy:
        return provider.health_detail
    return "The provider does not answer at present."


async def metrics(request: web.Request) -> web.Response:
    """Give the figures, as JSON, or in a text format where `Accept` asks for one."""
    accept = request.headers.get("Accept", "")
    if "application/openmetrics-text" in accept or ("text/plain" in accept and "json" not in accept):
        return await metrics_text(request)
    served = gateway(request)
    totals = await served.store.totals(None)
    # In a thread, as below: with hundreds of models it takes a tenth of a second.
    figures = await asyncio.to_thread(served.metrics.figures)
    return json_response(
        {
            "system": {
                "uptime": _days(figures.uptime),
                "requests_total": figures.requests_total,
                "errors_rate": figures.errors_rate,
            },
            "providers": {name: dict(found) for name, found in figures.providers.items()},
            "sessions": {
                "active": totals.active,
                "total_created": totals.total_created,
                "avg_duration": _clock(totals.average_duration),
            },
        }
    )


async def metrics_text(request: web.Request) -> web.Response:
    """Give the metrics in the format of Prometheus, or of OpenMetrics."""
    body, content_type = await asyncio.to_thread(gateway(request).metrics.render, request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type})


def _days(seconds: float) -> str:
    minutes = int(seconds) // 60
    return f"{minutes // 1440}d {minutes // 60 % 24}h {minutes % 60}m"


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/api/providers",
        handler=providers,
        summary="List the providers",
        tag="Providers",
        surface=Surface.API,
        response=ProvidersBody,
        response_example={
            "providers": [
                {
                    "name": "mistral",
                    "state": "healthy",
                    "models": ["mistral-small-latest", "mistral-embed"],
                    "is_healthy": True,
                    "capabilities": ["chat", "function_calling"],
                    "title": "Mistral AI",
                    "configured": True,
                    "default_model": "mistral-small-latest",
                    "error": None,
                    "circuits": [],
                }
            ]
        },
    ),
    Endpoint(
        method="GET",
        path="/api/metrics",
        handler=metrics,
        summary="Figures of this gateway and of all its sessions",
        role="admin",
        tag="Monitoring",
        surface=Surface.API,
        response=MetricsBody,
        media_types=_TEXT_FORMATS,
        errors=(StorageError,),
        response_example={
            "system": {"uptime": "5d 12h 34m", "requests_total": 1200, "errors_rate": 0.01},
            "providers": {"mistral": {"requests": 900, "avg_latency": 0.82, "success_rate": 0.998}},
            "sessions": {"active": 4, "total_created": 31, "avg_duration": "00:23:45"},
        },
    ),
    Endpoint(
        method="GET",
        path="/metrics",
        handler=metrics_text,
        role="admin",
        summary="Metrics for Prometheus",
        tag="Monitoring",
        surface=Surface.PLAIN,
        media_types=_TEXT_FORMATS,
    ),
)
