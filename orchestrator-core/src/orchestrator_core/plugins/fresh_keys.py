"""Keys of a configuration that was read anew: judged, and not yet used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator_core.plugins.provider import Provider, usable_keys
from orchestrator_core.provider_api import KeyVerdict, ProviderInfo, ProviderSettings, Secret


@dataclass(frozen=True, slots=True)
class FreshKeys:
    """The fresh keys of one provider. To a check it looks like the provider that has them.

    Attributes:
        provider: The provider, with the keys that it has now.
        keys: The fresh ones.
        verdicts: What the form of each says.
    """

    provider: Provider
    keys: Sequence[Secret]
    verdicts: Sequence[KeyVerdict]

    @property
    def id(self) -> str:
        """The name of the provider."""
        return self.provider.id

    @property
    def info(self) -> ProviderInfo:
        """What the provider says about itself."""
        return self.provider.info

    @property
    def settings(self) -> ProviderSettings:
        """What the operator set."""
        return self.provider.settings

    @property
    def configured(self) -> bool:
        """Whether the provider could be called with these keys."""
        return bool(usable_keys(self.keys, self.verdicts)) or not self.info.requires_key

    @property
    def flaws(self) -> Sequence[str]:
        """What is wrong with the keys, without any of them."""
        return [f"{found.masked}: {found.reason or found.status}" for found in self.verdicts if not found.valid]

    def use(self) -> None:
        """Give them to the provider, in place of those that it has."""
        self.provider.use_keys(self.keys, self.verdicts)


@dataclass(frozen=True, slots=True)
class FreshRegistry:
    """The fresh keys of all providers.

    Attributes:
        providers: By name.
        problems: Why the keys of some could not be read or judged; those providers keep what they have.
    """

    providers: Mapping[str, FreshKeys]
    problems: Sequence[str]
