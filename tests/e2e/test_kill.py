"""A conversation survives the death of the process, whenever it comes."""

from __future__ import annotations

import random
from pathlib import Path

from kill_cycles import ENVIRON, KillCycles
from processes import GatewayProcess, StartGateway, find_free_port

CYCLES = 30


async def test_nothing_acknowledged_is_lost_or_doubled_by_thirty_kills_under_load(
    gateway_process: StartGateway, tmp_path: Path
) -> None:
    seed, port = random.randrange(2**32), find_free_port()
    print(f"seed {seed}")

    def start(directory: Path) -> GatewayProcess:
        return gateway_process(environ=ENVIRON, directory=directory, port=port)

    tally = await KillCycles(start, tmp_path, seed, talkers=4).run(CYCLES)

    assert tally.faults == []
    assert tally.kills == CYCLES
    assert tally.under_way > CYCLES
    assert tally.acknowledged > CYCLES
