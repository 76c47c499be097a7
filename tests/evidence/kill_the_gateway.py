"""Kill a gateway under load: `python tests/evidence/kill_the_gateway.py --cycles 1000 --seed 1`.

It ends with 1 where an acknowledged message is lost or doubled, or the database is broken, and prints its seed.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from kill_cycles import ENVIRON, KillCycles, Tally
from processes import GatewayProcess, find_free_port, start_gateway

SHOW_EVERY = 10.0
WITHIN = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    port, shown = find_free_port(), time.monotonic()

    def start(directory: Path) -> GatewayProcess:
        return start_gateway(directory, {**ENVIRON, "ORCHESTRATOR_PROVIDERS": "echo"}, port=port)

    def tell(tally: Tally) -> None:
        nonlocal shown
        if time.monotonic() - shown >= SHOW_EVERY:
            shown = time.monotonic()
            print(line(tally), flush=True)

    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        tally = asyncio.run(KillCycles(start, Path(folder), options.seed).run(options.cycles, tell))
    print(line(tally))
    for fault in tally.faults:
        print(fault)
    return 1 if tally.faults else 0


def line(tally: Tally) -> str:
    late = sum(restart > WITHIN for restart in tally.restarts)
    return (
        f"{tally.kills} kills with {tally.under_way} requests under way, {tally.acknowledged} turns acknowledged, "
        f"{len(tally.lost)} lost, {len(tally.doubled)} doubled, {len(tally.broken)} failures of integrity; back after "
        f"{statistics.median(tally.restarts):.2f} s (median), {max(tally.restarts):.2f} s at most, {late} over 2 s"
    )


if __name__ == "__main__":
    sys.exit(main())
