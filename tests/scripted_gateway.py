"""A gateway on a real socket, inside the test: its providers do what the test tells them to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.config import load
from orchestrator_core.orchestration import Gateway
from orchestrator_core.plugins import Provider, Registry
from orchestrator_core.provider_api import ProviderContext, ProviderHooks
from orchestrator_core.server.app import make_app
from orchestrator_core.server.listening import GatewayRunner
from orchestrator_core.telemetry.metrics import Metrics
from orchestrator_core.telemetry.request_record import waiting_for_provider
from orchestrator_core.telemetry.traces import leaving_for
from orchestrator_core.upstream import ClientFactory, UpstreamLimits
from stores import sqlite_store


@dataclass
class Reply:
    """What came back.

    Attributes:
        status: The HTTP status.
        headers: The headers.
        body: The body as it came.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def events(self) -> Sequence[bytes]:
        """The data of the server-sent events."""
        return [line[6:] for line in self.body.split(b"\n") if line.startswith(b"data: ")]

    @property
    def chunks(self) -> Sequence[Any]:
        """The data of the server-sent events as JSON, without the mark of the end."""
        return [json.loads(data) for data in self.events if data != b"[DONE]"]


@dataclass
class Served:
    """A gateway that serves.

    Attributes:
        url: Where.
        gateway: The gateway.
        plugins: The scripted plugins, by id.
    """

    url: str
    gateway: Gateway
    plugins: Mapping[str, ScriptedProvider]
    _client: aiohttp.ClientSession

    async def post(self, path: str, body: Any, **headers: str) -> Reply:
        """Post JSON; names of headers have `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._client.post(self.url + path, json=body, headers=named) as response:
            return Reply(response.status, response.headers, await response.read())

    async def get(self, path: str) -> Reply:
        """Get a path, which is sent as it is written."""
        async with self._client.get(URL(self.url + path, encoded=True)) as response:
            return Reply(response.status, response.headers, await response.read())


@asynccontextmanager
async def served(
    directory: Path, plugins: Sequence[type[ProviderHooks]], environ: Mapping[str, str] | None = None
) -> AsyncIterator[Served]:
    """Serve these plugins, configured by `environ`, on a store in `directory`."""
    config = load(environ=environ or {}, directory=directory)
    clients = ClientFactory(UpstreamLimits.from_settings(config.settings), waiting_for_provider, leaving_for)
    providers, scripted = [], {}
    for plugin in plugins:
        own = config.provider(plugin.info, plugin.settings_model)
        name, upstream = plugin.info.name, clients.client(plugin.info.auth)
        instance = plugin(ProviderContext(provider_id=name, settings=own.settings, client=upstream))
        providers.append(Provider(instance, own.keys))
        if isinstance(instance, ScriptedProvider):
            scripted[name] = instance
    registry = Registry(providers)
    store = sqlite_store(directory / "orchestrator.db")
    gateway = Gateway(config, registry, store, Metrics())
    await gateway.start()
    runner = GatewayRunner(make_app(gateway, config))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as client:
            yield Served(f"http://127.0.0.1:{runner.addresses[0][1]}", gateway, scripted, client)
    finally:
        await runner.cleanup()
        await gateway.close()
        await clients.close()
