"""A thousand streams at once, of two events a second, for ten minutes: no error, and the gateway holds no more for it.

    python tests/evidence/long_streams.py --streams 1000 --minutes 10

Gateway, upstream and clients are processes of their own. A stream says `--words` words, give or take a half, one every
`--every` seconds; when it ends its client begins another one, so that there are always as many. Before all that,
`--short` streams of a few words fill what has a bound of its own, such as the database's cache of pages. After the
warm-up the gateway's memory is read every five seconds; its slope is that of the line with the least squares. It ends
with 1 where a stream is not whole, the slope is a MiB in ten minutes or more, or descriptors, connections or calls are
left when all streams have ended.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))

from fake_upstreams.ticking import running_upstream
from left_open import Held, look, look_when_quiet
from processes import GatewayProcess, running_gateways
from provider_faults import KEY
from surfaces import SURFACES, Surface

MIB = 1 << 20
BEGIN_EVERY = 0.05
"""Seconds from the begin of one client to that of the next, so that the start is no overload."""

SAMPLE_EVERY = 5.0
TEN_MINUTES = 600.0
BRIEF_AT_ONCE = 50


@dataclass
class Tally:
    """What came of it.

    Attributes:
        streams: Streams that were whole.
        events: Words that they said.
        samples: The gateway's memory, by the seconds since the warm-up.
        wrong: What must not be.
    """

    streams: int = 0
    events: int = 0
    samples: list[tuple[float, int]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def slope(self) -> float:
        """MiB in ten minutes."""
        return linear_regression(*zip(*self.samples, strict=True)).slope * TEN_MINUTES / MIB


async def stream_on(
    http: aiohttp.ClientSession, gateway: GatewayProcess, surface: Surface, words: int, end: float, tally: Tally
) -> None:
    """Read one stream after the other until it is time to end."""
    while time.monotonic() < end:
        asked = random.randrange(words // 2, words + words // 2)
        path, body = surface.request("openai", f"ticks-{asked}", stream=True)
        try:
            async with http.post(gateway.url + path, json=body) as reply:
                read = surface.read(reply.content_type, await reply.read())
        except (aiohttp.ClientError, ValueError) as error:
            tally.wrong.append(f"{surface.name}: {error!r}")
            return
        if read.failed or read.endings != 1 or read.text != "tick " * asked:
            tally.wrong.append(f"{surface.name}: {reply.status} {read.code} {read.text[-100:]!r}, {asked} words")
            return
        tally.streams += 1
        tally.events += asked


async def stream_briefly(
    http: aiohttp.ClientSession, gateway: GatewayProcess, surfaces: Sequence[Surface], streams: int
) -> None:
    """Read so many streams of a few words, which come at once."""
    left = iter(range(streams))

    async def read_on() -> None:
        for number in left:
            path, body = surfaces[number % len(surfaces)].request("echo", "echo-1", stream=True)
            async with http.post(gateway.url + path, json=body) as reply:
                await reply.read()

    await asyncio.gather(*(read_on() for _ in range(BRIEF_AT_ONCE)))


async def watch(gateway: GatewayProcess, http: aiohttp.ClientSession, warm: float, end: float, tally: Tally) -> None:
    """Take down what the gateway holds."""
    shown = 0.0
    while (now := time.monotonic()) < end:
        held = await look(gateway, http)
        if now >= warm:
            tally.samples.append((now - warm, held.memory))
        if now - shown >= 30:
            shown = now
            print(
                f"{end - now:.0f} s left: {held.memory / MIB:.1f} MiB, {held.clients} clients, {held.providers} calls, "
                f"{tally.streams} streams done, {len(tally.wrong)} wrong",
                file=sys.stderr,
                flush=True,
            )
        await asyncio.sleep(SAMPLE_EVERY)


async def run(options: argparse.Namespace, upstream: str) -> tuple[Tally, Held, Held]:
    """Stream; return what came of it, and what the gateway held before and after."""
    most = str(options.streams + 100)
    environ = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{upstream}/v1",
        "ORCHESTRATOR_PROVIDERS": "openai,echo",
        "ORCHESTRATOR_MAX_CALLS_IN_FLIGHT": most,
        "ORCHESTRATOR_MAX_CALLS_IN_TOTAL": most,
        "ORCHESTRATOR_MAX_CONNECTIONS": most,
        "ORCHESTRATOR_MAX_LOOP_LAG": "60",  # else it refuses streams where others keep the processor busy
        "MONITORING_ENABLED": "false",
        "LOG_LEVEL": "ERROR",
    }
    surfaces = [surface for surface in SURFACES if surface.name in options.surfaces]
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        running = running_gateways(Path(folder), environ)
        (gateway,) = await asyncio.to_thread(running.__enter__)
        looking = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        crowd = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True), timeout=aiohttp.ClientTimeout(total=None)
        )
        try:
            async with looking, crowd:
                await stream_briefly(crowd, gateway, surfaces, options.short)
                before = await look_when_quiet(gateway, looking)
                warm = time.monotonic() + options.warm_up
                end = warm + options.minutes * 60
                watching = asyncio.create_task(watch(gateway, looking, warm, end, tally))
                streaming = []
                for number in range(options.streams):
                    surface = surfaces[number % len(surfaces)]
                    streaming.append(asyncio.create_task(stream_on(crowd, gateway, surface, options.words, end, tally)))
                    await asyncio.sleep(BEGIN_EVERY)
                await asyncio.gather(watching, *streaming)
                after = await look_when_quiet(gateway, looking)
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)
        if "ERROR" in gateway.output():
            tally.wrong.append(f"errors in the log: {gateway.output()[-1000:]}")
    return tally, before, after


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--warm-up", type=float, default=300.0, help="seconds")
    parser.add_argument("--short", type=int, default=30_000)  # 8 MiB of pages are full after 25,000
    parser.add_argument("--every", type=float, default=0.5, help="seconds from one word to the next")
    parser.add_argument("--words", type=int, default=120)
    names = [surface.name for surface in SURFACES]
    parser.add_argument("--surfaces", nargs="+", choices=names, default=names)
    options = parser.parse_args()
    with running_upstream(options.every) as upstream:
        tally, before, after = asyncio.run(run(options, upstream))
    left = {name: count for name, count in after.in_flight.items() if count}
    if left or after.clients > before.clients or after.descriptors > before.descriptors:
        tally.wrong.append(f"left over: {left}, {after.clients} connections, {after.descriptors} descriptors")
    if tally.slope >= 1:
        tally.wrong.append(f"memory grows by {tally.slope:.2f} MiB in ten minutes")
    for wrong in tally.wrong[:50]:
        print(wrong)
    memory = [held / MIB for _, held in tally.samples]
    print(
        f"{options.streams} streams at once on {', '.join(options.surfaces)}, a word every {options.every:g} s, for "
        f"{options.minutes:g} minutes after {options.warm_up:g} s of warm-up: {tally.streams} streams with "
        f"{tally.events} words, {len(tally.wrong)} not as it must be\n"
        f"memory {memory[0]:.1f} MiB at first, {memory[-1]:.1f} at last, {max(memory):.1f} at most, "
        f"slope {tally.slope:+.2f} MiB in ten minutes\nbefore and after: {before.memory / MIB:.1f} and "
        f"{after.memory / MIB:.1f} MiB, {before.clients} and {after.clients} connections of clients, "
        f"{before.descriptors} and {after.descriptors} other descriptors"
    )
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
