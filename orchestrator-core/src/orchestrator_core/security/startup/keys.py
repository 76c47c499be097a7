"""The keys of the providers."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator_core.config.provider import key_names
from orchestrator_core.security.startup.subject import Subject

_JUDGED = {"placeholder": "a placeholder", "malformed": "malformed", "foreign": "not this provider's"}


def malformed(subject: Subject) -> Iterator[str]:
    """Yield each key that is an example, cut off, or another vendor's."""
    if subject.settings.key_check == "strict":
        yield from _malformed(subject)


def malformed_but_tolerated(subject: Subject) -> Iterator[str]:
    """Yield each such key where `ORCHESTRATOR_KEY_CHECK` is `warn`."""
    if subject.settings.key_check == "warn":
        yield from _malformed(subject)


def no_provider(subject: Subject) -> Iterator[str]:
    """Yield that no provider can be called; one that only plays a provider does not count."""
    if subject.registry is None:
        return
    providers = subject.providers
    if not any(provider.configured and not provider.info.embedded_default for provider in providers):
        names = [key_names(provider.info, provider.id)[0] for provider in providers if provider.info.requires_key]
        yield f"No provider is usable. Set {' or '.join(names) or 'a key of a provider, and install its package'}."


def _malformed(subject: Subject) -> Iterator[str]:
    for provider in subject.providers:
        for number, verdict in enumerate(provider.verdicts, start=1):
            if not verdict.valid:
                which = f"key {number} " if len(provider.verdicts) > 1 else "the key "
                reason = verdict.reason or "it has not the form of this provider's keys"
                yield f"{key_names(provider.info, provider.id)[0]}: {which}is {_JUDGED[verdict.status]}: {reason}."
