"""Slow, deaf and malicious clients on raw sockets: healthy requests keep their latency, and nothing stays open.

    python tests/evidence/raw_sockets.py --clients 500 --rounds 2

The time limits are the defaults. It ends with 1 where a slow client was not closed in its limit, a healthy request
failed, an ambiguous request was served, or descriptors did not come back.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from ambiguous_requests import AMBIGUOUS, CODED, HEAD, LENGTH, SMUGGLED
from orchestrator_core.config import Settings
from processes import GatewayProcess, running_gateways
from slow_clients import KINDS, Latencies, healthy, hold

ENVIRON = {"LOG_LEVEL": "ERROR", "MONITORING_ENABLED": "false", "ORCHESTRATOR_PROVIDERS": "echo"}
SETTINGS = Settings()
LIMITS = {
    "silent": SETTINGS.client_head_timeout,
    "slow head": SETTINGS.client_head_timeout,
    "slow body": SETTINGS.client_body_timeout + 2.0,  # and a moment in which the rest is read, so that the 408 is seen
    "deaf": SETTINGS.client_write_timeout * (1 + 2 / 6),  # it is looked at six times in that time
}
_GONE = repr(ConnectionResetError(104, "Connection reset by peer")).encode()
SPARE = 3.0
"""Seconds beyond the limit, for a busy machine."""


async def exchange(port: int, *pieces: bytes) -> bytes:
    """Send pieces, and return what came until the gateway closed; what came and a word where it does not close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001 if len(pieces) > 1 else 0)
        async with asyncio.timeout(5):
            while data := await reader.read(65536):
                got += data
        return got
    except (ConnectionError, TimeoutError) as error:
        return got + repr(error).encode()
    finally:
        writer.close()


async def malicious(port: int) -> list[str]:
    """Send every ambiguous request with another one behind it, whole and cut at many places."""
    faults, sent = [], 0
    for name, request in AMBIGUOUS.items():
        whole = request + SMUGGLED
        for cut in (None, *range(7, len(whole), max(1, len(whole) // 8))):
            got = await exchange(port, *((whole,) if cut is None else (whole[:cut], whole[cut:])))
            sent += 1
            # Cut, it may also meet a connection that is closed already, whose answer is lost on the way.
            if set(re.findall(rb"HTTP/1\.[01] (\d{3}) ", got)) != {b"400"} and got != _GONE:
                faults.append(f"{name}, cut at {cut}: {got[:200]!r}")
    body = b'{"message": "hi", "agent_config": {"provider": "echo"}}'
    framed = {
        "length": LENGTH.replace(b"17", str(len(body)).encode()) + b"\r\n" + body,
        "chunked": CODED + b"\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n",
    }
    for name, rest in framed.items():
        whole = HEAD + b"Connection: close\r\n" + rest
        for cut in range(1, len(whole)):
            got = await exchange(port, whole[:cut], whole[cut:])
            sent += 1
            if not got.startswith(b"HTTP/1.1 200 "):
                faults.append(f"{name}, cut at {cut}: {got[:200]!r}")
    print(f"{len(AMBIGUOUS)} ambiguous and 2 good requests, cut at many places: {sent} sent, {len(faults)} faults")
    return faults


async def slow(gateway: GatewayProcess, options: argparse.Namespace) -> list[str]:
    """Let slow clients come all at once beside healthy ones; print what both saw."""
    port, process = int(gateway.url.rpartition(":")[2]), psutil.Process(gateway.process.pid)
    faults = list[str]()
    alone, beside, closed = Latencies(), Latencies(), {kind: list[float]() for kind in KINDS}
    for _ in range(options.rounds):
        async with healthy(gateway.url, options.healthy) as found:
            await asyncio.sleep(options.seconds)
        alone.seconds += found.seconds
        faults += found.faults
        await asyncio.sleep(1)
        before = process.num_fds()
        async with healthy(gateway.url, options.healthy) as found:
            kinds = [list(KINDS)[number % len(KINDS)] for number in range(options.clients)]
            ends = await asyncio.gather(*(hold(port, kind, LIMITS[kind] + SPARE + 30) for kind in kinds))
        beside.seconds += found.seconds
        faults += found.faults
        for kind, end in zip(kinds, ends, strict=True):
            closed[kind].append(end or float("inf"))
            if end is None or end > LIMITS[kind] + SPARE:
                faults.append(f"{kind}: closed after {end} s")
        until = time.monotonic() + 10
        while process.num_fds() > before and time.monotonic() < until:
            await asyncio.sleep(0.2)
        print(f"descriptors: {before} before, {process.num_fds()} after; {process.memory_info().rss >> 20} MiB")
        if process.num_fds() > before:
            faults.append("descriptors did not come back")
    print(f"\n| {options.healthy} healthy clients | requests | p50 (ms) | p99 (ms) |\n|---|---|---|---|")
    for name, seen in (("alone", alone), (f"beside {options.clients} slow ones", beside)):
        print(f"| {name} | {len(seen.seconds)} | {seen.p50 * 1000:.1f} | {seen.p99 * 1000:.1f} |")
    print(
        "\n| slow clients | connections | limit (s) | closed after, median (s) | slowest (s) |\n|---|---|---|---|---|"
    )
    for kind, times in closed.items():
        print(f"| {kind} | {len(times)} | {LIMITS[kind]:g} | {median(times):.1f} | {max(times):.1f} |")
    return faults


async def run(options: argparse.Namespace) -> list[str]:
    with tempfile.TemporaryDirectory() as folder, running_gateways(Path(folder), ENVIRON) as (gateway,):
        faults = await malicious(int(gateway.url.rpartition(":")[2]))
        return faults + await slow(gateway, options)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--healthy", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30.0, help="of healthy clients alone, each round")
    faults = asyncio.run(run(parser.parse_args()))
    for fault in faults[:50]:
        print(fault)
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
