"""Whether anybody would notice what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator_core.security.startup.subject import Subject


def off(subject: Subject) -> Iterator[str]:
    """Yield that monitoring is off, so that nobody would notice a provider that fails."""
    if not subject.settings.monitoring_enabled:
        yield "MONITORING_ENABLED: without it nothing looks at the providers' health before a request fails."
