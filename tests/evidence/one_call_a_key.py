"""1,000 idempotency keys, each posted 20 times at once: exactly 1,000 calls upstream, on every surface, streams too.

    python tests/evidence/one_call_a_key.py --keys 1000 --times 20

First over two gateways on one PostgreSQL, then over one on SQLite. It ends with 1 where a key was called for more than
once, or where two posts of a key got different answers.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from databases import postgres_server
from processes import running_gateways
from replicas import CountingUpstream, post_with_keys

ENVIRON = {"LOG_LEVEL": "WARNING", "MONITORING_ENABLED": "false", "ORCHESTRATOR_PROVIDERS": "openai"}


async def post(options: argparse.Namespace, *, postgres: bool) -> list[str]:
    """Post every key; return what is wrong."""
    with ExitStack() as stack:
        environ, gateways = dict(ENVIRON), 1
        if postgres:
            server = stack.enter_context(postgres_server())
            environ["ORCHESTRATOR_DATABASE_URL"], gateways = await server.migrated(), 2
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        async with CountingUpstream() as upstream:
            environ.update(upstream.environ())
            running = await asyncio.to_thread(lambda: stack.enter_context(running_gateways(folder, environ, gateways)))
            began, statuses, faults = time.monotonic(), Counter[int](), list[str]()
            try:
                statuses = await post_with_keys(
                    [gateway.url for gateway in running], keys=options.keys, times=options.times, prefix="key"
                )
            except AssertionError as error:
                faults.append(f"answers: {error}")
            took = time.monotonic() - began
            await asyncio.to_thread(stack.close)
    faults += [f"{text}: {times} calls" for text, times in upstream.asked.items() if times != 1]
    if len(upstream.asked) != options.keys:
        faults.append(f"{len(upstream.asked)} keys of {options.keys} were called for")
    print(
        f"{'PostgreSQL' if postgres else 'SQLite'}, {gateways} processes: {options.keys} keys, {options.times} posts "
        f"each at once, {sum(upstream.asked.values())} calls upstream, statuses {dict(sorted(statuses.items()))}, "
        f"{took:.0f} s, {len(faults)} faults",
        flush=True,
    )
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    faults = [fault for postgres in (True, False) for fault in asyncio.run(post(options, postgres=postgres))]
    for fault in faults[:50]:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
