"""Thousands of random faults of a provider, many at a time, through three gateways with deadlines of one second.

    python tests/evidence/random_faults.py --requests 10000 --at-once 32 --seed 1
    python tests/evidence/random_faults.py --upstream http://127.0.0.1:9900

One gateway has no fallback, one has a healthy one, and one has breakers too. It ends with 1 where an answer is no
error of the closed tree, a stream has not exactly one end, a request hangs or is late, or something is left open.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import quantiles

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))

from fake_upstreams.chosen import chosen_upstream
from left_open import look_when_quiet, turns_by_state
from processes import GatewayProcess, running_gateways
from provider_faults import KEY
from random_faults import LIMITS, RandomFaults, Tally

SHOW_EVERY = 1000
KINDS: Sequence[Mapping[str, str]] = (
    {},
    {"ORCHESTRATOR_FALLBACKS": "echo"},
    {"ORCHESTRATOR_FALLBACKS": "echo", "ORCHESTRATOR_BREAKER_ENABLED": "true"},
)


async def ask(options: argparse.Namespace) -> tuple[Tally, Sequence[str]]:
    """Ask, and return what came of it, and what was left open."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        upstream = await stack.enter_async_context(chosen_upstream(options.upstream, http, slow=0.3))
        environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{upstream.url}/v1", "LOG_LEVEL": "ERROR"}
        gateways: list[GatewayProcess] = []
        for more in KINDS:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            running = running_gateways(folder, {**environ, **LIMITS.environ, **more})
            gateways += await asyncio.to_thread(running.__enter__)
            stack.push_async_callback(asyncio.to_thread, running.__exit__, None, None, None)
        faults = RandomFaults(http, [gateway.url for gateway in gateways], [*upstream.names], options.seed)
        tally = await faults.run(options.requests, options.at_once, show)
        open_still = []
        for gateway in gateways:
            held = await look_when_quiet(gateway, http)
            open_still += [f"{name}: {value}" for name, value in held.in_flight.items() if value]
            pending = turns_by_state(gateway)["pending"]
            open_still += [f"{pending} turns pending"] if pending else []
            open_still += [f"an error in the log: {line}" for line in gateway.output().splitlines() if "ERROR" in line]
        if await upstream.followed():
            open_still.append("a redirect was followed")
        return tally, open_still


def show(tally: Tally) -> None:
    done = len(tally.seconds) + len(tally.hung)
    if done % SHOW_EVERY == 0:
        print(f"{done} asked for, {len(tally.faults)} not as they must be", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--upstream", help="an upstream that runs already")
    options = parser.parse_args()
    tally, open_still = asyncio.run(ask(options))
    print("| Became | Requests |")
    print("|---|---|")
    for became, times in tally.became.most_common():
        print(f"| {became} | {times} |")
    for fault in [*tally.faults, *open_still][:50]:
        print(fault)
    p99 = quantiles(tally.seconds, n=100)[98]
    print(
        f"Seed {options.seed}, {options.requests} requests, {options.at_once} at a time: {len(tally.unclassified)} "
        f"unclassified, {len(tally.unended)} without exactly one end, {len(tally.hung)} hung, {len(tally.late)} late, "
        f"{len(open_still)} left open or logged as errors; {p99:.2f} s at p99, {max(tally.seconds):.2f} s at most"
    )
    return 1 if tally.faults or open_still else 0


if __name__ == "__main__":
    sys.exit(main())
