"""The misbehaving upstream of a program: the tests' own, or another one that runs already and has the same names.

Another one chooses by the model `fault-<name>@<tag>`, tells its counts at `/_stats` and its names at `/_behaviours`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from fake_upstreams.misbehaving import MisbehavingUpstream
from provider_faults import NAMES


class Upstream:
    """Where it is, and how often each behaviour was asked for.

    Attributes:
        url: Where.
        names: What it can do.
        own: The tests' own, where it is that.
    """

    def __init__(
        self, url: str, names: frozenset[str], http: aiohttp.ClientSession, own: MisbehavingUpstream | None
    ) -> None:
        self.url = url
        self.names = names
        self.own = own
        self._http = http

    async def calls(self, tagged: str) -> int:
        """Return how many calls a behaviour with its tag had."""
        if self.own is not None:
            return self.own.requests[tagged]
        return await self._told(f"fault-{tagged}")

    async def followed(self) -> int:
        """Return how often a redirect was followed."""
        return self.own.elsewhere if self.own is not None else await self._told("_elsewhere")

    async def _told(self, key: str) -> int:
        async with self._http.get(f"{self.url}/_stats") as reply:
            return int((await reply.json())["requests"].get(key, 0))


@asynccontextmanager
async def chosen_upstream(url: str | None, http: aiohttp.ClientSession, *, slow: float) -> AsyncIterator[Upstream]:
    """Use the upstream at an address, or else run the tests' own.

    Args:
        url: The address.
        http: Asks for its counts.
        slow: Seconds that slow behaviours of the tests' own wait.
    """
    if url is None:
        async with MisbehavingUpstream(slow=slow) as own:
            yield Upstream(own.url, NAMES, http, own)
        return
    async with http.get(f"{url}/_behaviours") as reply:
        names = frozenset(await reply.json())
    if unknown := names - NAMES:
        raise SystemExit(f"nothing is written down of {', '.join(sorted(unknown))}")
    yield Upstream(url, names, http, None)
