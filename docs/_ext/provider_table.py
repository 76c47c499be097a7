"""The table of providers, from the cards of the plugins that are installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from orchestrator_core.plugins.loading import find_plugins
from orchestrator_core.provider_api import ProviderHooks, ProviderInfo


def provider_lines() -> Iterator[str]:
    """Make one table, and the models of each provider.

    Raises:
        RuntimeError: A plugin does not load.
    """
    cards = provider_cards()
    yield from (
        "| Provider | Package | Capabilities | Key | Base URL | Default models |",
        "|---|---|---|---|---|---|",
    )
    for distribution, cls in cards:
        info = cls.info
        yield (
            f"| {_names(info)} | `{distribution}` | {', '.join(info.capabilities)} | {_keys(info)} "
            f"| {_base_url(cls)} | {_defaults(info)} |"
        )
    for _, cls in cards:
        if cls.info.models:
            yield from ("", f"## {cls.info.title}", "", *_models(cls.info))


def provider_cards() -> list[tuple[str, type[ProviderHooks]]]:
    """Return the installed providers with their distributions; one that does not load fails the build."""
    found = find_plugins(timeout=30.0)
    broken = [f"{plugin.name}: {plugin.fault}" for plugin in found if plugin.cls is None]
    if broken:
        raise RuntimeError(f"plugins that do not load: {broken}")
    return [(plugin.distribution, plugin.cls) for plugin in found if plugin.cls is not None]


def _names(info: ProviderInfo) -> str:
    names = " ".join(f"`{name}`" for name in (info.name, *info.aliases))
    return "a name of yours for each server" if info.named_servers else names


def _keys(info: ProviderInfo) -> str:
    prefixes = info.env_prefixes or (info.name.upper().replace("-", "_"),)
    names = info.key_env or [f"{prefix}_API_KEY" for prefix in prefixes]
    shown = "as the server is named" if info.named_servers else ", ".join(f"`{name}`" for name in names)
    return shown if info.requires_key or info.named_servers else "none"


def _base_url(cls: type[ProviderHooks]) -> str:
    """Return where a provider is by default: its dialect's, or its module's `BASE_URL`."""
    url = getattr(getattr(cls, "dialect", None), "base_url", "") or getattr(sys.modules[cls.__module__], "BASE_URL", "")
    return f"`{url}`" if url else "-"


def _defaults(info: ProviderInfo) -> str:
    models = (info.default_model, info.default_embedding_model)
    return ", ".join(f"`{model}`" for model in models if model) or "-"


def _models(info: ProviderInfo) -> Iterator[str]:
    yield from ("| Model | Context | Capabilities | Retired | Replacement |", "|---|---|---|---|---|")
    for model in info.models:
        window = f"{model.context_window:,}" if model.context_window else "-"
        successor = f"`{model.replacement}`" if model.replacement else "-"
        retired = model.retired_on or ("yes" if model.replacement else "-")
        yield f"| `{model.id}` | {window} | {', '.join(model.capabilities) or '-'} | {retired} | {successor} |"
