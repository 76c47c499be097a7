"""Tables that compare the providers of vendors, from their cards and the prices that bills are computed with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from provider_table import context_window, price_source, prices_of, provider_cards, served, shown

from orchestrator_core.provider_api import Capability, ModelInfo, ProviderInfo
from orchestrator_core.telemetry.cost import Prices

VENDORS = ("openai", "anthropic", "gemini", "mistral", "grok", "qwen", "deepseek", "kimi")
"""The order in which they are shown."""

TYPICAL_TOKENS = 4_000
"""What `Prices.typical` has the price of: three parts of input and one of output."""


def capability_lines() -> Iterator[str]:
    """Make a row for each capability, and a column for each provider."""
    vendors = _vendors()
    yield f"| | {' | '.join(f'[{info.name}](../how-to/providers/{info.name}.md)' for info in vendors)} |"
    yield f"|---|{':-:|' * len(vendors)}"
    for capability in get_args(Capability):
        marks = ["✓" if capability in info.capabilities else "" for info in vendors]
        if any(marks):
            yield f"| `{capability}` | {' | '.join(marks)} |"


def cost_lines() -> Iterator[str]:
    """Make a row for each chat model, the cheapest typical call first, and models without a price last."""
    yield from (
        "| Model | Input | Cached input | Output | A thousand typical calls |",
        "|---|--:|--:|--:|--:|",
    )
    found = [(info, model, Prices().typical(info.name, info, model.id)) for info, model in _chat_models()]
    for info, model, typical in sorted(found, key=lambda each: (each[2] is None, each[2] or 0.0)):
        prices = " | ".join(shown(price) for price in prices_of(info, model.id))
        total = "-" if typical is None else f"{typical * 1_000 * 1_000 / TYPICAL_TOKENS:.2f}"
        yield f"| `{info.name}/{model.id}` | {prices} | {total} |"
    sources = sorted({source for info, model, _ in found if (source := price_source(info, model.id))})
    yield from ("", f"Prices are from {' and '.join(sources)}.")


def context_lines() -> Iterator[str]:
    """Make a row for each chat model with what it takes, the longest first, and unknown ones last."""
    yield from ("| Model | Context window, tokens | Longest answer, tokens |", "|---|--:|--:|")
    found = [(info, model, context_window(info, model)) for info, model in _chat_models()]
    for info, model, window in sorted(found, key=lambda each: -(each[2] or 0)):
        longest = model.max_output_tokens
        yield (
            f"| `{info.name}/{model.id}` | {f'{window:,}' if window else '-'} | {f'{longest:,}' if longest else '-'} |"
        )


def _vendors() -> Sequence[ProviderInfo]:
    cards = {cls.info.name: cls.info for _, cls in provider_cards()}
    return [cards[name] for name in VENDORS]


def _chat_models() -> Iterator[tuple[ProviderInfo, ModelInfo]]:
    for info in _vendors():
        yield from ((info, model) for model in served(info) if "chat" in model.capabilities)
