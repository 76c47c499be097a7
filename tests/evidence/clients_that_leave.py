"""A thousand clients that leave at random moments: before, in the headers, in a stream, in an answer.

    python tests/evidence/clients_that_leave.py --clients 1000 --at-once 64 --seed 1

Half of them reset the connection. The gateway is a process of its own; clients and upstream share another. It ends with
1 where the call to the provider goes on for more than a second at p99, something is left open, a turn is not kept as
left by its client with at least what that one had read, or its session does not take the next turn.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))

from fake_upstreams.misbehaving import MisbehavingUpstream
from leaving_clients import WITHIN, LeavingClients, Tally
from left_open import Held, look_when_quiet, turns_by_state
from processes import GatewayProcess, running_gateways
from provider_faults import KEY

SHOW_EVERY = 100


async def leave(options: argparse.Namespace) -> tuple[Tally, Held, Held]:
    """Let them leave; return what came of it, and what the gateway held before and after."""
    async with MisbehavingUpstream(slow=0.3) as upstream, one_use() as http:
        environ = {
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": f"{upstream.url}/v1",
            "ORCHESTRATOR_PROVIDERS": "openai,echo",
            "LOG_LEVEL": "ERROR",
        }
        with tempfile.TemporaryDirectory() as folder:
            running = running_gateways(Path(folder), environ)
            (gateway,) = await asyncio.to_thread(running.__enter__)
            try:
                # The first round opens what stays open, such as files of the database.
                await LeavingClients(gateway, upstream, http, options.seed + 1).run(options.at_once, options.at_once)
                before = await look_when_quiet(gateway, http)
                clients = LeavingClients(gateway, upstream, http, options.seed)
                tally = await clients.run(options.clients, options.at_once, show)
                after = await look_when_quiet(gateway, http)
                look_back(gateway, tally)
            finally:
                await asyncio.to_thread(running.__exit__, None, None, None)
        return tally, before, after


def one_use() -> aiohttp.ClientSession:
    """Make a client that keeps no connection, so that all that are left are those of clients that left."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))


def look_back(gateway: GatewayProcess, tally: Tally) -> None:
    """Count turns that are still pending, and errors of the log, as wrong."""
    if pending := turns_by_state(gateway)["pending"]:
        tally.wrong.append(f"{pending} turns pending")
    tally.wrong += [line for line in gateway.output().splitlines() if "ERROR" in line]


def show(tally: Tally) -> None:
    if tally.left.total() % SHOW_EVERY == 0:
        print(f"{tally.left.total()} have left", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tally, before, after = asyncio.run(leave(options))
    p99 = quantiles(tally.closed_after, n=100)[98]
    if p99 > WITHIN:
        tally.wrong.append(f"{p99:.2f} s at p99")
    tally.wrong += [f"{after.clients} connections of clients"] if after.clients else []
    tally.wrong += [f"{after.descriptors} descriptors"] if after.descriptors > before.descriptors else []
    print("| Left | Clients |")
    print("|---|---|")
    for when, times in tally.left.most_common():
        print(f"| {when} | {times} |")
    for wrong in tally.wrong[:50]:
        print(wrong)
    print(
        f"Seed {options.seed}, {options.at_once} at a time: {tally.reached} calls were under way and ended after "
        f"{median(tally.closed_after) * 1e3:.0f} ms (median), {p99 * 1e3:.0f} ms at p99, "
        f"{max(tally.closed_after) * 1e3:.0f} ms at most; {tally.kept} turns kept as client_closed; open before and "
        f"after: connections of clients {before.clients} and {after.clients}, to the provider {before.providers} and "
        f"{after.providers}, other descriptors {before.descriptors} and {after.descriptors}; {len(tally.wrong)} not as "
        "it must be"
    )
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
