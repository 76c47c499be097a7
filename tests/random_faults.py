"""Asks gateways for one random fault of a provider after the other, and counts what should never be."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import aiohttp

from orchestrator_core.provider_api import GatewayError, InternalError, PluginError
from provider_faults import KEY, MARGIN, Limits
from surfaces import CHAT, SURFACES, Read, Surface

LIMITS = Limits(first_event=0.6, idle=0.4, total=1.0)
HANGS_AFTER = 10.0
"""Seconds after which a client gives a request up that should have ended within the deadline."""


def _codes(kind: type[GatewayError]) -> Iterator[str]:
    yield kind.code
    for narrower in kind.__subclasses__():
        yield from _codes(narrower)


CLASSIFIED = frozenset(_codes(GatewayError)) - {GatewayError.code, InternalError.code, PluginError.code}


@dataclass
class Tally:
    """What came of it.

    Attributes:
        seconds: How long each request took.
        became: How often each status and code came.
        unclassified: Errors that are the gateway's own fault, or in no convention.
        unended: Streams without exactly one end, or with something after it.
        hung: Requests that did not end.
        late: Requests that ended later than the deadline and a margin.
    """

    seconds: list[float] = field(default_factory=list)
    became: Counter[str] = field(default_factory=Counter)
    unclassified: list[str] = field(default_factory=list)
    unended: list[str] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    @property
    def faults(self) -> Sequence[str]:
        """All that must not be."""
        return [*self.unclassified, *self.unended, *self.hung, *self.late]


class RandomFaults:
    """A crowd of clients, each of which asks for the next random fault."""

    def __init__(self, http: aiohttp.ClientSession, urls: Sequence[str], names: Sequence[str], seed: int) -> None:
        """Prepare.

        Args:
            http: The clients.
            urls: Where the gateways are.
            names: The faults.
            seed: Chooses.
        """
        self._http = http
        self._urls = urls
        self._names = sorted(names)
        self._chance = random.Random(seed)
        self.tally = Tally()

    async def run(self, requests: int, at_once: int, told: Callable[[Tally], None] = lambda tally: None) -> Tally:
        """Ask so often, so many at a time."""
        left = iter(range(requests))

        async def ask_on() -> None:
            for _ in left:
                await self._ask()
                told(self.tally)

        await asyncio.gather(*(ask_on() for _ in range(at_once)))
        return self.tally

    async def _ask(self) -> None:
        surface, name = self._chance.choice(SURFACES), self._chance.choice(self._names)
        url, stream = self._chance.choice(self._urls), self._chance.random() < 0.5
        path, body = surface.request("openai", f"fault-{name}", stream=stream)
        asked = f"{name}, {'stream' if stream else 'whole'}, {surface.name}"
        began = time.monotonic()
        try:
            async with asyncio.timeout(HANGS_AFTER), self._http.post(url + path, json=body) as reply:
                said = await reply.read()
        except TimeoutError:
            self.tally.hung.append(f"hangs: {asked}")
            return
        except aiohttp.ClientError as error:
            self.tally.unended.append(f"cut off: {asked}: {error!r}")
            return
        seconds = time.monotonic() - began
        self.tally.seconds.append(seconds)
        if seconds > LIMITS.total + MARGIN:
            self.tally.late.append(f"late: {asked}: {seconds:.2f} s")
        self._judge(surface, reply, said, asked)

    def _judge(self, surface: Surface, reply: aiohttp.ClientResponse, said: bytes, asked: str) -> None:
        try:
            read = surface.read(reply.content_type, said)
        except (ValueError, LookupError) as error:
            self.tally.unclassified.append(f"unreadable: {asked}: {reply.status} {error}")
            return
        code = read.code if surface.has_codes else "in Anthropic's words"
        self.tally.became[f"{reply.status} {code}" if read.failed else "complete"] += 1
        if read.endings != 1 or not read.last:
            self.tally.unended.append(f"{read.endings} endings: {asked}")
        if KEY.encode() in said:
            self.tally.unclassified.append(f"shows the key: {asked}")
        if not _is_classified(surface, reply.status, read):
            self.tally.unclassified.append(f"unclassified: {asked}: {reply.status} {read.code} {said[:200]!r}")


def _is_classified(surface: Surface, status: int, read: Read) -> bool:
    if not read.failed:
        return status == 200
    if status == 500 or not surface.has_codes:
        return status != 500
    refused_in_own_words = surface is CHAT and status in (400, 404)
    return read.code in CLASSIFIED or refused_in_own_words
