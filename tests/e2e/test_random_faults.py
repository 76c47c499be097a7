"""Random faults of a provider, many at a time: each answer is complete or an error of the tree, and nothing is left."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from fake_providers.scripted import ScriptedProvider
from fake_upstreams.misbehaving import MisbehavingUpstream
from orchestrator_openai import OpenAIProvider
from provider_faults import KEY, NAMES
from random_faults import LIMITS, RandomFaults
from scripted_gateway import served


def tasks_but_the_upstreams() -> int:
    return sum("MisbehavingUpstream" not in repr(task.get_coro()) for task in asyncio.all_tasks())


async def test_three_hundred_random_faults(tmp_path: Path) -> None:
    async with MisbehavingUpstream(slow=0.1) as upstream, aiohttp.ClientSession() as http:
        environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{upstream.url}/v1", **LIMITS.environ}
        async with served(tmp_path, [OpenAIProvider, ScriptedProvider], environ) as gateway:
            tasks = tasks_but_the_upstreams()

            tally = await RandomFaults(http, [gateway.url], [*NAMES], seed=20260101).run(300, 32)

            # Who is late here may be the machine: tests/evidence/random_faults.py judges that.
            assert (tally.unclassified, tally.unended, tally.hung) == ([], [], [])
            assert len(tally.became) > 10, "the faults were not there"
            assert upstream.elsewhere == 0
            await http.close()
            async with asyncio.timeout(5):
                while gateway.gateway.guards.admission.taken() or tasks_but_the_upstreams() > tasks:
                    await asyncio.sleep(0.02)
