"""What the cards of the installed providers say: the table of all of them, and what a page about one of them shows."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache

from orchestrator_core.plugins.loading import find_plugins
from orchestrator_core.provider_api import ModelInfo, ProviderHooks, ProviderInfo, Usage
from orchestrator_core.telemetry.cost import Prices

SAMPLE = 1_000
"""Tokens by which prices are asked for: fewer than any tier of a price begins with."""


def provider_lines() -> Iterator[str]:
    """Make one table of all providers.

    Raises:
        RuntimeError: A plugin does not load.
    """
    yield from (
        "| Provider | Package | Capabilities | Key | Base URL | Default models |",
        "|---|---|---|---|---|---|",
    )
    for distribution, cls in provider_cards():
        info = cls.info
        yield (
            f"| [{info.title}](../how-to/providers/{info.name}.md) | `{distribution}` | {', '.join(info.capabilities)} "
            f"| {_keys(info)} | {_base_url(cls)} | {_defaults(info)} |"
        )


def card_lines(name: str) -> Iterator[str]:
    """Make the table that a provider's page begins with."""
    distribution, cls = _card(name)
    info = cls.info
    yield from ("| | |", "|---|---|", f"| Package | `{distribution}` |", f"| Name | {_names(info)} |")
    yield f"| Capabilities | {', '.join(info.capabilities)} |"
    yield f"| Key | {_keys(info)} |"
    if info.key_formats:
        yield f"| Its form | {'; or '.join(form.description for form in info.key_formats)} |"
    yield f"| Base URL | {_base_url(cls)} |"
    yield f"| Models where none is named | {_defaults(info)} |"


def model_lines(name: str) -> Iterator[str]:
    """Make the table of a provider's models, and say where the prices are from."""
    info = _card(name)[1].info
    yield from (
        "| Model | Context | Input | Cached input | Output | Capabilities |",
        "|---|--:|--:|--:|--:|---|",
    )
    for model in served(info):
        prices = " | ".join(shown(price) for price in prices_of(info, model.id))
        window = context_window(info, model)
        yield (
            f"| `{model.id}` | {f'{window:,}' if window else '-'} | {prices} "
            f"| {', '.join(model.capabilities) or '-'}{_until(model)} |"
        )
    sources = sorted({source for model in served(info) if (source := price_source(info, model.id))})
    yield from ("", "Tokens of context; US dollars for a million tokens, without tiers for long calls.")
    yield f"Prices are from {' and '.join(sources)}." if sources else "No prices are known."
    gone = [model for model in info.models if model not in served(info)]
    if gone:
        yield from ("", "| No longer served | Since | Replacement |", "|---|---|---|")
        yield from (f"| `{model.id}` | {model.retired_on or '-'} | `{model.replacement}` |" for model in gone)


def call_lines(name: str) -> Iterator[str]:
    """Make the first calls of a provider, with every kind of client."""
    info = _card(name)[1].info
    model, json = f"{info.name}/{info.default_model}", "-H 'content-type: application/json'"
    yield "With curl, by OpenAI's protocol, and in a conversation that the gateway keeps:"
    yield from _code(
        "shell",
        f"curl -s http://127.0.0.1:8000/v1/chat/completions {json} -d '{{",
        f'  "model": "{model}",',
        '  "messages": [{"role": "user", "content": "Hello!"}]',
        "}'",
        f"curl -s http://127.0.0.1:8000/api/orchestrate {json} \\",
        f"""  -d '{{"message": "Hello!", "agent_config": {{"provider": "{info.name}"}}}}'""",
    )
    yield "With [OpenAI's SDK](../openai-sdk.md):"
    yield from _code(
        "python",
        "from openai import OpenAI",
        "",
        'client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="unused")',
        "answer = client.chat.completions.create(",
        f'    model="{model}",',
        '    messages=[{"role": "user", "content": "Hello!"}],',
        ")",
        "print(answer.choices[0].message.content)",
    )
    yield "With [Anthropic's SDK](../anthropic-sdk.md):"
    yield from _code(
        "python",
        "from anthropic import Anthropic",
        "",
        'client = Anthropic(base_url="http://127.0.0.1:8000", api_key="unused")',
        "message = client.messages.create(",
        f'    model="{model}",',
        "    max_tokens=1024,",
        '    messages=[{"role": "user", "content": "Hello!"}],',
        ")",
        "print(message.content)",
    )
    yield "In the terminal, without a gateway, and without keeping what was said:"
    yield from _code(
        "shell", f'echo "Hello!" | ORCHESTRATOR_DATABASE_URL=memory: orchestrator chat --provider {info.name}'
    )
    if info.default_embedding_model:
        yield "Embeddings:"
        yield from _code(
            "shell",
            f"curl -s http://127.0.0.1:8000/v1/embeddings {json} \\",
            f"""  -d '{{"model": "{info.name}/{info.default_embedding_model}", "input": ["Hello!"]}}'""",
        )


def provider_cards() -> Sequence[tuple[str, type[ProviderHooks]]]:
    """Return the installed providers with their distributions; one that does not load fails the build."""
    found = find_plugins(timeout=30.0)
    broken = [f"{plugin.name}: {plugin.fault}" for plugin in found if plugin.cls is None]
    if broken:
        raise RuntimeError(f"plugins that do not load: {broken}")
    return [(plugin.distribution, plugin.cls) for plugin in found if plugin.cls is not None]


def served(info: ProviderInfo) -> list[ModelInfo]:
    """Return the models that a vendor serves: all but those that have gone, or whose replacement alone is known."""
    return [model for model in info.models if model.replacement is None or _leaves_later(model)]


def prices_of(info: ProviderInfo, model: str) -> tuple[float | None, float | None, float | None]:
    """Return the US dollars for a million tokens of input, of input from the cache, and of output."""
    kinds = (Usage(input_tokens=SAMPLE), Usage(cached_input_tokens=SAMPLE), Usage(output_tokens=SAMPLE))
    found = [Prices().price(info.name, info, model, usage) for usage in kinds]
    fresh, cached, output = (price and price.usd * 1_000_000 / SAMPLE for price in found)
    return fresh, cached, output


def price_source(info: ProviderInfo, model: str) -> str | None:
    """Return where the price of a model is from; None where there is none."""
    price = Prices().price(info.name, info, model, Usage(input_tokens=SAMPLE))
    return price and (f"<{price.version.replace(' ', '> of ')}" if "://" in price.version else price.version)


def context_window(info: ProviderInfo, model: ModelInfo) -> int | None:
    """Return the context window of a model, in tokens, as far as the plugin or the price tables know it."""
    return model.context_window or Prices().window(info, model.id)


def shown(price: float | None) -> str:
    """Return a price as a table has it."""
    return "-" if price is None else f"{price:.4f}".rstrip("0").rstrip(".")


@lru_cache(maxsize=1)
def _cards() -> dict[str, tuple[str, type[ProviderHooks]]]:
    return {cls.info.name: (distribution, cls) for distribution, cls in provider_cards()}


def _card(name: str) -> tuple[str, type[ProviderHooks]]:
    return _cards()[name]


def _code(language: str, *lines: str) -> Iterator[str]:
    yield from ("", f"```{language}", *lines, "```", "")


def _leaves_later(model: ModelInfo) -> bool:
    """Say whether the vendor names a day for a model that it still describes."""
    return model.retired_on is not None and bool(model.capabilities)


def _until(model: ModelInfo) -> str:
    return f"; until {model.retired_on}, then `{model.replacement}`" if model.retired_on else ""


def _names(info: ProviderInfo) -> str:
    names = ", ".join(f"`{name}`" for name in (info.name, *info.aliases))
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
