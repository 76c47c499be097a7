"""What happened lately, for whoever watches: the last hour in steps, and the newest security events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web
from pydantic import Field

from orchestrator_core.security.events import MEANINGS
from orchestrator_core.server.context import gateway
from orchestrator_core.server.endpoint import Described, Endpoint, Parameter
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.json_answer import json_response
from orchestrator_core.server.query import integer
from orchestrator_core.server.recent import RECENT
from orchestrator_core.telemetry.activity import STEP, STEPS, Step
from orchestrator_core.telemetry.instruments import SECURITY_EVENTS
from orchestrator_core.telemetry.metrics import Metrics

_LATEST = 2**40
_MEANINGS: Mapping[str, str] = {str(event): meaning for event, meaning in MEANINGS.items()}
_DETAILS = ("principal", "remote", "path", "provider", "reason")


class ProviderActivityBody(Described):
    """Calls to one provider that ended in a step."""

    calls: int = Field(description="Tries; those that the client gave up do not count.")
    failed: int
    seconds: float = Field(description="What they took together.")
    tokens: int
    cost: float = Field(description="USD, of those with a known price.")


class StepBody(Described):
    """What happened in one step."""

    at: int = Field(description="When it ended, in seconds since 1970.")
    requests: int
    errors: int = Field(description="Of the requests, those that were answered with 500 or above.")
    refused: int = Field(description="Of the requests, those that were answered with 429.")
    in_flight: int = Field(description="Requests under way at its end.")
    streams: int = Field(description="Streams under way at its end.")
    providers: dict[str, ProviderActivityBody]


class ActivityBody(Described):
    """The last hour, oldest step first."""

    now: int = Field(description="The time of the gateway, in seconds since 1970.")
    step: int = Field(description="Seconds of a step.")
    steps: list[StepBody]


class EventBody(Described):
    """A security event. What is not known of it is left out."""

    at: str
    event: str
    meaning: str
    principal: str | None = Field(None, description="The public id of the client's key.")
    remote: str | None = Field(None, description="Where it came from.")
    path: str | None = None
    provider: str | None = None
    reason: str | None = None


class EventsBody(Described):
    """The newest events, newest first, and how often each happened since the start."""

    counts: dict[str, int]
    events: list[EventBody]


async def activity(request: web.Request) -> web.Response:
    """Read the last hour."""
    now = int(time.time())
    steps = request.app[RECENT].activity.after(integer(request, "after", default=0, minimum=0, maximum=_LATEST), now)
    return json_response({"now": now, "step": STEP, "steps": [_step(step) for step in steps]})


def _step(step: Step) -> dict[str, Any]:
    return {
        "at": step.at,
        "requests": step.requests,
        "errors": step.errors,
        "refused": step.refused,
        "in_flight": step.in_flight,
        "streams": step.streams,
        "providers": {
            name: {
                "calls": int(found.calls),
                "failed": int(found.failed),
                "seconds": round(found.seconds, 4),
                "tokens": int(found.tokens),
                "cost": round(found.cost, 9),
            }
            for name, found in step.providers.items()
        },
    }


async def events(request: web.Request) -> web.Response:
    """Read the newest security events."""
    found = await request.app[RECENT].events()
    return json_response(
        {
            "counts": await asyncio.to_thread(_counts, gateway(request).metrics),
            "events": [
                {
                    "at": event.at,
                    "event": event.event,
                    "meaning": _MEANINGS.get(event.event, ""),
                    **{name: event.details[name] for name in _DETAILS if event.details.get(name) is not None},
                }
                for event in found
            ],
        }
    )


def _counts(metrics: Metrics) -> dict[str, int]:
    samples = metrics.samples(f"{SECURITY_EVENTS.name}_total")
    return {sample.labels["event"]: int(sample.value) for sample in samples}


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/api/activity",
        handler=activity,
        summary="Read what happened in the last hour",
        role="admin",
        tag="Monitoring",
        surface=Surface.API,
        description=(
            f"Requests, and calls by provider with their tokens and costs, in steps of {STEP} seconds; the newest "
            f"{STEPS} are kept. Those of all processes on this machine are counted together. Nothing is kept where "
            "`MONITORING_ENABLED` is off. Ask again with `after`, the `at` of the last step that you have."
        ),
        response=ActivityBody,
        response_example={
            "now": 1795253411,
            "step": STEP,
            "steps": [
                {
                    "at": 1795253400,
                    "requests": 12,
                    "errors": 0,
                    "refused": 1,
                    "in_flight": 2,
                    "streams": 1,
                    "providers": {
                        "mistral": {"calls": 9, "failed": 1, "seconds": 7.2, "tokens": 4100, "cost": 0.00091}
                    },
                }
            ],
        },
        parameters=(
            Parameter(
                name="after",
                place="query",
                description="Only the steps that ended after this time, in seconds since 1970.",
                schema={"type": "integer", "minimum": 0, "maximum": _LATEST},
            ),
        ),
    ),
    Endpoint(
        method="GET",
        path="/api/events",
        handler=events,
        summary="Read the newest security events",
        role="admin",
        tag="Monitoring",
        surface=Surface.API,
        description=(
            "Of each kind of event the newest are kept in each process, in memory: no flood of one hides another. "
            "`counts` has all that happened on this machine since the start. The log has every event, for good."
        ),
        response=EventsBody,
        response_example={
            "counts": {"authentication_failed": 1, "rate_limited": 0},
            "events": [
                {
                    "at": "2026-11-21T09:30:00.000Z",
                    "event": "authentication_failed",
                    "meaning": MEANINGS["authentication_failed"],
                    "principal": "anonymous",
                    "remote": "203.0.113.7",
                    "path": "/api/sessions",
                }
            ],
        },
    ),
)
