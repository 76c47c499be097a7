"""Keys that are read anew while the gateway serves."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import CapturingLogger

from orchestrator_core.config import Config, load
from orchestrator_core.server import keys
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


async def test_a_key_file_that_hangs_stops_nothing_and_the_next_signal_takes_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(keys, "_logger", log)
    file = tmp_path / "key"
    file.write_text(KEYS[0])
    environ = {
        "OPENAI_API_KEY_FILE": str(file),
        "MONITORING_ENABLED": "false",
        "ORCHESTRATOR_PLUGIN_LOAD_TIMEOUT": "0.5",
    }
    async with served(tmp_path, [OpenAIProvider], environ) as gateway, aiohttp.ClientSession() as client:
        provider, signals = gateway.gateway.registry.providers["openai"], Signals()

        def read() -> Config:
            return load(environ=environ, directory=tmp_path)

        taking = asyncio.create_task(take_keys(gateway.gateway, signals, read))
        file.unlink()
        os.mkfifo(file)
        ended, pipe = threading.Event(), file

        def let_go() -> None:  # whoever opens it waits until somebody writes
            ended.set()
            file.write_text(KEYS[1])

        hanging = threading.Timer(5, let_go)
        hanging.start()
        try:
            signals.hangup.set()
            async with asyncio.timeout(20):
                while not log.calls:
                    async with client.get(f"{gateway.url}/health/live") as response:
                        assert response.status == 200
                    await asyncio.sleep(0.01)
            assert "took longer than 0.5 s" in log.calls[0].kwargs["problems"][0]
            assert not ended.is_set(), "it serves while the file hangs"
            assert [key.reveal() for key in provider.keys] == KEYS[:1]
            pipe = file.rename(tmp_path / "hung")
            file.write_text(KEYS[2])
            signals.hangup.set()
            async with asyncio.timeout(20):
                while [key.reveal() for key in provider.keys] != KEYS[2:]:
                    await asyncio.sleep(0.01)
            assert not ended.is_set()
        finally:
            hanging.cancel()
            hanging.join()
            if not ended.is_set():
                pipe.write_text(KEYS[1])
            taking.cancel()
            await asyncio.wait([taking])
