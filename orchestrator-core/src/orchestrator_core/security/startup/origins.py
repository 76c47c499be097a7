"""Which web pages may call."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator_core.security.cors import CorsPolicy, origin_problems
from orchestrator_core.security.startup.subject import Subject


def unsafe(subject: Subject) -> Iterator[str]:
    """Yield each origin that is too wide, or is none."""
    settings = subject.settings
    for number, origin in enumerate(settings.cors_allowed_origins, start=1):
        if settings.environment == "development" and CorsPolicy(frozenset(), local=True).allows(origin):
            continue
        for problem in origin_problems(origin):
            yield f"CORS_ALLOWED_ORIGINS: origin {number} {problem}."
