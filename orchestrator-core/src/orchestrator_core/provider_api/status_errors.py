"""From the status and the headers of a provider's answer to the tree of errors."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from orchestrator_core.provider_api.errors import (
    ProviderAuthFailed,
    ProviderBadResponse,
    ProviderError,
    ProviderFailed,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRedirect,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)

MAX_MESSAGE = 1000
"""Characters of a provider's own message that are shown to a client."""

MAX_RETRY_AFTER = 24 * 3600.0
"""Seconds; a longer `Retry-After` is taken for nonsense."""

REFUSALS = (400, 404, 409, 413, 422)
"""Statuses with which a provider refuses the request itself; their messages are shown to the client."""


def error_for_status(
    status: int,
    message: str,
    *,
    param: str | None = None,
    retry_after: float | None = None,
    upstream_type: str | None = None,
    upstream_code: str | None = None,
) -> ProviderError:
    """Map the HTTP status of a provider's answer to the tree, where its body says nothing more exact.

    Args:
        status: The status of the answer, not a 2xx.
        message: The provider's own message; it is shown for the statuses in `REFUSALS` and 429 only.
        param: The field that the provider blames.
        retry_after: Seconds, see `retry_after_seconds`.
        upstream_type: The provider's own class of the error.
        upstream_code: The provider's own code.
    """
    kind: type[ProviderError]
    shown = message[:MAX_MESSAGE]
    refined: int | None = None
    if status in REFUSALS:
        kind, refined = ProviderRefused, 400 if status == 409 else status
    elif status in (401, 403):
        kind, shown = ProviderAuthFailed, "The provider refused the credential. Check the provider's key."
    elif status == 402:
        kind, shown = ProviderQuotaExhausted, "The provider's account has no balance left."
    elif status == 429:
        kind = ProviderRateLimited
    elif status == 408:
        kind, shown = ProviderTimeout, "The provider timed out."
    elif status in (503, 529):
        kind, shown = ProviderUnavailable, f"The provider is not available (status {status})."
    elif 300 <= status < 400:
        kind, shown = ProviderRedirect, "The provider answered with a redirect, which is not followed."
    elif status >= 500:
        kind, shown = ProviderFailed, f"The provider failed (status {status})."
    elif 400 <= status < 500:
        kind, refined = ProviderRefused, 400
    else:
        kind, shown = ProviderBadResponse, f"The provider answered with the unexpected status {status}."
    return kind(
        shown or f"The provider answered with status {status}.",
        status=refined,
        param=param,
        retry_after=retry_after,
        upstream_status=status,
        upstream_type=upstream_type,
        upstream_code=upstream_code,
    )


def retry_after_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """Read how long a provider asks to wait.

    Args:
        headers: Response headers with lower-case names: `retry-after-ms`, or `retry-after` as seconds or an
            HTTP date (RFC 9110, 10.2.3).
        now: Seconds since the epoch, for dates.

    Returns:
        Seconds of the first header that is no nonsense: no number, negative, or more than `MAX_RETRY_AFTER`. None where
        there is none.
    """
    found = (_milliseconds(headers.get("retry-after-ms")), _seconds(headers.get("retry-after"), now))
    return next((each for each in found if each is not None and 0 <= each <= MAX_RETRY_AFTER), None)


def _milliseconds(raw: str | None) -> float | None:
    try:
        return None if raw is None else float(raw) / 1000
    except ValueError:
        return None


def _seconds(raw: str | None, now: float) -> float | None:
    raw = (raw or "").strip()
    try:
        if not raw or raw[0].isdigit() or raw[0] in "+-.":
            return float(raw) if raw else None
        return max(0.0, parsedate_to_datetime(raw).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
