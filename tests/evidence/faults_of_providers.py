"""Every fault of a provider through two gateways, alone and with a healthy fallback, on every surface and in both ways.

    python tests/evidence/faults_of_providers.py
    python tests/evidence/faults_of_providers.py --upstream http://127.0.0.1:9900

`provider_faults` says what must come of each fault. The gateways are processes of their own. The upstream is the tests'
own, or another one that misbehaves by the same names, see `fake_upstreams.chosen`. Retries are a tenth of all calls at
most, so that ten calls that go well are made before each fault that is to be retried.

It prints a table, and ends with 1 where a cell is not as it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))

from fake_upstreams.chosen import Upstream, chosen_upstream
from processes import running_gateways
from provider_faults import KEY, STREAMED, WHOLE, Case, Limits, Seen
from surfaces import SURFACES

LIMITS = Limits(first_event=4.0, idle=2.0, total=8.0)
SLOW = 0.3
EARNED_BY = 10
"""Calls that go well for one retry."""

FALLBACK = "echo"

DIFFERS = {("not-utf8", True)}
"""Of another upstream: whether a stream holds bad bytes depends on where that one cuts its text."""


@dataclass(frozen=True)
class Row:
    """A cell of the table.

    Attributes:
        case: The fault.
        fallback: Whether there was one.
        seen: What came of it.
        problems: What is not as it must be.
    """

    case: Case
    fallback: bool
    seen: Seen
    problems: tuple[str, ...]

    @property
    def shown(self) -> str:
        """What was seen, in short."""
        try:
            read = self.case.surface.read(self.seen.headers["Content-Type"], self.seen.body)
        except (ValueError, LookupError):
            return f"{self.seen.status} unreadable"
        if not read.failed:
            return "complete"
        code = read.code or "error"
        return f"begins, then {code}" if self.seen.status == 200 else f"{self.seen.status} {code}"


class Bench:
    """Asks for one fault after the other."""

    def __init__(self, upstream: Upstream, http: aiohttp.ClientSession, alone: str, helped: str) -> None:
        self._upstream = upstream
        self._http = http
        self._urls = {False: alone, True: helped}
        self._tags = count()

    async def look(self, case: Case, *, fallback: bool) -> Row:
        """Ask for a fault; return what came of it."""
        url, tagged = self._urls[fallback], f"{case.behaviour}@{next(self._tags)}"
        if case.expected.calls > 1:
            for _ in range(EARNED_BY):
                await self._post(url, *SURFACES[0].request("echo", "echo-1", stream=False))
        path, body = case.surface.request("openai", f"fault-{tagged}", stream=case.stream)
        began = time.monotonic()
        status, headers, said = await self._post(url, path, body)
        seconds = time.monotonic() - began
        seen = Seen(status, headers, said, seconds, await self._upstream.calls(tagged))
        return Row(case, fallback, seen, (*case.problems(seen, LIMITS, fallback=FALLBACK if fallback else None),))

    async def _post(self, url: str, path: str, body: object) -> tuple[int, dict[str, str], bytes]:
        timeout = aiohttp.ClientTimeout(total=60)
        async with self._http.post(url + path, json=body, timeout=timeout) as reply:
            return reply.status, dict(reply.headers), await reply.read()


async def look_at_all(url: str | None, at_once: int) -> tuple[list[Row], int]:
    """Return what came of every fault, and how many redirects were followed."""
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        upstream = await stack.enter_async_context(chosen_upstream(url, http, slow=SLOW))
        environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{upstream.url}/v1", "LOG_LEVEL": "ERROR"}
        gateways = []
        for more in ({}, {"ORCHESTRATOR_FALLBACKS": FALLBACK}):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            running = running_gateways(folder, {**environ, **LIMITS.environ, **more})
            gateways += await asyncio.to_thread(running.__enter__)
            stack.push_async_callback(asyncio.to_thread, running.__exit__, None, None, None)
        bench = Bench(upstream, http, *(gateway.url for gateway in gateways))
        left = iter(
            [
                (Case(behaviour, stream, surface), fallback)
                for fallback in (False, True)
                for surface in SURFACES
                for stream, table in ((False, WHOLE), (True, STREAMED))
                for behaviour in table
                if behaviour in upstream.names and (upstream.own or (behaviour, stream) not in DIFFERS)
            ]
        )
        rows: list[Row] = []

        async def look_on() -> None:
            for case, fallback in left:
                rows.append(await bench.look(case, fallback=fallback))
                if len(rows) % 100 == 0:
                    print(f"{len(rows)} seen", file=sys.stderr, flush=True)

        await asyncio.gather(*(look_on() for _ in range(at_once)))
        return rows, await upstream.followed()


def table(rows: Iterable[Row]) -> list[str]:
    """Return the lines of a table, one for each fault and way to ask."""
    lines = [
        "| Fault | Asked for | Must become | Became | Calls | Seconds | With a fallback | Calls | Seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    cells: defaultdict[tuple[str, bool], dict[bool, list[Row]]] = defaultdict(lambda: {False: [], True: []})
    for row in rows:
        cells[row.case.behaviour, row.case.stream][row.fallback].append(row)
    for (behaviour, stream), seen in sorted(cells.items(), key=lambda cell: (cell[0][1], cell[0][0])):
        expected = seen[False][0].case.expected
        asked = "stream" if stream else "whole"
        columns = " | ".join(_columns(seen[fallback]) for fallback in (False, True))
        lines.append(f"| `{behaviour}` | {asked} | {expected} | {columns} |")
    return lines


def _columns(rows: Iterable[Row]) -> str:
    rows = list(rows)
    shown = dict.fromkeys(
        f"{row.seen.headers.get('x-orchestrator-provider')} answers"
        if row.fallback and row.case.answered_elsewhere and not row.problems
        else row.shown
        for row in rows
        if row.case.surface.has_codes or row.shown == "complete"
    )
    calls = sorted({row.seen.calls for row in rows})
    seconds = max(row.seen.seconds for row in rows)
    return f"{'; '.join(shown)} | {' or '.join(map(str, calls))} | {seconds:.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", help="an upstream that runs already")
    parser.add_argument("--at-once", type=int, default=8)
    options = parser.parse_args()
    rows, followed = asyncio.run(look_at_all(options.upstream, options.at_once))
    print(*table(rows), sep="\n")
    wrong = [row for row in rows if row.problems]
    for row in wrong:
        asked = f"{row.case.behaviour}, {'stream' if row.case.stream else 'whole'}, {row.case.surface.name}"
        print(f"{asked}{', with a fallback' if row.fallback else ''}: {'; '.join(row.problems)}")
    unclassified = sum(row.seen.status == 500 for row in rows)
    print(
        f"{len({row.case.behaviour for row in rows})} faults, {len(rows)} requests: {len(wrong)} not as they must be, "
        f"{unclassified} answered with 500, {followed} redirects followed"
    )
    return 1 if wrong or followed else 0


if __name__ == "__main__":
    sys.exit(main())
