"""What the checks found, and the lines that every start prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator_core.security.cors import CorsPolicy
from orchestrator_core.security.startup.subject import Subject


@dataclass(frozen=True, slots=True)
class StartupReport:
    """What the checks found. Nothing in it holds a key or another value of the configuration.

    Attributes:
        lines: To be printed at every start: one for each key, then CORS.
        problems: Why the gateway must not start.
        warnings: What an operator should look at.
    """

    lines: Sequence[str]
    problems: Sequence[str]
    warnings: Sequence[str]


def lines(subject: Subject) -> Iterator[str]:
    """Yield a line for each key, one for the providers that have none, and one for CORS."""
    for provider in subject.providers:
        for verdict in provider.verdicts:
            judged = "valid" if verdict.valid else f"not valid: {verdict.reason or verdict.status}"
            yield f"{provider.id}: {verdict.masked} {judged}"
    without = [provider.id for provider in subject.providers if not provider.verdicts and provider.info.requires_key]
    if without:
        yield f"Without a key: {', '.join(without)}"
    yield CorsPolicy.from_settings(subject.settings).describe()
