"""The time that a fallback adds: two providers, the first of which fails in one way after the other.

    python tests/evidence/fallback_time.py --calls 300

Calls to the failing provider alternate with calls to the fallback alone, so that what else the machine does hits both;
what is added is the difference of their medians, and of their 99th percentiles. The gateway is a process of its own;
client and upstream share another. The upstream takes 20 ms for a reset, which count.

It ends with 1 where a goal is missed: 50 ms at p99 where the provider refuses, resets or answers 5xx, its deadline and
100 ms where it is silent, 5 ms once its breaker is open.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))

from fake_upstreams.misbehaving import MisbehavingUpstream
from processes import find_free_port, running_gateways

SILENCE = 0.5
"""Seconds that the first event may take."""

FAST, OPEN = 0.050, 0.005
HEALTHY = "second/m"


@dataclass(frozen=True)
class Case:
    """A way to fail.

    Attributes:
        name: What the table says.
        model: The model that fails so.
        goal: Seconds that may be added, at p99.
        stream: Whether a stream is asked for.
        breaker: Whether the breaker is to be open, or else is off.
        at_once: Calls at a time.
    """

    name: str
    model: str
    goal: float
    stream: bool = False
    breaker: bool = False
    at_once: int = 1


CASES = (
    Case("connection refused", "refused/m", FAST),
    Case("reset before the answer", "openai/fault-reset-before", FAST),
    Case("reset before the answer, streamed", "openai/fault-reset-before", FAST, stream=True),
    Case("500", "openai/fault-http-500", FAST),
    Case("503", "openai/fault-http-503", FAST),
    Case("500, streamed", "openai/fault-http-500", FAST, stream=True),
    Case("silence for 0.5 s, streamed", "openai/fault-hang", SILENCE + 0.1, stream=True, at_once=4),
    Case("breaker open", "openai/fault-http-500", OPEN, breaker=True),
    Case("breaker open, streamed", "openai/fault-http-500", OPEN, stream=True, breaker=True),
)


def environ(upstream: MisbehavingUpstream, *, breaker: bool) -> dict[str, str]:
    """Return the settings of a gateway over a provider that fails as its model says, and one that answers."""
    servers = {
        "second": {"base_url": upstream.base_url("ok"), "default_model": "m"},
        "refused": {"base_url": f"http://127.0.0.1:{find_free_port()}/v1", "default_model": "m"},
    }
    return {
        "OPENAI_API_KEY": "sk-proj-" + "Ab1" * 20,
        "OPENAI_BASE_URL": f"{upstream.url}/v1",
        "ORCHESTRATOR_SERVERS": json.dumps(servers),
        "ORCHESTRATOR_FALLBACKS": HEALTHY,
        "ORCHESTRATOR_FIRST_EVENT_TIMEOUT": str(SILENCE),
        "ORCHESTRATOR_BREAKER_ENABLED": str(breaker).lower(),
        "ORCHESTRATOR_BREAKER_COOLDOWN": "3600",
        "MONITORING_ENABLED": "false",
        "LOG_LEVEL": "ERROR",
    }


class Bench:
    """A gateway and its client."""

    def __init__(self, client: aiohttp.ClientSession, url: str) -> None:
        self._client = client
        self._url = url

    async def ask(self, model: str, *, stream: bool, attempts: int) -> float:
        """Ask once; return the seconds to the end of the answer, which the fallback must have given."""
        body: dict[str, Any] = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "ping"}]}
        began = time.perf_counter()
        async with self._client.post(f"{self._url}/v1/chat/completions", json=body) as reply:
            said = await reply.read()
        seconds = time.perf_counter() - began
        told = reply.headers.get("x-orchestrator-provider"), reply.headers.get("x-orchestrator-attempts")
        if reply.status != 200 or told != ("second", str(attempts)):
            raise SystemExit(f"{model}: not the fallback's answer: {reply.status} {told} {said[:200]!r}")
        return seconds

    async def measure(self, case: Case, calls: int) -> tuple[list[float], list[float]]:
        """Return the seconds of calls to the fallback alone, and of calls that fall back to it."""
        direct: list[float] = []
        fallen: list[float] = []
        left = iter(range(calls))

        async def ask_on() -> None:
            for _ in left:
                direct.append(await self.ask(HEALTHY, stream=case.stream, attempts=1))
                fallen.append(await self.ask(case.model, stream=case.stream, attempts=2))

        await asyncio.gather(*(ask_on() for _ in range(case.at_once)))
        return direct, fallen


async def measure(calls: int) -> list[tuple[Case, list[float], list[float]]]:
    """Measure every case."""
    found = []
    async with MisbehavingUpstream() as upstream, aiohttp.ClientSession() as client:
        for breaker in (False, True):
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                starting = running_gateways(folder, environ(upstream, breaker=breaker))
                (gateway,) = await asyncio.to_thread(stack.enter_context, starting)
                bench = Bench(client, gateway.url)
                for case in (each for each in CASES if each.breaker is breaker):
                    for _ in range(20):  # opens the breaker, and warms everything up
                        await bench.ask(case.model, stream=case.stream, attempts=2)
                    found.append((case, *await bench.measure(case, calls)))
                await asyncio.to_thread(stack.close)
    return found


def p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100)[98]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=300)
    options = parser.parse_args()
    missed = 0
    print("| The first provider | fallback alone, p50 / p99 | with it before, p50 / p99 | added, p50 / p99 | goal |")
    print("|---|---|---|---|---|")
    for case, direct, fallen in asyncio.run(measure(options.calls)):
        alone, after = [(median(seconds), p99(seconds)) for seconds in (direct, fallen)]
        added = after[0] - alone[0], after[1] - alone[1]
        missed += added[1] > case.goal
        shown = " | ".join(f"{half * 1e3:.1f} / {most * 1e3:.1f}" for half, most in (alone, after, added))
        print(f"| {case.name} | {shown} | {case.goal * 1e3:.0f} |")
    print(f"Milliseconds, of {options.calls} calls each; {missed} goals missed.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
