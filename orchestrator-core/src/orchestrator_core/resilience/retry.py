"""Whether and when to ask once more."""

from __future__ import annotations

import random

from orchestrator_core.provider_api import Deadline, GatewayError

TRIES_PER_PROVIDER = 2
"""Calls to one provider within a request."""

TRIES_PER_REQUEST = 3
"""Calls to all providers within a request."""

BASE_DELAY = 0.5
"""Seconds; the ceiling of the first random delay."""

MAX_WAIT = 10.0
"""Seconds; a provider that asks for more is not asked again: the client is told how long to wait instead."""


def retry_delay(error: GatewayError, deadline: Deadline) -> float | None:
    """Return the seconds to wait before asking the same provider again.

    A provider that says how long to wait is believed; otherwise the delay is random between zero and `BASE_DELAY`
    (full jitter), so that callers who failed together do not come back together. A request has one retry, so that
    there is no second delay to be longer.

    Returns:
        The delay; None where the error is not worth a retry, or the delay is longer than `MAX_WAIT` or does not fit
        into the deadline.
    """
    if not error.retryable:
        return None
    delay = error.retry_after
    if delay is None:
        delay = random.uniform(0, BASE_DELAY)  # noqa: S311  # jitter is no secret
    return delay if delay <= MAX_WAIT and delay < deadline.remaining() else None
