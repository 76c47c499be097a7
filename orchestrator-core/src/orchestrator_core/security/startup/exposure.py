"""What shows conversations or keys to others."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator_core.security.cors import CorsPolicy, origin_problems
from orchestrator_core.security.startup.addresses import is_safe
from orchestrator_core.security.startup.subject import Subject


def origins(subject: Subject) -> Iterator[str]:
    """Yield each origin of web pages that is too wide, or none."""
    settings = subject.settings
    for number, origin in enumerate(settings.cors_allowed_origins, start=1):
        if settings.environment == "development" and CorsPolicy(frozenset(), local=True).allows(origin):
            continue
        for problem in origin_problems(origin):
            yield f"CORS_ALLOWED_ORIGINS: origin {number} {problem}."


def plain_upstreams(subject: Subject) -> Iterator[str]:
    """Yield each provider that is called over the network without TLS."""
    for provider in subject.providers:
        if provider.settings.base_url is not None and not is_safe(provider.settings.base_url):
            yield (
                f"{provider.id}: its base URL is neither https nor on this machine, so that keys and conversations "
                "would travel in the clear."
            )


def debugging(subject: Subject) -> Iterator[str]:
    """Yield what is on for developers alone."""
    if subject.settings.log_level == "DEBUG":
        yield "LOG_LEVEL: DEBUG shows more than production may keep; use INFO."
