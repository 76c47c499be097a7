"""What a call cost."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from orchestrator_core.config.settings import PriceEntry
from orchestrator_core.provider_api import NO_DETAILS, ModelPrice, ProviderInfo, Usage
from orchestrator_core.telemetry.price_tables import table

MILLION = 1_000_000

_OWN_PRICES: Mapping[str, str] = {
    "input_audio_tokens": "input_audio_mtok",
    "cached_audio_tokens": "cache_audio_read_mtok",
    "output_audio_tokens": "output_audio_mtok",
    "output_image_tokens": "output_image_mtok",
    "cache_write_1h_tokens": "cache_write_1h_mtok",
    "web_searches": "web_searches_kcount",
}
"""Counts of `UsageDetails` that have a price of their own, and its name in the bundled tables."""

_own_counts = attrgetter(*_OWN_PRICES)

_PROBE = 1_000
"""Tokens, fewer than any tier of a price begins with."""

_TYPICAL = Usage(input_tokens=3 * _PROBE, output_tokens=_PROBE)

_KEPT = 512
"""Models of which prices are remembered: callers choose the names."""


class Price(NamedTuple):
    """What a call cost.

    Attributes:
        usd: US dollars.
        version: The price table, so that the sum can be computed again: its name and version, or the prices.
    """

    usd: float
    version: str


class _Rates(NamedTuple):
    """What a token of a model costs by the bundled tables, US dollars, for a while.

    Attributes:
        input: Input that was neither read from nor written to a cache.
        cached: Input read from the cache.
        written: Input written to the cache.
        output: Output, reasoning among it.
        below: The input tokens from which the tables have to be asked again.
    """

    input: float
    cached: float
    written: float
    output: float
    below: float


class Prices:
    """Everything that is known about prices: the operator's table first, then a plugin's own, then the bundled ones."""

    def __init__(self, configured: Mapping[str, PriceEntry] | None = None) -> None:
        """Start with the operator's prices, by `provider/model`; `*` stands for anything."""
        self._configured = configured or {}
        self._entry = lru_cache(maxsize=_KEPT)(self._find_entry)

    def price(
        self, provider_id: str, info: ProviderInfo, model: str, usage: Usage, *, asked: str | None = None
    ) -> Price | None:
        """Return what a call cost; None where the price is unknown, never 0.

        Args:
            provider_id: The provider instance.
            info: What the provider says about itself: its own prices, and `price_id`, its name in the bundled tables.
            model: The model that answered, as the provider names it; dated names are known too.
            usage: The tokens. Reasoning is billed as output.
            asked: The model that was asked, whose price holds where the one that answered is not known.
        """
        if usage.details.unpriced is not None:
            return None
        for name in _names(model, asked):
            price = self._price(provider_id, info, name, usage)
            if price is not None:
                return price
        return None

    def _price(self, provider_id: str, info: ProviderInfo, model: str, usage: Usage) -> Price | None:
        entry = self._entry(f"{provider_id}/{model}") if self._configured else None
        if entry is not None:
            # The operator's price is for every token, of sound and images too. Searches are none.
            return None if usage.details.web_searches else Price(_cost(entry, usage), f"configured {_spelt(entry)}")
        for own in info.prices:
            if re.fullmatch(own.models, model) and (own.up_to is None or usage.total_input <= own.up_to):
                # A plugin's list has one price for text: what else was counted has another one.
                return Price(_cost(own, usage), f"{own.source} {own.as_of}") if _is_plain(usage) else None
        return _bundled(info.price_id, model, usage) if info.price_id is not None else None

    def typical(self, provider_id: str, info: ProviderInfo, model: str) -> float | None:
        """Return the US dollars of a typical call, to compare models by; None where the price is unknown.

        Such a call has three times as many tokens of input as of output.
        """
        price = self.price(provider_id, info, model, _TYPICAL)
        return None if price is None else price.usd

    def _find_entry(self, name: str) -> PriceEntry | None:
        return next((entry for pattern, entry in self._configured.items() if fnmatchcase(name, pattern)), None)

    def window(self, info: ProviderInfo, model: str) -> int | None:
        """Return the context window of a model in the bundled tables, in tokens; None where they do not tell."""
        return _bundled_window(info.price_id, model) if info.price_id is not None else None

    def draws(self, info: ProviderInfo, model: str) -> bool:
        """Return whether the pictures of a model have a price of their own in the bundled tables.

        Such a model may make some without being asked to.
        """
        return info.price_id is not None and any(_bundled_draws(info.price_id, name) for name in _names(model))


@lru_cache(maxsize=512)
def _bundled_window(price_id: str, model: str) -> int | None:
    try:
        _, found = table(price_id).find_provider_model(model, None, price_id, None)
    except LookupError:
        return None
    return found.context_window


