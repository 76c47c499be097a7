"""What was used: tokens and costs by day, user, client key, provider and model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from aiohttp import web
from pydantic import Field

from orchestrator_core.provider_api import InvalidRequest, StorageError
from orchestrator_core.server.context import gateway, principal
from orchestrator_core.server.endpoint import Described, Endpoint, Parameter
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.json_answer import json_response
from orchestrator_core.server.query import MAX_OFFSET, OFFSET, integer, limit_parameter
from orchestrator_core.server.routes.usage_bodies import TokensBody
from orchestrator_core.sessions.bills import DIMENSIONS, Dimension, UsageFilter, UsageTotal

MAX_ROWS = 1000
DAYS = 30
"""What is reported where no first day is named."""


class UsageRow(TokensBody):
    """The total of some calls. Of the dimensions it has those that were asked for."""

    day: str | None = None
    tenant: str | None = None
    user_id: str | None = None
    client: str | None = None
    provider: str | None = None
    model: str | None = None
    operation: str | None = None
    calls: int
    total_tokens: int
    cost: float | None = Field(description="USD, of the calls whose price is known; null where none is.")
    unpriced_calls: int = Field(description="The calls whose price is unknown: they are not in `cost`.")
    seconds: float = Field(description="How long the calls took together.")


class UsageReportBody(Described):
    """Totals, ordered by what they are split by."""

    since: str
    until: str
    by: list[str]
    usage: list[UsageRow]
    has_more: bool


def dimensions(text: str) -> tuple[Dimension, ...]:
    """Return what to split by.

    Raises:
        InvalidRequest: There is no such dimension, or one stands there twice.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not set(names) <= set(DIMENSIONS) or len(set(names)) < len(names):
        raise InvalidRequest(f"by takes each of {', '.join(DIMENSIONS)} once, separated by commas.", param="by")
    return cast("tuple[Dimension, ...]", tuple(names))


def day(text: str | None, param: str, default: date) -> date:
    """Return a day.

    Raises:
        InvalidRequest: It is none.
    """
    if text is None:
        return default
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{param} must be a day, such as 2026-11-21.", param=param) from None
    return found


def usage_row(total: UsageTotal) -> dict[str, Any]:
    """Return a total as JSON."""
    key = {name: value.isoformat() if isinstance(value, date) else value for name, value in total.key.items()}
    return {
        **key,
        "calls": total.calls,
        **total.usage.buckets(),
        "total_tokens": total.usage.total,
        "cost": total.cost,
        "unpriced_calls": total.unpriced,
        "seconds": round(total.seconds, 4),
    }


async def report(request: web.Request) -> web.Response:
    """Read totals."""
    query = request.query
    by = dimensions(query.get("by", ""))
    until = day(query.get("until"), "until", datetime.now(UTC).date())
    since = day(query.get("since"), "since", max(date.min + timedelta(days=DAYS), until) - timedelta(days=DAYS - 1))
    if since > until:
        raise InvalidRequest("since must not be later than until.", param="since")
    limit = integer(request, "limit", default=100, minimum=1, maximum=MAX_ROWS)
    caller = principal(request)
    page = await gateway(request).store.usage(
        None if caller.admin else caller.tenant,
        by=by,
        matching=UsageFilter(
            since=since, until=until, **{name: query.get(name) for name in DIMENSIONS if name != "day"}
        ),
        limit=limit,
        offset=integer(request, "offset", default=0, minimum=0, maximum=MAX_OFFSET),
    )
    return json_response(
        {
            "since": since.isoformat(),
            "until": until.isoformat(),
            "by": list(by),
            "usage": [usage_row(total) for total in page.items],
            "has_more": page.has_more,
        }
    )


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/api/usage",
        handler=report,
        summary="Read tokens and costs by day, user, client key, provider and model",
        tag="Usage",
        surface=Surface.API,
        description=(
            "An admin reads what all tenants used, any other client what its own tenant did. Every answer is counted "
            "as it ends: of turns and summaries with them, all others within a second, also where nothing of it is "
            "kept. A try without an answer counts where the provider named tokens or may have worked for it (the "
            "client left, time ran out, the answer was no answer): then its tokens are unknown, and its price is. One "
            "that was refused, or never arrived, does not count. `user_id` is that of the session, or the `user` or "
            "`metadata.user_id` of a call without one. The totals hold labels and numbers only, and stay when a "
            "session is deleted. Copies of sessions cost nothing again."
        ),
        response=UsageReportBody,
        errors=(StorageError,),
        response_example={
            "since": "2026-11-01",
            "until": "2026-11-21",
            "by": ["day", "provider"],
            "usage": [
                {
                    "day": "2026-11-21",
                    "provider": "mistral",
                    "calls": 2,
                    "input_tokens": 42,
                    "cached_input_tokens": 0,
                    "cache_write_tokens": 0,
                    "output_tokens": 20,
                    "reasoning_tokens": 0,
                    "total_tokens": 62,
                    "cost": 0.000013,
                    "unpriced_calls": 0,
                    "seconds": 1.66,
                }
            ],
            "has_more": False,
        },
        parameters=(
            Parameter(
                name="by",
                place="query",
                description=f"What to split by, separated by commas: {', '.join(DIMENSIONS)}. Nothing is one total.",
            ),
            Parameter(
                name="since",
                place="query",
                description=f"The first day, UTC; {DAYS} days up to `until` where left out.",
                schema={"type": "string", "format": "date"},
            ),
            Parameter(
                name="until",
                place="query",
                description="The last day, UTC; today where left out.",
                schema={"type": "string", "format": "date"},
            ),
            *(
                Parameter(name=name, place="query", description="Only calls with this value.", words=True)
                for name in DIMENSIONS
                if name != "day"
            ),
            limit_parameter(100, MAX_ROWS),
            OFFSET,
        ),
    ),
)
