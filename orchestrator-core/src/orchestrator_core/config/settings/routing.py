"""The settings of providers: which are served, who answers, and at which price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from orchestrator_core.config.settings.aliases import AliasEntry, AliasName
from orchestrator_core.config.settings.base import Dollars, SettingsGroup
from orchestrator_core.config.settings.names import canonical_name

KeyCheck = Literal["strict", "warn"]


def _distributions(value: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(map(canonical_name, value))


def _priced(value: Mapping[str, PriceEntry]) -> Mapping[str, PriceEntry]:
    for models in value:
        provider, _, model = models.partition("/")
        if not provider or not model:
            raise ValueError("expected names of the form provider/model; * in a name stands for anything")
    return value


class ServerEntry(BaseModel):
    """A server that the operator names, for plugins that serve any number of them.

    Attributes:
        plugin: The plugin that speaks to it; None is the only one that serves named servers.
    """

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    plugin: str | None = None

    @property
    def values(self) -> Mapping[str, Any]:
        """The plugin's settings, not validated yet."""
        return self.model_extra or {}


class PriceEntry(BaseModel):
    """What models cost by the operator's own table, in US dollars for a million tokens.

    It is taken for the price of all tokens, also those of sound and images. Searches, which are billed each, have none.

    Attributes:
        input: Input that was neither read from nor written to a cache.
        output: Output, reasoning among it.
        cached_input: Input read from the cache; None is the price of `input`.
        cache_write: Input written to the cache; None is the price of `input`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    input: Dollars
    output: Dollars = 0.0
    cached_input: Dollars | None = None
    cache_write: Dollars | None = None


class RoutingSettings(SettingsGroup):
    """Who answers, and at which price."""

    providers: tuple[str, ...] | None = Field(
        default=None, description="The providers to serve; without it every installed one."
    )
    disabled_providers: tuple[str, ...] = Field(default=(), description="Installed providers that are not served.")
    allowed_plugins: Annotated[tuple[str, ...] | None, AfterValidator(_distributions)] = Field(
        default=None,
        description="The distributions whose plugins may be loaded, such as `orchestrator-openai`; without it all. No "
        "code of another one is run, and production does not start while one is installed.",
    )
    default_provider: str | None = Field(default=None, description="Who answers where a request names no provider.")
    default_model: str | None = Field(
        default=None,
        description="The model that answers where a request names neither provider nor model: `provider/model` or an "
        "alias.",
    )
    aliases: Mapping[AliasName, AliasEntry] = Field(
        default_factory=dict,
        description='Names for models, such as `{"fast": "openai/gpt-6-luna"}`, or for several: '
        '`{"fast": {"targets": ["openai/gpt-6-luna", "anthropic/claude-haiku-5-5"], "strategy": "weighted", "weights": '
        "[3, 1]}}`. The strategy is `ordered`, `weighted` or `cheapest`.",
    )
    fallbacks: tuple[str, ...] = Field(
        default=(),
        description="Who answers where a provider fails, in order: `provider`, `provider/model` or an alias.",
    )
    servers: Mapping[str, ServerEntry] = Field(
        default_factory=dict,
        description='Compatible servers by name, such as `{"ollama": {"base_url": "http://127.0.0.1:11434/v1"}}`.',
    )
    prices: Annotated[Mapping[str, PriceEntry], AfterValidator(_priced)] = Field(
        default_factory=dict,
        description="What models cost, before any other table: US dollars for a million tokens of `input`, `output`, "
        '`cached_input` and `cache_write`, such as `{"qwen/qwen3.8-*": {"input": 0.15, "output": 0.47}}`. They are '
        "taken for the prices of all tokens, also of sound, of images and of caches kept for an hour, where the other "
        "tables give no cost unless they have a price for these. Searches of the provider have no price by them.",
    )
    key_check: KeyCheck = Field(
        default="strict",
        description="Whether a key of a wrong form stops production, and is refused to callers who bring one, or is a "
        "warning (vendors change theirs).",
    )
