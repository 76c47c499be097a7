"""Keys that are read anew while the gateway serves."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from structlog.testing import CapturingLogger

from orchestrator_core.config import Config, load
from orchestrator_core.plugins import Registry
from orchestrator_core.plugins.fresh_keys import FreshRegistry
from orchestrator_core.security.countries import Countries
from orchestrator_core.security.networks import read_address
from orchestrator_core.server import keys
from orchestrator_core.server.keys import take_keys
from orchestrator_core.server.signals import Signals
from orchestrator_mistral import MistralProvider
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


@contextmanager
def hanging(pipe: Path, late: bytes) -> Iterator[Callable[[], bool]]:
    """Have a file that hangs; give whether it still does. Whoever reads it waits, and gets `late` at the end."""
    os.mkfifo(pipe)
    ended = threading.Event()

    def let_go() -> None:  # whoever opens it waits until somebody reads
        ended.set()
        pipe.write_bytes(late)

    timer = threading.Timer(20, let_go)  # a test that is wrong has an end as well
    timer.start()
    try:
        yield lambda: not ended.is_set()
    finally:
        timer.cancel()
        timer.join()
        if not ended.is_set():
            let_go()


async def test_a_key_file_that_hangs_stops_nothing_and_the_next_signal_takes_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(keys, "_logger", log)
    file, kept = tmp_path / "key", tmp_path / "other key"
    file.write_text(KEYS[0])
    kept.write_text("m" * 32)
    environ = {
        "OPENAI_API_KEY_FILE": str(file),
        "MISTRAL_API_KEY_FILE": str(kept),
        "MONITORING_ENABLED": "false",
        "ORCHESTRATOR_PLUGIN_LOAD_TIMEOUT": "0.5",
    }
    async with (
        served(tmp_path, [OpenAIProvider, MistralProvider], environ) as gateway,
        aiohttp.ClientSession() as client,
    ):
        registry, signals = gateway.gateway.registry, Signals()

        def held(name: str) -> list[str]:
            return [key.reveal() for key in registry.providers[name].keys]

        def read() -> Config:
            return load(environ=environ, directory=tmp_path)

        taking = asyncio.create_task(take_keys(gateway.gateway, signals, read))
        file.unlink()
        kept.write_text("n" * 32)
        try:
            with hanging(pipe := tmp_path / "hung", KEYS[1].encode()) as hangs:
                file.symlink_to(pipe)
                signals.hangup.set()
                async with asyncio.timeout(20):
                    while not log.calls:
                        async with client.get(f"{gateway.url}/health/live") as response:
                            assert response.status == 200
                        await asyncio.sleep(0.01)
                (problem,) = log.calls[0].kwargs["problems"]
                assert problem.startswith("reading and judging the keys of openai took longer than 0.5 s")
                async with asyncio.timeout(20):
                    while held("mistral") != ["n" * 32]:
                        await asyncio.sleep(0.01)
                assert held("openai") == KEYS[:1]
                file.unlink()
                file.write_text(KEYS[2])
                signals.hangup.set()
                async with asyncio.timeout(20):
                    while held("openai") != KEYS[2:]:
                        await asyncio.sleep(0.01)
                assert hangs(), "it serves while the file hangs"
            await asyncio.to_thread(the_readers_end)
            assert held("openai") == KEYS[2:], "what comes too late is not taken"
        finally:
            taking.cancel()
            await asyncio.wait([taking])


def the_readers_end() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("plugin: reading"):
            thread.join(20)


async def test_where_no_thread_is_to_be_had_the_next_signal_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(tmp_path, [OpenAIProvider], {"OPENAI_API_KEY": KEYS[0]}) as gateway:
        registry, signals = gateway.gateway.registry, Signals()
        log, tries = CapturingLogger(), 0
        monkeypatch.setattr(keys, "_logger", log)

        def read() -> Config:
            return load(environ={"OPENAI_API_KEY": KEYS[1]}, directory=tmp_path)

        def fresh_keys(config: Config, timeout: float) -> FreshRegistry:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise RuntimeError("can't start new thread")
            return Registry.fresh_keys(registry, config, timeout)

        monkeypatch.setattr(registry, "fresh_keys", fresh_keys)
        taking = asyncio.create_task(take_keys(gateway.gateway, signals, read))
        async with asyncio.timeout(20):
            signals.hangup.set()
            while not log.calls:
                await asyncio.sleep(0.01)
            signals.hangup.set()
            while registry.providers["openai"].keys[0].reveal() != KEYS[1]:
                await asyncio.sleep(0.01)
        taking.cancel()
        await asyncio.wait([taking])


def test_a_stop_does_not_wait_for_a_file_that_hangs(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY_FILE": str(tmp_path / "key"), "ORCHESTRATOR_PLUGIN_LOAD_TIMEOUT": "20"}
    (tmp_path / "key").write_text(KEYS[0])

    async def serve_and_stop() -> None:
        async with served(tmp_path, [OpenAIProvider], environ) as gateway:
            (tmp_path / "key").unlink()
            os.mkfifo(tmp_path / "key")
            signals = Signals()
            signals.hangup.set()
            reload = partial(load, environ=environ, directory=tmp_path)
            taking = asyncio.create_task(take_keys(gateway.gateway, signals, reload))
            while not any(thread.name.startswith("plugin: reading and judging") for thread in threading.enumerate()):
                await asyncio.sleep(0.01)
            taking.cancel()
            await asyncio.wait([taking])

    began = time.monotonic()
    asyncio.run(serve_and_stop())
    assert time.monotonic() - began < 15
    (tmp_path / "key").write_text(KEYS[1])
    the_readers_end()


async def test_what_a_file_says_too_late_is_not_kept_for_processes_that_start_later(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEYS[0])
    environ = {"OPENAI_API_KEY_FILE": str(file), "ORCHESTRATOR_PLUGIN_LOAD_TIMEOUT": "0.5"}
    async with served(tmp_path, [OpenAIProvider], environ) as gateway:
        config, registry = gateway.gateway.config, gateway.gateway.registry

        def take() -> Sequence[str]:
            fresh = keys.read_keys(config, registry, lambda: load(environ=environ, directory=tmp_path))
            keys.keep_keys(config, fresh)
            return fresh.problems

        def kept() -> list[str]:
            return [key.reveal() for key in config.provider(OpenAIProvider.info, OpenAIProvider.settings_model).keys]

        file.unlink()
        with hanging(pipe := tmp_path / "hung", KEYS[1].encode()):
            file.symlink_to(pipe)
            assert len(await asyncio.to_thread(take)) == 1
            file.unlink()
            file.write_text(KEYS[2])
            assert await asyncio.to_thread(take) == []
            assert kept() == KEYS[2:]
        await asyncio.to_thread(the_readers_end)
        assert kept() == KEYS[2:]


def test_a_file_of_countries_that_hangs_changes_nothing(tmp_path: Path) -> None:
    def write(path: Path, code: str) -> Path:
        writer = MMDBWriter(database_type="GeoLite2-Country")
        writer.insert_network(IPSet(["203.0.113.0/24"]), {"country": {"iso_code": code}})
        writer.to_db_file(str(path))
        return path

    file, late = write(tmp_path / "countries.mmdb", "FR"), write(tmp_path / "late.mmdb", "IT").read_bytes()
    countries, address = Countries(file), read_address("203.0.113.7")
    assert address is not None
    config = load(environ={"ORCHESTRATOR_PLUGIN_LOAD_TIMEOUT": "0.5"}, directory=tmp_path)
    file.unlink()
    with hanging(file, late):
        (problem,) = keys.read_countries(config, countries)
        assert problem.startswith("reading the file of countries took longer than 0.5 s")
        assert countries.of(address) == "FR"
    the_readers_end()
    assert countries.of(address) == "FR"
