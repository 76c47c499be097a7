"""The tables of genai-prices, as much of them as is asked for: all of them would take 4 MiB."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import Provider

_loaded: dict[str, DataSnapshot] = {}
"""The tables that are kept, by the provider's id in them."""


def load_tables(price_ids: Iterable[str]) -> None:
    """Load the tables of some providers, so that their first price does not hold the event loop for 30 milliseconds.

    Args:
        price_ids: The providers' ids in the tables. One that is loaded already, or that no table has, costs nothing.
    """
    missing = {price_id for price_id in price_ids if price_id not in _loaded}
    if not missing:
        return
    with _unfetched():
        from genai_prices.data_snapshot import DataSnapshot  # noqa: PLC0415 - only where a price is asked

    providers = _read(lambda: False)
    bundled = DataSnapshot(providers, from_auto_update=False)
    parts = {price_id: _part(bundled, price_id) for price_id in missing}
    needed = {name for part in parts.values() for name in part}
    wanted = iter([provider.id in needed for provider in providers for _ in provider.models])
    found = {provider.id: provider for provider in _read(lambda: next(wanted)) if provider.id in needed}
    for price_id, part in parts.items():
        _loaded[price_id] = DataSnapshot([found[name] for name in part if name in found], from_auto_update=False)


def table(price_id: str) -> DataSnapshot:
    """Return the table of a provider; it is loaded where it is not.

    Args:
        price_id: The provider's id in the tables. Where they have none of it, the table has no models.
    """
    if price_id not in _loaded:
        load_tables([price_id])
    return _loaded[price_id]


def _part(bundled: DataSnapshot, price_id: str) -> Sequence[str]:
    """Return the ids of the providers by which a price is found: the one, and all others whose models it offers."""
    try:
        found = bundled.find_provider(None, price_id, None)
    except LookupError:
        return ()
    return (found.id, *(found.fallback_model_providers or ()))


def _read(wanted: Callable[[], bool]) -> list[Provider]:
    """Read the bundled tables.

    One expression makes all of their 2,300 models, and memory for so many at once is hardly ever given back to the
    system. So they are read twice: first without any model, to see whose they are.

    Args:
        wanted: Says of one model after the other whether it is to be made; None stands for it where not.
    """
    from genai_prices import types  # noqa: PLC0415 - only where a price is asked

    whole = types.ModelInfo

    def model(**given: Any) -> Any:
        # The variants are prices of other tiers of service, which no price is asked for.
        return whole(**{**given, "price_variants": None}) if wanted() else None

    names = vars(types)
    names["ModelInfo"] = model
    try:
        providers: list[Provider] = _executed("genai_prices.data").providers
    finally:
        names["ModelInfo"] = whole
    return providers


def _executed(name: str) -> ModuleType:
    """Execute a module, and leave it to the caller: an import would keep it."""
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(name)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def _unfetched() -> Iterator[None]:
    """Import genai-prices without httpx2, by which it would fetch newer tables: 0.7 MiB for what nobody asks for."""
    absent = "httpx2" not in sys.modules
    if absent:
        sys.modules["httpx2"] = ModuleType("httpx2")
    try:
        yield
    finally:
        if absent:
            del sys.modules["httpx2"]
