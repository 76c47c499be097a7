"""What a provider says about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from orchestrator_core.provider_api.keys import KeyFormat

CONTRACT_VERSION = "1.1"
"""Major and minor of the contract. A plugin loads when its major is this one and its minor not above."""

CHOOSING_FIELDS: Final = (
    "models",
    "model_list",
    "route",
    "router",
    "fallbacks",
    "fallback_models",
    "context_window_fallbacks",
    "content_policy_fallbacks",
    "provider",
    "provider_options",
    "providerOptions",
    "custom_llm_provider",
    "preset",
    "plugins",
    "api_base",
    "base_url",
)
"""Fields by which servers that stand before others let a caller choose what answers, beside `model`."""

PRICING_FIELDS: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "service_tier": ("auto", "default", "standard", "standard_only", "on_demand"),
        "serviceTier": ("standard",),
        "speed": ("standard",),
        "inference_geo": ("global",),
        "search_parameters": (),
        "web_search_options": (),
        "enable_search": (),
    }
)
"""Fields that change a price in a way that no table knows, and the values that do not; false never does."""

FREE_TOOLS: Final = ("function", "custom")
"""Types of tools that the caller runs, and that cost nothing but their tokens."""

Capability = Literal[
    "chat",
    "completion",
    "function_calling",
    "vision",
    "reasoning",
    "long_context",
    "code_generation",
    "embeddings",
    "structured_output",
    "realtime_data",
    "chinese_language",
]
"""What a provider can do; what is declared works."""


@dataclass(frozen=True, slots=True)
class HeaderAuth:
    """A credential that travels in one header.

    Attributes:
        header: The header's name.
        scheme: What stands before the credential, such as `Bearer`.
    """

    header: str = "authorization"
    scheme: str | None = "Bearer"

    def __call__(self, credential: str) -> Mapping[str, str]:
        """Return the header for a credential."""
        return {self.header: f"{self.scheme} {credential}" if self.scheme else credential}


Auth: TypeAlias = Callable[[str], Mapping[str, str]]
"""Makes the headers that carry a credential. Only the upstream client calls it."""


class ModelInfo(BaseModel):
    """A model of a provider. Any other name is passed on too: no list decides what exists.

    Attributes:
        id: The name, as the provider gives it.
        description: For people.
        context_window: The most tokens of input and output together.
        max_output_tokens: The most tokens of an answer.
        capabilities: What the model can do.
        retired_on: When the vendor switched it off, or will.
        replacement: What the vendor recommends in its place.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    description: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: tuple[Capability, ...] = ()
    retired_on: date | None = None
    replacement: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrice:
    """What a model costs, in US dollars for a million tokens of text.

    A call that counted sound, images, caches kept for an hour or searches has no known price by it.

    Attributes:
        models: A regular expression that the whole model name matches.
        input: Input that was neither read from nor written to a cache.
        output: Output, reasoning among it.
        cached_input: Input read from the cache; None is the price of `input`.
        cache_write: Input written to the cache; None is the price of `input`.
        up_to: The most input tokens of a call for which this holds; None is any number.
        source: Where the vendor says so.
        as_of: When he said so.
    """

    models: str
    input: float
    output: float = 0.0
    cached_input: float | None = None
    cache_write: float | None = None
    up_to: int | None = None
    source: str
    as_of: date


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderInfo:
    """The card of a provider, on its class as `info`.

    Attributes:
        name: The name by which callers choose it, in `provider/model` and in paths.
        title: The name for people.
        capabilities: What it can do.
        contract_version: The version of the contract that the plugin was written for.
        default_model: The model where the caller and the operator name none.
        default_embedding_model: The same for embeddings.
        models: Models that are known without asking.
        aliases: Other names, such as `kimi_k2`.
        env_prefixes: Prefixes of its settings in the environment, such as `OPENAI` in `OPENAI_BASE_URL`; the
            first that is set counts. By default the name in upper case.
        key_env: Environment variables that hold its keys, in order of precedence; each may also end in `_FILE`.
            By default each prefix with `_API_KEY`.
        key_formats: The forms of its keys; none where any will do.
        foreign_keys: Regular expressions that mark another vendor's keys.
        requires_key: Whether a call without a credential is hopeless.
        auth: How the credential travels.
        named_servers: Whether the class serves any number of servers that the operator names, instead of one.
        embedded_default: Whether it answers where no other provider is usable (an offline stand-in).
        otel_name: `gen_ai.provider.name` of OpenTelemetry's conventions.
        price_id: The provider's id in price tables; None where there is no price.
        prices: Prices of its own, for what the tables do not know or have wrong; the first that fits counts.
        choosing_fields: Fields of a request, beside `model`, by which its caller could choose another model. A client
            that may use some models only, or has a budget in money, may not send them, in whatever case.
        pricing_fields: Fields that change the price in a way that no table knows, and the values of each that do not. A
            client with a budget in money may send no others.
        free_tools: Regular expressions that match the whole type of tools which cost nothing but tokens. A client with
            a budget in money may give the model no others: what a provider's search costs is known when it is over.
        dialects: Protocols whose `ChatRequest.native_options` it reads, such as `ANTHROPIC_MESSAGES`. For any other,
            core reports what only the client's protocol can say as dropped.
    """

    name: str
    title: str
    capabilities: Sequence[Capability]
    contract_version: str = CONTRACT_VERSION
    default_model: str | None = None
    default_embedding_model: str | None = None
    models: Sequence[ModelInfo] = ()
    aliases: Sequence[str] = ()
    env_prefixes: Sequence[str] = ()
    key_env: Sequence[str] = ()
    key_formats: Sequence[KeyFormat] = ()
    foreign_keys: Sequence[str] = ()
    requires_key: bool = True
    auth: Auth = field(default_factory=HeaderAuth)
    named_servers: bool = False
    embedded_default: bool = False
    otel_name: str | None = None
    price_id: str | None = None
    prices: Sequence[ModelPrice] = ()
    choosing_fields: Sequence[str] = CHOOSING_FIELDS
    pricing_fields: Mapping[str, Sequence[str]] = field(default_factory=lambda: PRICING_FIELDS)
    free_tools: Sequence[str] = FREE_TOOLS
    dialects: Sequence[str] = ()
