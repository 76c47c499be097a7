"""Wrong credentials are counted over all processes. Against a real Redis."""

from __future__ import annotations

import pytest

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import RateLimited
from orchestrator_core.resilience.failed_authentications import FailedAuthentications
from redis_server import RedisServer, opened

ADDRESS = "203.0.113.7"


async def test_each_process_learns_of_the_limit_by_its_next_wrong_credential(redis_server: RedisServer) -> None:
    settings = Settings(max_failed_authentications=4)
    async with opened(redis_server.url) as (here, _), opened(redis_server.url) as (there, _):
        first, second = (FailedAuthentications(settings, state) for state in (here, there))
        for _ in range(2):
            await first.failed(ADDRESS)
            await second.failed(ADDRESS)
        first.check(ADDRESS, "a guess")
        for failures in (first, second):
            with pytest.raises(RateLimited):
                await failures.failed(ADDRESS)
            with pytest.raises(RateLimited) as caught:
                failures.check(ADDRESS, "the right one")
            assert caught.value.retry_after is not None
            assert 0 < caught.value.retry_after <= 60
        await first.failed("198.51.100.9")
