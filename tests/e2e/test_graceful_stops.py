"""SIGTERM with streams under way: those that end in time are whole, the others are told, and all of it is stored."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fake_upstreams.ticking import TickingUpstream
from graceful_stops import EVERY, GracefulStops
from processes import GatewayProcess


async def test_two_stops_with_forty_streams(gateway_process: Any, tmp_path: Path) -> None:
    def start(directory: Path, environ: dict[str, str]) -> GatewayProcess:
        gateway: GatewayProcess = gateway_process(environ, directory=directory)
        return gateway

    async with TickingUpstream(every=EVERY) as upstream:
        tally = await GracefulStops(start, tmp_path, upstream.url, seed=20260101, streams=40).run(2, grace=1.0)

        assert tally.wrong == []
        assert (tally.complete, tally.ended, tally.turned_away) == (40, 40, 4)
        async with asyncio.timeout(5):
            while upstream.open:
                await asyncio.sleep(0.02)
