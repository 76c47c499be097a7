"""What the checks look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator_core.config import Config, Settings
from orchestrator_core.provider_api import KeyVerdict, ProviderInfo, ProviderSettings, Secret
from orchestrator_core.security.startup.runtime import Runtime


class StartingProvider(Protocol):
    """What is looked at of a provider: `plugins.Provider`."""

    @property
    def id(self) -> str:
        """The name of the instance."""
        ...

    @property
    def info(self) -> ProviderInfo:
        """What it says about itself."""
        ...

    @property
    def settings(self) -> ProviderSettings:
        """What the operator set."""
        ...

    @property
    def keys(self) -> Sequence[Secret]:
        """The server's keys for it."""
        ...

    @property
    def verdicts(self) -> Sequence[KeyVerdict]:
        """What was found of each of its keys."""
        ...

    @property
    def configured(self) -> bool:
        """Whether it has a usable key, or needs none."""
        ...


class SetAside(Protocol):
    """What is looked at of a plugin that is installed and not used: `plugins.QuarantinedPlugin`."""

    @property
    def distribution(self) -> str | None:
        """The distribution that ships it."""
        ...

    @property
    def allowed(self) -> bool:
        """Whether the operator lets it be loaded."""
        ...


class StartingRegistry(Protocol):
    """What is looked at of the registry: `plugins.Registry`."""

    @property
    def providers(self) -> Mapping[str, StartingProvider]:
        """The instances by name."""
        ...

    @property
    def quarantined(self) -> Sequence[SetAside]:
        """What is installed and not used."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """A gateway that is about to start.

    Attributes:
        config: Its configuration.
        registry: The providers, with their keys judged; None where they could not be made.
        runtime: The process.
        stored_keys: Whether the store has a client key that is taken; None where it could not be asked.
    """

    config: Config
    registry: StartingRegistry | None = None
    runtime: Runtime = field(default_factory=Runtime)
    stored_keys: bool | None = False

    @property
    def settings(self) -> Settings:
        """The settings of the gateway itself."""
        return self.config.settings

    @property
    def providers(self) -> Sequence[StartingProvider]:
        """The instances; none where they could not be made."""
        return list(self.registry.providers.values()) if self.registry else []
