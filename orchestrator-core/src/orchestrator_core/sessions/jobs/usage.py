"""What was used, added up for each day, user, client, provider and model as it is stored: no report scans turns."""

from __future__ import annotations

from orchestrator_core.provider_api import Usage
from orchestrator_core.sessions.jobs import statements
from orchestrator_core.sessions.jobs.rows import SessionRow, shard
from orchestrator_core.sessions.steps import Steps, do

DAY = 86_400_000_000
"""Microseconds."""

_NONE = Usage()


def add_usage(
    tenant: str,
    session: SessionRow,
    client: str,
    operation: str,
    provider: str,
    model: str,
    usage: Usage | None,
    cost: float | None,
    seconds: float,
    now: int,
) -> Steps[None]:
    """Add one call to the totals of its day (UTC).

    A day's row stands in shards, so that turns that end at the same time need not wait for each other.
    """
    counted = usage or _NONE
    yield from do(
        statements.ADD_USAGE,
        tenant,
        now // DAY,
        session.user_id or "",
        client,
        provider,
        model,
        operation,
        shard(session.id),
        counted.input_tokens,
        counted.cached_input_tokens,
        counted.cache_write_tokens,
        counted.output_tokens,
        counted.reasoning_tokens,
        cost or 0.0,
        int(cost is None),
        seconds,
    )
