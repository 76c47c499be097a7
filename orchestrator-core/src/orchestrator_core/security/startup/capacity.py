"""Bounds that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator_core.security.startup.subject import Subject


def few_connections(subject: Subject) -> Iterator[str]:
    """Yield that more calls to a provider are let through than it has connections for."""
    settings = subject.settings
    if settings.max_connections < settings.max_calls_in_flight:
        yield (
            "ORCHESTRATOR_MAX_CONNECTIONS: there are fewer connections to a provider than calls that may be under way "
            "(ORCHESTRATOR_MAX_CALLS_IN_FLIGHT), so that some would wait for one and fail. Set it higher than that."
        )