@lru_cache(maxsize=_KEPT)
def _bundled_draws(price_id: str, model: str) -> bool:
    try:
        _, found = table(price_id).find_provider_model(model, None, price_id, None)
    except LookupError:
        return False
    return found.get_prices(datetime.now(UTC)).output_image_mtok is not None


def _bundled(price_id: str, model: str, usage: Usage) -> Price | None:
    """Return a price of the tables: text by rates that are remembered for a minute, all else calculated."""
    if _is_plain(usage):
        rates = _rates(price_id, model, int(time.time() // 60))
        if rates is None:
            return None
        if usage.total_input < rates.below:
            dollars = (
                usage.input_tokens * rates.input
                + usage.cached_input_tokens * rates.cached
                + usage.cache_write_tokens * rates.written
                + usage.total_output * rates.output
            )
            return Price(dollars, _table())
    return _calculated(price_id, model, usage)


@lru_cache(maxsize=_KEPT)
def _rates(price_id: str, model: str, minute: int) -> _Rates | None:  # noqa: ARG001 - vendors have prices by time of day
    """Return what a model's tokens cost within a minute; None where no table knows it."""
    kinds = (
        Usage(input_tokens=_PROBE),
        Usage(cached_input_tokens=_PROBE),
        Usage(cache_write_tokens=_PROBE),
        Usage(output_tokens=_PROBE),
    )
    found = [_calculated(price_id, model, usage) for usage in kinds]
    costs = [price.usd / _PROBE for price in found if price is not None]
    if not costs:
        return None
    if len(costs) < len(kinds):
        return _Rates(0, 0, 0, 0, 0)
    from genai_prices.types import TieredPrices  # noqa: PLC0415 - as in _calculated

    _, known = table(price_id).find_provider_model(model, None, price_id, None)
    prices = vars(known.get_prices(datetime.now(UTC)))
    tiers = [tier.start for price in prices.values() if isinstance(price, TieredPrices) for tier in price.tiers]
    # A price for each request is no price of tokens.
    below = 0.0 if prices.get("requests_kcount") is not None else min(tiers, default=math.inf)
    text, cached, written, output = costs
    return _Rates(text, cached, written, output, below)


@lru_cache(maxsize=1)
def _table() -> str:
    import genai_prices  # noqa: PLC0415 - as in _calculated

    return f"genai-prices {genai_prices.__version__}"


def _calculated(price_id: str, model: str, usage: Usage) -> Price | None:
    prices = table(price_id)
    import genai_prices  # noqa: PLC0415 - only where a price is asked, and after `table`, which spares it an import

    details = usage.details
    counts = {
        "input_tokens": usage.total_input,
        "cache_read_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "output_tokens": usage.total_output,
        "input_audio_tokens": details.input_audio_tokens,
        "cache_audio_read_tokens": details.cached_audio_tokens,
        "cache_audio_write_tokens": 0,
        "output_audio_tokens": details.output_audio_tokens,
        "output_image_tokens": details.output_image_tokens,
        "cache_write_1h_tokens": details.cache_write_1h_tokens,
        "web_searches": details.web_searches,
    }
    try:
        found = prices.calc(genai_prices.Usage(**counts), model, price_id, None, None)
    except LookupError:
        return None
    except ValueError:  # counts that contradict each other, such as more sound than input
        return None
    # Where the table has no price of its own for a count, it counts it as text, which costs a fraction.
    if any(getattr(details, name) and getattr(found.model_price, own) is None for name, own in _OWN_PRICES.items()):
        return None
    return Price(float(found.total_price), _table())


@lru_cache(maxsize=_KEPT)
def _names(*models: str | None) -> Sequence[str]:
    """Return the names by which a price is looked for: also without the collection of `models/gemini-3.8-flash`."""
    return [*dict.fromkeys(spelt for name in models if name for spelt in (name, name.removeprefix("models/")))]


def _is_plain(usage: Usage) -> bool:
    """Say whether nothing of the usage has a price of its own."""
    return usage.details is NO_DETAILS or not any(_own_counts(usage.details))


def _cost(price: PriceEntry | ModelPrice, usage: Usage) -> float:
    cached = price.input if price.cached_input is None else price.cached_input
    written = price.input if price.cache_write is None else price.cache_write
    dollars = (
        usage.input_tokens * price.input
        + usage.cached_input_tokens * cached
        + usage.cache_write_tokens * written
        + usage.total_output * price.output
    )
    return dollars / MILLION


def _spelt(entry: PriceEntry) -> str:
    return " ".join(f"{name}={value:g}" for name, value in entry.model_dump(exclude_none=True).items())
