"""How a running gateway is: what `orchestrator status` shows, of one look or of two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator_core.cli.looks import Look
from orchestrator_core.telemetry import instruments as names
from orchestrator_core.telemetry.metrics import CANCELLED
from orchestrator_core.telemetry.process_figures import PROCESSES, UPTIME

_SECURITY = f"{names.SECURITY_EVENTS.name}_total"
_STATES = ("quarantined", "unhealthy", "degraded", "healthy", "no key")


def report(url: str, look: Look, before: Look | None = None) -> dict[str, Any]:
    """Describe a gateway, as `--json` prints it.

    Args:
        url: Where it runs.
        look: What it said.
        before: What it said before; rates are taken from then on, or from its start where there is nothing before.
    """
    rates = _Rates(look, before)
    return {
        "url": url,
        "status": look.health["status"],
        "version": look.health["version"],
        "timestamp": look.health["timestamp"],
        **({} if look.samples is None else _figures(look, rates)),
        "providers": sorted((_provider(look, row, rates) for row in look.providers), key=_rank),
        "refusal": look.refusal,
    }


class _Rates:
    """What grew between two looks."""

    def __init__(self, look: Look, before: Look | None) -> None:
        uptime = look.total(UPTIME)
        # A gateway that was started again counts from zero, and so does another machine behind the same address.
        again = before is None or before.total(UPTIME) > uptime
        self._look, self._before = look, None if again else before
        self.seconds = uptime if self._before is None else look.at - self._before.at

    def grown(self, name: str, accept: Callable[[Mapping[str, str]], bool] = lambda _: True) -> float:
        """Return by how much a counter grew."""
        begin = self._before.total(name, accept) if self._before else 0.0
        return max(0.0, self._look.total(name, accept) - begin)


def _figures(look: Look, rates: _Rates) -> dict[str, Any]:
    served, failed = (
        f"{names.SERVED_SECONDS.name}_count",
        rates.grown(f"{names.SERVED_SECONDS.name}_count", _has_failed),
    )
    requests = rates.grown(served)
    events = {one.labels["event"]: int(one.value) for one in look.samples or () if one.name == _SECURITY and one.value}
    refused = int(look.total(f"{names.CALLS_REFUSED.name}_total"))
    return {
        "uptime_seconds": round(look.total(UPTIME), 1),
        "processes": int(look.total(PROCESSES)),
        "over_seconds": round(rates.seconds, 1),
        "traffic": {
            "requests": int(look.total(served)),
            "per_second": round(requests / rates.seconds, 3) if rates.seconds else 0.0,
            "error_rate": round(failed / requests, 4) if requests else 0.0,
            "average_seconds": _average(rates, names.SERVED_SECONDS.name),
            "in_flight": int(look.total(names.CALLS_IN_FLIGHT.name)),
            "waiting": int(look.total(names.CALLS_WAITING.name)),
            "streams": int(look.total(names.STREAMS_IN_FLIGHT.name)),
        },
        "tokens": int(look.total(f"{names.KINDS_OF_TOKENS.name}_total")),
        "cost_usd": round(float(look.total(f"{names.COST.name}_total")), 6),
        "sessions": {
            "active": look.totals["active"] if look.totals else None,
            "created": int(look.total(f"{names.SESSIONS.name}_total")),
        },
        "limits": events | ({"calls_refused": refused} if refused else {}),
    }


def _provider(look: Look, row: Mapping[str, Any], rates: _Rates) -> dict[str, Any]:
    name = row["name"]

    def own(labels: Mapping[str, str]) -> bool:
        return labels.get("provider") == name and labels.get("error_type") != CANCELLED

    calls = rates.grown(f"{names.CALL_SECONDS.name}_count", own)
    failed = rates.grown(f"{names.CALL_SECONDS.name}_count", lambda labels: own(labels) and _has_failed(labels))
    known = look.samples is not None
    return {
        "name": name,
        "title": row["title"],
        "state": _state(row),
        "reason": row["error"],
        "calls": int(look.total(f"{names.CALL_SECONDS.name}_count", own)) if known else None,
        "error_rate": round(failed / calls, 4) if calls else None,
        "average_seconds": _average(rates, names.CALL_SECONDS.name, own) if known else None,
        "in_flight": int(look.total(names.CALLS_IN_FLIGHT.name, own)) if known else None,
        "left_alone": [circuit["model"] for circuit in row["circuits"]],
    }


def _state(row: Mapping[str, Any]) -> str:
    """Say how a provider is, in a word."""
    if not row["configured"]:
        return "quarantined" if row["title"] is None else "no key"
    if not row["is_healthy"]:
        return "unhealthy"
    return "degraded" if row["circuits"] else "healthy"


def _rank(row: Mapping[str, Any]) -> tuple[int, str]:
    """Put first what needs a look."""
    return _STATES.index(row["state"]), row["name"]


def _average(rates: _Rates, name: str, accept: Callable[[Mapping[str, str]], bool] = lambda _: True) -> float | None:
    count = rates.grown(f"{name}_count", accept)
    return round(rates.grown(f"{name}_sum", accept) / count, 4) if count else None


def _has_failed(labels: Mapping[str, str]) -> bool:
    return bool(labels.get("error_type"))
