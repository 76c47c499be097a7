"""Clients that leave at random moments: the provider is left too, nothing stays open, and what came is kept."""

from __future__ import annotations

from typing import Any

import aiohttp

from fake_upstreams.misbehaving import MisbehavingUpstream
from leaving_clients import BREAKS, LeavingClients
from left_open import look_when_quiet, turns_by_state
from provider_faults import KEY


async def test_eighty_clients_that_leave(gateway_process: Any) -> None:
    connector = aiohttp.TCPConnector(force_close=True)
    async with MisbehavingUpstream(slow=0.3) as upstream, aiohttp.ClientSession(connector=connector) as http:
        gateway = gateway_process({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{upstream.url}/v1"})

        tally = await LeavingClients(gateway, upstream, http, seed=20260101).run(80, 20)

        assert tally.wrong == []
        assert set(tally.left) == set(BREAKS)
        assert len(tally.closed_after) > 20, "hardly anybody was left"
        assert (await look_when_quiet(gateway, http)).clients == 0
        assert turns_by_state(gateway)["pending"] == 0
        assert "ERROR" not in gateway.output()
