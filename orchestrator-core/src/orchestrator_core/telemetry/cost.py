"""What a call cost."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator_core.provider_api import ProviderInfo, Usage


@dataclass(frozen=True, slots=True)
class Price:
    """What a call cost.

    Attributes:
        usd: US dollars.
        version: The price table, so that the sum can be computed again: its name and version.
    """

    usd: float
    version: str


def price(info: ProviderInfo, model: str, usage: Usage) -> Price | None:
    """Return what a call cost by the bundled price tables; None where the price is unknown, never 0.

    Args:
        info: The provider; its `price_id` names it in the tables.
        model: The model that answered, as the provider names it; dated names are known too.
        usage: The tokens. Reasoning is billed as output.
    """
    if info.price_id is None:
        return None
    import genai_prices  # noqa: PLC0415 - its tables take more than 200 ms to load, so only where one is asked

    tokens = genai_prices.Usage(
        input_tokens=usage.total_input,
        cache_read_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.total_output,
    )
    try:
        found = genai_prices.calc_price(tokens, model, provider_id=info.price_id)
    except LookupError:
        return None
    return Price(float(found.total_price), f"genai-prices {genai_prices.__version__}")


def load_tables() -> None:
    """Load the price tables, in a thread at start, so that the first price does not hold the event loop."""
    price(_WARM_UP, "none", Usage())


_WARM_UP = ProviderInfo(name="none", title="None", capabilities=(), price_id="openai")
