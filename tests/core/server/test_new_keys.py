"""Keys that are read anew while the gateway serves."""

from __future__ import annotations

import asyncio
from pathlib import Path

from orchestrator_core.config import Config, load
from orchestrator_core.server.keys import take_keys
from orchestrator_core.server.signals import Signals
from orchestrator_openai import OpenAIProvider
from scripted_gateway import served

KEYS = [f"sk-proj-{letter * 60}" for letter in ("Ab1", "Cd2", "Ef3")]


async def test_keys_that_rested_start_clean(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": ",".join(KEYS[:2]), "MONITORING_ENABLED": "false"}
    fresh = {**environ, "OPENAI_API_KEY": ",".join(KEYS)}
    async with served(tmp_path, [OpenAIProvider], environ) as gateway:
        provider, ring = gateway.gateway.registry.providers["openai"], gateway.gateway.guards.keys
        for key in provider.keys:
            ring.rest(key, 100)
        assert not ring.another(provider.keys)

        def read() -> Config:
            return load(environ=fresh, directory=tmp_path)

        signals = Signals()
        taking = asyncio.create_task(take_keys(gateway.gateway, signals, read))
        signals.hangup.set()
        async with asyncio.timeout(10):
            while len(provider.keys) < len(KEYS):
                await asyncio.sleep(0.01)
        taking.cancel()
        await asyncio.wait([taking])

        assert len(ring) == 0
        assert ring.choose(provider.keys) == provider.keys[0]
