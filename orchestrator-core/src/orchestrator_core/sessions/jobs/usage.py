"""What was used, added up for each day, user, client, provider and model as it is stored: no report scans turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

from orchestrator_core.provider_api import Usage
from orchestrator_core.sessions.bills import (
    DIMENSIONS,
    CallKind,
    CallTotal,
    Dimension,
    Operation,
    UsageFilter,
    UsageTotal,
    countable,
    counts,
)
from orchestrator_core.sessions.jobs import statements
from orchestrator_core.sessions.jobs.rows import SessionRow, shard
from orchestrator_core.sessions.steps import Steps, Sum, do, rows

DAY = 86_400_000_000
"""Microseconds."""

_EPOCH = date(1970, 1, 1)
_COUNTERS = (
    "calls",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost",
    "unpriced",
    "seconds",
)
_NO_TOKENS = counts(Usage())
_FRACTIONS = frozenset({"cost", "seconds"})


def usage_sum(
    tenant: str,
    session: SessionRow,
    client: str,
    operation: Operation,
    provider: str,
    model: str,
    usage: Usage | None,
    cost: float | None,
    seconds: float,
    now: int,
) -> Sum:
    """Return what adds one call to the totals of its day (UTC)."""
    tokens = _NO_TOKENS if usage is None else counts(countable(usage))
    return Sum(
        statements.ADD_USAGE,
        (tenant, now // DAY, session.user_id or "", client, provider, model, operation),
        shard(session.id),
        (1, *tokens, cost or 0.0, int(cost is None), seconds),
    )


def add_calls(totals: Mapping[CallKind, CallTotal], process_id: str) -> Steps[None]:
    """Add many calls; always in one order, so that no two processes wait for each other.

    Sessions come first, as in the transactions that end turns.
    """
    for kind in sorted(totals, key=_session):
        if kind.session_id:
            total = totals[kind]
            cost = None if total.unpriced == total.calls else total.cost
            charge = (total.usage.total, cost, cost)
            yield from do(statements.CHARGE_SESSION, *charge, kind.tenant, kind.session_id)
    for kind in sorted(totals, key=_order):
        yield from do(statements.ADD_USAGE, *_row(kind, totals[kind], shard(process_id)))


def _session(kind: CallKind) -> tuple[str, str]:
    return (kind.tenant, kind.session_id)


def _order(kind: CallKind) -> tuple[str, ...]:
    return (kind.tenant, f"{kind.day:010}", kind.user_id, kind.client, kind.provider, kind.model, kind.operation)


def _row(kind: CallKind, total: CallTotal, part: int) -> tuple[Any, ...]:
    key = (kind.tenant, kind.day, kind.user_id, kind.client, kind.provider, kind.model, kind.operation)
    return (*key, part, total.calls, *counts(total.usage), total.cost, total.unpriced, total.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadUsage:
    """Which totals to read.

    Attributes:
        tenant: Whose they are; None is everybody's.
        by: What they are split by.
        matching: Which calls count.
        limit: How many at most; one more is read, where there is one.
        offset: How many to skip.
    """

    tenant: str | None
    by: tuple[Dimension, ...]
    matching: UsageFilter
    limit: int
    offset: int

    def __call__(self) -> Steps[Sequence[UsageTotal]]:
        """Read the totals."""
        matching = self.matching
        given: dict[str, Any] = {
            name: value for name in DIMENSIONS if name != "day" and (value := getattr(matching, name)) is not None
        }
        days = [] if matching.since is None else [(matching.since - _EPOCH).days]
        days += [] if matching.until is None else [(matching.until - _EPOCH).days]
        own = () if self.tenant is None else (self.tenant,)
        sql = read_usage(
            self.by,
            tuple(given),
            own=self.tenant is not None,
            since=matching.since is not None,
            until=matching.until is not None,
        )
        found = yield from rows(sql, *own, *given.values(), *days, self.limit + 1, self.offset)
        return [_total(self.by, row) for row in found if row[len(self.by)] is not None]


@cache
def read_usage(by: tuple[Dimension, ...], given: tuple[str, ...], *, own: bool, since: bool, until: bool) -> str:
    """Return the statement that adds up what was added up for each day already.

    Args:
        by: What to split by.
        given: What has to have a value.
        own: Whether one tenant's calls count alone.
        since: Whether there is a first day.
        until: Whether there is a last day.
    """
    sums = ", ".join(
        f"CAST(sum({name}) AS {'DOUBLE PRECISION' if name in _FRACTIONS else 'BIGINT'})" for name in _COUNTERS
    )
    conditions = ["tenant = ?"] * own + [f"{name} = ?" for name in given]
    conditions += ["day >= ?"] * since + ["day <= ?"] * until
    names = ", ".join(by)
    sql = f"SELECT {names}{', ' if by else ''}{sums} FROM usage WHERE {' AND '.join(conditions) or '1 = 1'}"  # noqa: S608 - names of this file
    if by:
        sql += f" GROUP BY {names} ORDER BY {names}"
    return f"{sql} LIMIT ? OFFSET ?"


def _total(by: Sequence[Dimension], row: Sequence[Any]) -> UsageTotal:
    key: dict[str, str | date] = {
        name: _EPOCH + timedelta(days=value) if name == "day" else value for name, value in zip(by, row, strict=False)
    }
    calls, *tokens, cost, unpriced, seconds = row[len(by) :]
    known = None if unpriced == calls else cost
    return UsageTotal(key=key, calls=calls, usage=Usage(*tokens), cost=known, unpriced=unpriced, seconds=seconds)
