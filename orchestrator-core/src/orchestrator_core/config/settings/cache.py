"""The settings of the cache of answers."""

from __future__ import annotations

from pydantic import Field

from orchestrator_core.config.settings.base import Count, Seconds, SettingsGroup


class CacheSettings(SettingsGroup):
    """Answers that are given again to a request that is the same."""

    cache_ttl: Seconds | None = Field(
        default=None,
        description="Seconds for which an answer is kept in the memory of the process and given again where a client "
        "of the same tenant asks exactly the same; without it none is.",
    )
    cache_max_bytes: Count = Field(
        default=64 * 2**20,
        description="Bytes of all answers that are kept; one of more than an eighth of that is not.",
    )
