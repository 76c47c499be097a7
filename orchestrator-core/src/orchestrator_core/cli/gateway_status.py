"""How a running gateway is: what `orchestrator status` shows, of one look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator_core.cli.answers import Calls, ProviderRow, Step
from orchestrator_core.cli.looks import Look
from orchestrator_core.telemetry import instruments as names
from orchestrator_core.telemetry.process_figures import UPTIME

WINDOW = 20
"""Steps over which rates are taken: five minutes."""

NO_KEY = "not_configured"
_SECURITY = f"{names.SECURITY_EVENTS.name}_total"
_STATES = ("quarantined", "unhealthy", "degraded", "healthy", NO_KEY)


def report(url: str, look: Look) -> dict[str, Any]:
    """Describe a gateway, as `--json` prints it.

    Args:
        url: Where it runs.
        look: What it said.
    """
    return {
        "url": url,
        "status": look.health.status,
        "version": look.health.version,
        "timestamp": look.health.timestamp,
        **({} if look.samples is None else _figures(look)),
        "providers": sorted((_provider(look, row) for row in look.providers), key=_rank),
        "refusal": look.refusal,
    }


def _figures(look: Look) -> dict[str, Any]:
    recent = look.steps[-WINDOW:]
    seconds = len(recent) * look.step
    calls = _calls(recent)
    counts = [one for one in look.samples or () if one.name == _SECURITY and one.value]
    events = {one.labels.get("event", ""): int(one.value) for one in counts}
    refused = int(look.total(f"{names.CALLS_REFUSED.name}_total"))
    return {
        "uptime_seconds": round(look.total(UPTIME), 1),
        "processes": int(look.total(names.PROCESSES.name)),
        "traffic": {
            "over_seconds": seconds,
            "calls": int(sum(one.calls for one in calls)),
            "calls_per_second": round(sum(one.calls for one in calls) / seconds, 3) if seconds else 0.0,
            "error_rate": _error_rate(calls),
            "average_seconds": _average(calls),
            "cost_usd": round(float(sum(one.cost for one in calls)), 6),
            "refused": sum(step.refused for step in recent),
            "in_flight": int(look.total(names.CALLS_IN_FLIGHT.name)),
            "waiting": int(look.total(names.CALLS_WAITING.name)),
            "streams": int(look.total(names.STREAMS_IN_FLIGHT.name)),
            "history": [int(sum(one.calls for one in _calls([step]))) for step in look.steps],
        },
        "since_start": {
            "requests": int(look.total(f"{names.SERVED_SECONDS.name}_count")),
            "tokens": int(look.total(f"{names.KINDS_OF_TOKENS.name}_total")),
            "cost_usd": round(float(look.total(f"{names.COST.name}_total")), 6),
            "sessions": int(look.total(f"{names.SESSIONS.name}_total")),
        },
        "active_sessions": look.totals.active if look.totals else None,
        "limits": events | ({"calls_refused": refused} if refused else {}),
    }


def _provider(look: Look, row: ProviderRow) -> dict[str, Any]:
    known = look.samples is not None
    calls = _calls(look.steps[-WINDOW:], row.name)
    return {
        "name": row.name,
        "title": row.title,
        "state": "degraded" if row.state == "healthy" and row.circuits else row.state,
        "reason": row.error,
        "calls": int(sum(one.calls for one in calls)) if known else None,
        "error_rate": _error_rate(calls) if known else None,
        "average_seconds": _average(calls) if known else None,
        "in_flight": int(look.total(names.CALLS_IN_FLIGHT.name, provider=row.name)) if known else None,
        "left_alone": [circuit.model for circuit in row.circuits],
    }


def _rank(row: Mapping[str, Any]) -> tuple[int, str]:
    """Put first what needs a look, as a state does that only a newer gateway knows."""
    state = row["state"]
    return _STATES.index(state) if state in _STATES else -1, row["name"]


def _calls(steps: Iterable[Step], provider: str | None = None) -> Sequence[Calls]:
    """Return what the steps say of the calls to a provider; None is all of them."""
    return [found for step in steps for name, found in step.providers.items() if provider is None or name == provider]


def _error_rate(calls: Sequence[Calls]) -> float | None:
    total = sum(one.calls for one in calls)
    return round(float(sum(one.failed for one in calls) / total), 4) if total else None


def _average(calls: Sequence[Calls]) -> float | None:
    total = sum(one.calls for one in calls)
    return round(float(sum(one.seconds for one in calls) / total), 4) if total else None
