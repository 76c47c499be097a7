"""Counts the functions that are called for a chat, a turn and paced streams. It judges nothing.

    PYTHONPATH=tests python -m benchmarks.gateway.calls [--functions]

Another load on the machine moves these counts by one or two of a hundred, in asyncio and below it. Functions of Python
are counted in every thread, and those of C that Python calls. One client asks for chats and turns, so that no two share
work; turns have a history of up to seven, and the bare proxy takes chats for them. The first word is that of a paced
stream, with all that is called from the request on. What an idle server calls is taken off the words and the events,
which are of ten streams. With `--functions` the 40 that the gateway calls most follow.

See docs/explanation/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing.connection import Client
from pathlib import Path

from benchmarks.gateway import load, subjects
from benchmarks.gateway.comparisons import CLIENTS, SERVER
from benchmarks.gateway.report import GATEWAY
from benchmarks.gateway.scenarios import PACED, TURNS, chat, streamed, turn
from benchmarks.gateway.subjects import Subject
from benchmarks.gateway.upstream import PACE, PACED_EVENTS
from benchmarks.gateway.wire import MessageReader

ALL, C = "all", "functions of C"
REQUESTS, STREAMS, BEGINNINGS, IDLE_SECONDS = 400, 10, 8, 5.0
MOST = 40
"""How many functions are told."""

Function = tuple[str, str]
"""Its file, which those of C have not, and its name."""
Calls = Mapping[Function, float]

_LAYER = re.compile(r".*/(?:src|tests|site-packages|python3\.\d+)/(orchestrator_core/[^/.]+|[^/.]+)")
"""The name of a package, of a part of core, or of a module that is in none, in the path of a file."""
_FOLDERS = re.compile(r".*/(?:src|tests|site-packages|python3\.\d+)/")


@contextmanager
def counting(folder: Path, vendor: int, processors: Sequence[int]) -> Iterator[Mapping[Path, Subject]]:
    """Run the bare proxy and the gateway, each with the socket at which it tells what it has called."""
    floor, own = folder / "floor.sock", folder / "gateway.sock"
    with (
        subjects.pass_through(folder, vendor, processors, environ=_counted(floor)) as bare,
        subjects.gateway("gateway", folder / "gateway", vendor, processors, _counted(own)) as gateway,
    ):
        yield {floor: bare, own: gateway}


def _counted(socket: Path) -> Mapping[str, str]:
    here = Path(__file__).parent
    return {"PYTHONPATH": f"{here / 'counting'}:{here.parents[1]}", "CALLS_SOCKET": str(socket)}


def called(socket: Path) -> Counter[Function]:
    """Return what a server has called so far."""
    with Client(str(socket)) as connection:
        return Counter(connection.recv())


def for_each(calls: Mapping[Function, int], times: float, idle: Calls | None = None, seconds: float = 0.0) -> Calls:
    """Return what is called for each of so many, less what an idle server calls in so many seconds."""
    idle = idle or {}
    return {function: (count - idle.get(function, 0.0) * seconds) / times for function, count in calls.items()}


async def of_requests(socket: Path, subject: Subject, make: load.MakeRequest, requests: int) -> Calls:
    """Return what is called for each of so many requests, one after another."""
    before = called(socket)
    outcome = await load.run(subject.port, make, 1, seconds=600, most=requests)
    if len(outcome.latencies) != requests:
        raise RuntimeError(f"{subject.name}: {outcome.errors} of {requests} requests failed")
    return for_each(called(socket) - before, requests)


async def of_idle_seconds(socket: Path) -> Calls:
    """Return what is called in a second in which nobody asks anything."""
    await asyncio.sleep(1)  # what the last request left behind ends
    before, begun = called(socket), time.perf_counter()
    await asyncio.sleep(IDLE_SECONDS)
    return for_each(called(socket) - before, time.perf_counter() - begun)


async def of_first_words(socket: Path, subject: Subject, idle: Calls, times: int) -> Calls:
    """Return what is called for each of ten streams until its first word has gone out; they are left then."""
    found, seconds = Counter[Function](), 0.0
    for _ in range(times):
        connections = [await asyncio.open_connection("127.0.0.1", subject.port) for _ in range(STREAMS)]
        await asyncio.sleep(3 * PACE)  # a server sees that a client has left when it has the next word for it
        before, begun = called(socket), time.perf_counter()
        for _, writer in connections:
            writer.write(streamed(subject, PACED)(0, 0))
            await asyncio.sleep(PACE / 2 / STREAMS)
        for reader, _ in connections:
            answer = MessageReader()
            while not answer.spoken:
                answer.feed(await reader.readuntil(b"\n"))
        await asyncio.sleep(PACE / 4)  # all that these words lead to is done, and the next ones have not come
        found += called(socket) - before
        seconds += time.perf_counter() - begun
        for _, writer in connections:
            writer.close()
    return for_each(found, times * STREAMS, idle, seconds)


async def of_paced_events(socket: Path, subject: Subject, idle: Calls) -> Calls:
    """Return what is called for each event in the middle of paced streams: nothing of their beginning or their end."""
    answers, following = [MessageReader() for _ in range(STREAMS)], []
    for answer in answers:
        following.append(asyncio.create_task(_follow(subject, answer)))
        await asyncio.sleep(PACE / 2 / STREAMS)
    seen = list[tuple[int, float, Counter[Function]]]()
    for events in (PACED_EVENTS // 5, PACED_EVENTS * 4 // 5):
        while answers[-1].events < events and not following[-1].done():
            await asyncio.sleep(PACE / 100)
        await asyncio.sleep(PACE / 4)  # all that these events lead to is done, and the next ones have not come
        seen.append((sum(answer.events for answer in answers), time.perf_counter(), called(socket)))
    await asyncio.gather(*following)
    (one, begun, before), (other, ended, after) = seen
    return for_each(after - before, other - one, idle, ended - begun)


async def _follow(subject: Subject, answer: MessageReader) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", subject.port)
    writer.write(streamed(subject, PACED)(0, 0))
    while not answer.feed(await reader.readuntil(b"\n")):
        pass
    writer.close()


def by_layer(calls: Calls) -> Mapping[str, float]:
    """Return calls by package, those of core by its parts."""
    found = defaultdict[str, float](float)
    for (file, _), count in calls.items():
        matched = _LAYER.match(file)
        found[matched.group(1) if matched else file or C] += count
    return {ALL: sum(calls.values()), **found}


async def count(servers: Mapping[Path, Subject]) -> Mapping[str, Calls]:
    """Count everything, by what it is of."""
    found = {}
    for socket, subject in servers.items():
        for name, make in (("chat", chat), ("turn", partial(turn, 1))):
            await of_requests(socket, subject, make(subject, ""), TURNS)  # what is made once is made
            found[f"{name}, {subject.name}"] = await of_requests(socket, subject, make(subject, ""), REQUESTS)
        idle = found[f"idle second, {subject.name}"] = await of_idle_seconds(socket)
        await of_first_words(socket, subject, idle, 1)
        found[f"first word, {subject.name}"] = await of_first_words(socket, subject, idle, BEGINNINGS)
        found[f"paced event, {subject.name}"] = await of_paced_events(socket, subject, idle)
    return found


def table(found: Mapping[str, Calls]) -> Iterator[str]:
    """Yield the lines of a table, by layer."""
    yield f"| Calls for each | {' | '.join(found)} |"
    yield f"|---{'|--:' * len(found)}|"
    layers = [by_layer(calls) for calls in found.values()]
    rows = {name: [calls.get(name, 0.0) for calls in layers] for each in layers for name in each}
    for name, values in sorted(rows.items(), key=lambda row: -max(row[1])):
        if max(values) >= 1:
            yield f"| {name} | {' | '.join(f'{value:,.1f}' for value in values)} |"


def most_called(calls: Calls, number: int) -> Iterator[str]:
    """Yield the lines of a table of the functions that are called most."""
    yield "| Function | Calls |"
    yield "|---|--:|"
    for (file, name), count in sorted(calls.items(), key=lambda row: -row[1])[:number]:
        yield f"| {_FOLDERS.sub('', file) or 'C'}: {name} | {count:,.2f} |"


def main() -> None:
    """Count, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", action="store_true", help=f"the {MOST} that the gateway calls most as well")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        vendor = stack.enter_context(subjects.upstream(folder, CLIENTS))
        servers = stack.enter_context(counting(folder, vendor, SERVER))
        found = asyncio.run(count(servers))
    lines = list(table(found))
    for name, calls in found.items():
        if arguments.functions and name.endswith(GATEWAY):
            lines += ["", f"## {name}", "", *most_called(calls, MOST)]
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
