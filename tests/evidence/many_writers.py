"""50 writers on 200 sessions over two gateways and one PostgreSQL, which is killed in between; then with Redis as well.

    python tests/evidence/many_writers.py --turns 3000 --restarts 6 --seed 1

It ends with 1 where an acknowledged turn is lost or doubled, a place is missing or a turn is left open.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from databases import PostgresServer, postgres_server
from processes import running_gateways
from redis_server import RedisServer
from replicas import CountingUpstream, Writers

ENVIRON = {
    "LOG_LEVEL": "WARNING",
    "MONITORING_ENABLED": "false",
    "ORCHESTRATOR_EXPECTED_PROCESSES": "2",
    "ORCHESTRATOR_PROVIDERS": "openai",
}
AWAY = 4.0
"""The most seconds that a killed server stays away, beside what its start takes."""


class Restarts:
    """Kills servers as turns are done, and starts them again."""

    def __init__(self, postgres: PostgresServer, redis: RedisServer | None, turns: int, times: int, seed: int) -> None:
        self._postgres = postgres
        self._redis = redis
        self._every = turns // (times + 1)
        self._turns = turns
        self._chance = random.Random(seed)
        self._one = asyncio.Lock()
        self.kills = {"PostgreSQL": 0, "Redis": 0}
        self.done = 0

    def __call__(self, number: int) -> object:
        """Take note of a turn; return what is to be awaited."""
        self.done += 1
        if self.done % 250 == 0:
            print(f"  {self.done} turns, {self.kills}", flush=True)
        if self.done % self._every or self.done + self._every > self._turns:
            return None
        return self._restart()

    async def _restart(self) -> None:
        async with self._one:
            away = self._chance.uniform(0, AWAY)
            if self._redis is not None and sum(self.kills.values()) % 2:
                self._redis.kill()
                await asyncio.sleep(away)
                await asyncio.to_thread(self._redis.start)
                self.kills["Redis"] += 1
            else:
                await asyncio.to_thread(self._postgres.kill)
                await asyncio.sleep(away)
                await asyncio.to_thread(self._postgres.start)
                self.kills["PostgreSQL"] += 1


async def write(options: argparse.Namespace, *, redis: bool) -> list[str]:
    """Run the writers; return what is wrong."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = stack.enter_context(postgres_server())
        environ = {**ENVIRON, "ORCHESTRATOR_DATABASE_URL": await postgres.migrated()}
        server = None
        if redis:
            server = RedisServer(folder / "redis.log")
            stack.callback(server.kill)
            environ["ORCHESTRATOR_REDIS_URL"] = server.url
        async with CountingUpstream() as upstream:
            environ.update(upstream.environ())
            gateways = await asyncio.to_thread(
                lambda: stack.enter_context(running_gateways(folder, environ, options.gateways))
            )
            writers = Writers([gateway.url for gateway in gateways], options.seed)
            restarts = Restarts(postgres, server, options.turns, options.restarts, options.seed)
            began = time.monotonic()
            try:
                async with asyncio.timeout(options.within):
                    await writers.write(
                        writers=options.writers, sessions=options.sessions, turns=options.turns, between=restarts
                    )
                faults = await writers.faults()
            except (AssertionError, TimeoutError) as error:
                faults = [f"{type(error).__name__}: {error}"]
            finally:
                await asyncio.to_thread(stack.close)
        acknowledged = sum(len(said) for said in writers.said.values())
        killed = ", ".join(f"{name} killed {times} times" for name, times in restarts.kills.items() if times)
        print(
            f"{'with' if redis else 'without'} Redis: {acknowledged} turns of {options.writers} writers on "
            f"{options.sessions} sessions over {options.gateways} processes in {time.monotonic() - began:.0f} s, "
            f"{killed}, {dict(writers.refused)} asked to come again, {len(writers.given_up)} without an answer, "
            f"{sum(upstream.asked.values())} calls upstream, "
            f"{len(faults)} faults",
            flush=True,
        )
        return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3000)
    parser.add_argument("--writers", type=int, default=50)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--gateways", type=int, default=2)
    parser.add_argument("--restarts", type=int, default=6)
    parser.add_argument("--within", type=float, default=1800.0, help="seconds")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    faults = [fault for redis in (False, True) for fault in asyncio.run(write(options, redis=redis))]
    for fault in faults[:50]:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
