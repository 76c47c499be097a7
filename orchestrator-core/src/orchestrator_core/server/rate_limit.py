"""The headers that say how the limits of requests stand (draft-ietf-httpapi-ratelimit-headers, version 10)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator_core.resilience.limits import WINDOW, Quota

_WINDOW: Final = math.ceil(WINDOW)


def rate_limit_headers(quotas: Sequence[Quota]) -> Mapping[str, str]:
    """Return `RateLimit-Policy`, what the limits are, and `RateLimit`, how they stand, each limit by its name.

    Args:
        quotas: The limits that a request was counted by.
    """
    return {
        "RateLimit-Policy": ", ".join([f'"{quota.scope}";q={quota.limit};w={_WINDOW}' for quota in quotas]),
        "RateLimit": ", ".join([f'"{quota.scope}";r={quota.remaining};t={math.ceil(quota.reset)}' for quota in quotas]),
    }
