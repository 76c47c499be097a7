"""The providers of a running gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from orchestrator_core.config import Config, ConfigError
from orchestrator_core.plugins.fresh_keys import FreshKeys, FreshRegistry
from orchestrator_core.plugins.loading import FoundPlugin, Isolated
from orchestrator_core.plugins.provider import Provider
from orchestrator_core.plugins.watchdog import Watchdog
from orchestrator_core.provider_api import NotFound, PluginError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedPlugin:
    """A plugin that is installed and not used.

    Attributes:
        name: The name of its entry point, or of its instance.
        distribution: The distribution that ships it.
        version: The distribution's version.
        reason: What is wrong, and what to do.
        allowed: Whether its distribution may be loaded at all.
    """

    name: str
    distribution: str | None
    version: str | None
    reason: str
    allowed: bool = True


class Registry:
    """Finds providers by name or alias.

    Attributes:
        providers: The providers by id, in alphabetical order.
        quarantined: What is installed and not used.
        found: What is installed, used or not.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        quarantined: Sequence[QuarantinedPlugin] = (),
        packages: Mapping[str, str] | None = None,
        origins: Mapping[str, tuple[str, str]] | None = None,
        found: Sequence[FoundPlugin] = (),
    ) -> None:
        """Make a registry.

        Args:
            providers: The providers; names and aliases must be unique.
            quarantined: What is installed and not used.
            packages: The import package of each provider's plugin, by provider id, for the watchdog.
            origins: Name and version of the distribution that each provider comes from.
            found: What is installed, used or not.
        """
        self.providers: Mapping[str, Provider] = {
            provider.id: provider for provider in sorted(providers, key=lambda provider: provider.id)
        }
        self.quarantined: list[QuarantinedPlugin] = list(quarantined)
        self.found = found
        self._names = {name: provider for provider in self.providers.values() for name in names_of(provider)}
        self._origins = origins or {}
        self._watchdog = Watchdog(packages or {}, self.quarantine)
        for provider in self.providers.values():
            provider.quarantine = partial(self.quarantine, provider.id)

    @property
    def usable(self) -> Sequence[Provider]:
        """The providers that can be called."""
        return [provider for provider in self.providers.values() if provider.usable]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def installed(self, name: str) -> bool:
        """Return whether `get` knows a name, be it to say why its plugin cannot be used."""
        return name in self._names or any(broken.name == name for broken in self.quarantined)

    def get(self, name: str) -> Provider:
        """Return a provider by its name or alias.

        Raises:
            NotFound: There is none; the message names those that are here.
            PluginError: Its plugin is installed and cannot be used.
        """
        provider = self._names.get(name)
        if provider is None:
            for broken in self.quarantined:
                if broken.name == name:
                    origin = f" ({broken.distribution} {broken.version})" if broken.distribution else ""
                    raise PluginError(f"The plugin of {name!r}{origin} is quarantined: {broken.reason}.", provider=name)
            known = ", ".join(self.providers) or "none"
            raise NotFound(
                f"There is no provider {name[:100]!r} here. Providers: {known}.",
                code="provider_not_found",
                param="provider",
            )
        return provider

    def quarantine(self, provider_id: str, reason: str) -> None:
        """Stop calling a provider. The others answer on."""
        provider = self.providers[provider_id]
        if provider.quarantined is None:
            provider.set_aside(reason)
            log.error("plugin quarantined", provider=provider_id, reason=reason)
            distribution, version = self._origins.get(provider_id, (None, None))
            self.quarantined.append(
                QuarantinedPlugin(name=provider_id, distribution=distribution, version=version, reason=reason)
            )

    def fresh_keys(self, config: Config, timeout: float) -> FreshRegistry:
        """Read and judge every provider's keys in a configuration that was read anew. None is used yet.

        Args:
            config: The configuration.
            timeout: Seconds that all have, side by side: one whose file or plugin hangs does not hold the others up.
        """
        readings = {
            provider.id: Isolated(
                partial(_fresh, provider, config),
                f"reading and judging the keys of {provider.id}",
                "look at the files of the keys, and at what judges them",
            ).start()
            for provider in self.providers.values()
            if provider.quarantined is None
        }
        fresh: dict[str, FreshKeys] = {}
        problems: list[str] = []
        for name, reading in readings.items():
            reading.wait(timeout)
            if isinstance(reading.result, FreshKeys):
                fresh[name] = reading.result
            elif reading.fault is not None:
                problems.append(reading.fault)
            else:
                problems += reading.result or ()
        return FreshRegistry(fresh, problems)

    async def start(self) -> None:
        """Begin to watch for plugins that block the event loop."""
        self._watchdog.start()

    async def close(self) -> None:
        """Stop watching."""
        self._watchdog.stop()


def _fresh(provider: Provider, config: Config) -> FreshKeys | Sequence[str]:
    """Return the keys that a provider has in a configuration, or why it has none."""
    name = None if provider.id == provider.info.name else provider.id
    try:
        keys = config.provider(provider.info, type(provider.settings), name).keys
        return FreshKeys(provider, keys, [provider.validate_key(key) for key in keys])
    except ConfigError as error:
        return error.problems
    except PluginError as error:
        return [error.message]


def names_of(provider: Provider) -> tuple[str, ...]:
    """Return the id of a provider and its aliases; a named server has no aliases."""
    return (provider.id, *provider.info.aliases) if provider.id == provider.info.name else (provider.id,)
