"""What the checks found, and the lines that every start prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator_core.config import Settings
from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.security.cors import CorsPolicy
from orchestrator_core.security.startup.subject import StartingProvider


@dataclass(frozen=True, slots=True)
class StartupReport:
    """What the checks found. Nothing in it holds a key or another value of the configuration.

    Attributes:
        lines: To be printed at every start: one for each key, then CORS.
        problems: Why the gateway must not start.
        warnings: What an operator should look at.
        undecided: Why it must not start as long as the store is away. Opening that says more, so that a start without
            another problem tries to.
    """

    lines: Sequence[str]
    problems: Sequence[str]
    warnings: Sequence[str]
    undecided: Sequence[str] = ()

    @property
    def reasons(self) -> Sequence[str]:
        """Why the gateway would not start now."""
        return [*self.problems, *self.undecided]


def describe(settings: Settings, providers: Iterable[StartingProvider]) -> Iterator[str]:
    """Yield a line for each key, one for the providers that have none, and one for CORS; no secret is in them."""
    yield from map(REDACTOR.redact, _lines(settings, list(providers)))


def _lines(settings: Settings, providers: Sequence[StartingProvider]) -> Iterator[str]:
    for provider in providers:
        for verdict in provider.verdicts:
            judged = "valid" if verdict.valid else f"not valid: {verdict.reason or verdict.status}"
            yield f"{provider.id}: {verdict.masked} {judged}"
    without = [provider.id for provider in providers if not provider.verdicts and provider.info.requires_key]
    if without:
        yield f"Without a key: {', '.join(without)}"
    yield CorsPolicy.from_settings(settings).describe()
