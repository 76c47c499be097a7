"""Providers made by hand, as discovery would make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from orchestrator_core.plugins import Provider
from orchestrator_core.plugins.loading import FoundPlugin
from orchestrator_core.provider_api import (
    ProviderContext,
    ProviderHooks,
    ProviderInfo,
    ProviderSettings,
    Secret,
    UpstreamClient,
)


def card(name: str, **more: Any) -> ProviderInfo:
    """Return a card of a provider that needs no key."""
    fields = {"title": name.title(), "capabilities": ("chat",), "requires_key": False, "default_model": "m", **more}
    return ProviderInfo(name=name, **fields)


def instance(cls: type[ProviderHooks], name: str | None = None) -> ProviderHooks:
    """Return an instance without a client."""
    settings = cls.settings_model()
    return cls(ProviderContext(name or cls.info.name, settings, cast("UpstreamClient", None)))


def provided(cls: type[ProviderHooks], name: str | None = None, keys: Sequence[str] = ()) -> Provider:
    """Return an instance behind the typed caller."""
    return Provider(instance(cls, name), [Secret(key) for key in keys])


def found(
    name: str,
    *,
    base: type[ProviderHooks] = ProviderHooks,
    settings_model: type[ProviderSettings] = ProviderSettings,
    **more: Any,
) -> FoundPlugin:
    """Return a plugin that was loaded."""
    cls = type("Plugin", (base,), {"info": card(name, **more), "settings_model": settings_model})
    return FoundPlugin(name, f"dist-{name}", "1.0", cls=cls)


def broken(name: str, fault: str = "importing it raised ValueError") -> FoundPlugin:
    """Return a plugin that could not be loaded."""
    return FoundPlugin(name, f"dist-{name}", "1.0", fault=fault)
