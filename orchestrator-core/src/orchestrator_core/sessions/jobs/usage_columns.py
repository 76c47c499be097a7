"""The usage of one call as it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pydantic import TypeAdapter

from orchestrator_core.provider_api import Usage, UsageDetails
from orchestrator_core.sessions.bills import countable

MAX_REASON: Final = 256
"""Characters that are kept of why a price is unknown."""

_DETAILS: TypeAdapter[UsageDetails] = TypeAdapter(UsageDetails)
_NONE: Final = UsageDetails()


def fit_usage(usage: Usage | None, redact: Callable[[str], str]) -> Usage | None:
    """Return a usage that is fit to be written: its counts, and its only text, which a provider may have chosen."""
    if usage is None:
        return None
    usage = countable(usage)
    if usage.details.unpriced is None:
        return usage
    reason = redact(usage.details.unpriced)[:MAX_REASON]
    return replace(usage, details=replace(usage.details, unpriced=reason))


def usage_columns(usage: Usage | None) -> tuple[int | str | None, ...]:
    """Return the five buckets and what of them has a price of its own, all NULL where nothing is known."""
    if usage is None:
        return (None,) * 6
    details = usage.details
    return (
        usage.input_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        None if details == _NONE else _DETAILS.dump_json(details, exclude_defaults=True).decode(),
    )


def read_details(written: str | None) -> UsageDetails:
    """Return what has a price of its own; nothing, where nothing was written."""
    return _NONE if written is None else _DETAILS.validate_json(written)
