"""Names that stand for nothing."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator_core.config.messages import nearest
from orchestrator_core.security.startup.subject import Subject


def unknown(subject: Subject) -> Iterator[str]:
    """Yield each fallback and alias that leads to no provider which is served."""
    if subject.registry is None:
        return
    settings = subject.settings
    known = {
        name for provider in subject.providers for name in (provider.id, provider.info.name, *provider.info.aliases)
    }
    targets = {f"fallbacks: entry {number}": target for number, target in enumerate(settings.fallbacks, start=1)}
    targets |= {f"aliases.{alias}": target for alias, target in settings.aliases.items()}
    for place, target in targets.items():
        name = target.partition("/")[0]
        if name not in known and not (place.startswith("fallbacks") and target in settings.aliases):
            yield f"{place} names no provider that is served.{nearest(name, known)}"
