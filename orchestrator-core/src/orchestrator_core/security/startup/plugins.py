"""Code of others that would run in the gateway."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator_core.security.startup.subject import Subject


def outside(subject: Subject) -> Iterator[str]:
    """Yield each installed plugin that `ORCHESTRATOR_ALLOWED_PLUGINS` does not have. None of its code was run."""
    if subject.registry is not None:
        for plugin in subject.registry.quarantined:
            if not plugin.allowed:
                yield (
                    f"ORCHESTRATOR_ALLOWED_PLUGINS: the installed plugin {plugin.distribution} is not in it; uninstall "
                    "it, or add it."
                )
