"""Finds the installed plugins and makes the providers that are to be used."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import structlog

from orchestrator_core.config import Config, ConfigError
from orchestrator_core.config.messages import nearest
from orchestrator_core.config.settings import ServerEntry
from orchestrator_core.plugins.loading import FoundPlugin, Isolated, describe, find_plugins
from orchestrator_core.plugins.provider import Provider
from orchestrator_core.plugins.registry import QuarantinedPlugin, Registry, names_of
from orchestrator_core.provider_api import Auth, ProviderContext, ProviderInfo, UpstreamClient

MakeClient = Callable[[Auth], UpstreamClient]

log = structlog.get_logger(__name__)


class PluginClash(ConfigError):
    """Two distributions claim one name."""


class UnusableInstance(Exception):
    """An instance could not be made; the text says why."""


async def discover(config: Config, make_client: MakeClient, found: Sequence[FoundPlugin] | None = None) -> Registry:
    """Load the installed plugins and make an instance for each configured server.

    Args:
        config: Which plugins to use, and the settings of each.
        make_client: Makes the upstream client of an instance from how its credential travels.
        found: The installed plugins, where they were loaded already.

    Raises:
        PluginClash: A name or alias is claimed twice.
        ConfigError: A setting of a provider is wrong, or a list names a plugin that is not installed.
    """
    if found is None:
        settings = config.settings
        found = await asyncio.to_thread(find_plugins, settings.plugin_load_timeout, settings.allowed_plugins)
    registry = assemble(config, make_client, found)
    for plugin in registry.quarantined:
        log.error(
            "plugin quarantined",
            provider=plugin.name,
            distribution=plugin.distribution,
            version=plugin.version,
            reason=plugin.reason,
        )
    return registry


def assemble(config: Config, make_client: MakeClient, found: Sequence[FoundPlugin]) -> Registry:
    """Make the registry from plugins that were found; raises as `discover` does."""
    problems: list[str] = []
    servers = _servers(config, found)
    wanted = list(_wanted(config, found, servers, problems))
    set_aside = [*wanted, *(plugin for plugin in found if not plugin.allowed and plugin not in wanted)]
    quarantined = [_quarantined(plugin, plugin.fault) for plugin in set_aside if plugin.fault is not None]
    clashes = list(_clashes([plugin for plugin in wanted if plugin.fault is None]))
    if clashes:
        raise PluginClash([*problems, *clashes])
    providers: list[Provider] = []
    packages: dict[str, str] = {}
    origins: dict[str, tuple[str, str]] = {}
    for plugin in wanted:
        if plugin.cls is None:
            continue
        for name in _instances(servers, plugin, wanted, problems):
            try:
                provider = _make(config, make_client, plugin, name)
            except ConfigError as error:
                problems += error.problems
            except UnusableInstance as error:
                quarantined.append(_quarantined(plugin, str(error), name))
            else:
                providers.append(provider)
                packages[provider.id] = plugin.package
                origins[provider.id] = (plugin.distribution, plugin.version)
    for name, entry in servers.items():
        unserved = _unserved(name, entry, wanted)
        if isinstance(unserved, QuarantinedPlugin):
            quarantined.append(unserved)
        elif unserved is not None:
            problems.append(unserved)
    problems += [
        f"{name!r} is the name of two providers: rename the server in [servers]."
        for name, count in _counted(providers).items()
        if count > 1
    ]
    if problems:
        raise ConfigError(problems)
    return Registry(providers, quarantined, packages, origins, found)


def _make(config: Config, make_client: MakeClient, plugin: FoundPlugin, name: str | None) -> Provider:
    assert plugin.cls is not None  # noqa: S101 - the caller has checked it
    cls = plugin.cls
    try:
        configured = config.provider(cls.info, cls.settings_model, name)
    except ConfigError:
        raise
    except Exception as error:
        raise UnusableInstance(f"reading its settings raised {describe(error)}. Update or remove it") from error
    context = ProviderContext(
        provider_id=name or cls.info.name,
        settings=configured.settings,
        client=make_client(cls.info.auth),
    )
    made = Isolated(lambda: Provider(cls(context), configured.keys), "making it").run(
        config.settings.plugin_load_timeout
    )
    if made.result is None:
        raise UnusableInstance(made.fault or "making it gave nothing")
    return made.result


def _instances(
    servers: Mapping[str, ServerEntry], plugin: FoundPlugin, plugins: Sequence[FoundPlugin], problems: list[str]
) -> Iterator[str | None]:
    """Yield the names of the instances of a plugin; None is its own name."""
    assert plugin.cls is not None  # noqa: S101 - the caller has checked it
    if not plugin.cls.info.named_servers:
        yield None
        return
    serving = _serving(plugins)
    for name, entry in servers.items():
        if entry.plugin == plugin.cls.info.name or (entry.plugin is None and len(serving) == 1):
            yield name
        elif entry.plugin is None and plugin.cls.info.name == serving[0]:
            problems.append(f"servers.{name}.plugin: say which plugin is to serve it: {', '.join(serving)}.")


def _unserved(name: str, entry: ServerEntry, plugins: Sequence[FoundPlugin]) -> str | QuarantinedPlugin | None:
    """Return why no plugin serves a named server: a problem, or, where its plugin is broken, another that is."""
    serving = _serving(plugins)
    if serving if entry.plugin is None else entry.plugin in serving:
        return None
    broken = [plugin for plugin in plugins if plugin.fault is not None]
    if entry.plugin is None and broken:
        reason = "no plugin that serves named servers could be loaded; see the other quarantined plugins"
        return QuarantinedPlugin(name=name, distribution=None, version=None, reason=reason)
    for plugin in broken:
        if plugin.name == entry.plugin:
            return _quarantined(plugin, plugin.fault, name)
    if entry.plugin is None:
        return f"servers.{name}: no installed plugin serves named servers. Install one that does."
    return f"servers.{name}.plugin: no installed plugin of that name serves named servers."


def _serving(plugins: Sequence[FoundPlugin]) -> Sequence[str]:
    """Return the names of the plugins that serve named servers."""
    return [plugin.cls.info.name for plugin in plugins if plugin.cls is not None and plugin.cls.info.named_servers]


def _servers(config: Config, found: Sequence[FoundPlugin]) -> Mapping[str, ServerEntry]:
    """Return the named servers that the allow-list and the block-list leave, by their own name or their plugin's.

    A name on the block-list that a plugin has too means the plugin: a server takes over the name by blocking it.
    """
    sole = serving[0] if len(serving := _serving(found)) == 1 else None
    named = {name: _own(plugin) for plugin in found for name in _names(plugin)}
    left = {}
    for name, entry in config.settings.servers.items():
        names_of_plugin = named.get(entry.plugin or sole or "", set())
        both = {name, *names_of_plugin}
        if _allowed(config, both) and not _blocked(config, names_of_plugin if name in named else both):
            left[name] = entry
    return left


def _wanted(
    config: Config, found: Sequence[FoundPlugin], servers: Mapping[str, ServerEntry], problems: list[str]
) -> Iterator[FoundPlugin]:
    """Yield the plugins that the allow-list and the block-list leave."""
    names = {name for plugin in found for name in _own(plugin)} | set(config.settings.servers)
    for place, name in _mentioned(config):
        if name not in names:
            hint = nearest(name, names) or " Install its package."
            problems.append(f"{place}: no installed plugin has this name.{hint}")
    for plugin in found:
        own = _own(plugin)
        serves = bool(servers) and plugin.cls is not None and plugin.cls.info.named_servers
        if (serves or _allowed(config, own)) and not _blocked(config, own):
            yield plugin


def _mentioned(config: Config) -> Iterator[tuple[str, str]]:
    """Yield every place that names a provider, and the name. What an operator wrote as a value is not in the place."""
    settings = config.settings
    for setting, listed in (("providers", settings.providers), ("disabled_providers", settings.disabled_providers)):
        for number, name in enumerate(listed or (), start=1):
            yield f"{setting}: entry {number}", name
    single = {"default_provider": settings.default_provider, "summary_provider": settings.summary_provider}
    yield from ((setting, name) for setting, name in single.items() if name is not None)
    yield from ((f"provider.{name}", name) for name in config.provider_tables)


def _allowed(config: Config, own: set[str]) -> bool:
    """Return whether the allow-list leaves what has these names."""
    return config.settings.providers is None or not own.isdisjoint(config.settings.providers)


def _blocked(config: Config, own: set[str]) -> bool:
    """Return whether the block-list takes out what has these names."""
    return not own.isdisjoint(config.settings.disabled_providers)


def _own(plugin: FoundPlugin) -> set[str]:
    """Return all names by which an operator may list a plugin."""
    return {*_names(plugin), plugin.distribution}


def _names(plugin: FoundPlugin) -> set[str]:
    if plugin.cls is None:
        return {plugin.name}
    info: ProviderInfo = plugin.cls.info
    return {info.name, *info.aliases}


def _clashes(plugins: Sequence[FoundPlugin]) -> Iterator[str]:
    claims: dict[str, list[str]] = defaultdict(list)
    for plugin in plugins:
        for name in _names(plugin):
            claims[name].append(plugin.distribution)
    for name, distributions in sorted(claims.items()):
        if len(distributions) > 1:
            both = " and ".join(sorted(distributions))
            cure = "uninstall one, or name its distribution in ORCHESTRATOR_DISABLED_PROVIDERS"
            yield f"The name {name!r} is claimed by {both}: {cure}."


def _counted(providers: Sequence[Provider]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for provider in providers:
        for name in names_of(provider):
            counts[name] += 1
    return counts


def _quarantined(plugin: FoundPlugin, reason: str | None, server: str | None = None) -> QuarantinedPlugin:
    name = server or (plugin.cls.info.name if plugin.cls else plugin.name)
    return QuarantinedPlugin(
        name=name,
        distribution=plugin.distribution,
        version=plugin.version,
        reason=reason or "unknown",
        allowed=plugin.allowed,
    )
