"""Run as a process: discovers what is installed, calls every provider, and prints what happened as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import structlog

from orchestrator_core.config import ConfigError, load
from orchestrator_core.plugins import Provider, Registry, discover
from orchestrator_core.provider_api import (
    ChatRequest,
    Deadline,
    GatewayError,
    TextDelta,
    one_by_one,
    text_message,
)
from orchestrator_core.upstream import ClientFactory, UpstreamLimits

LOGGED: list[Mapping[str, Any]] = []


def remember(_: object, __: str, event: Any) -> Any:
    """Keep what is logged, with the time."""
    LOGGED.append({"at": time.monotonic(), **{name: str(value) for name, value in event.items()}})
    raise structlog.DropEvent


async def ask(provider: Provider) -> str:
    """Return the text of an answer, or the code of the error."""
    request = ChatRequest(model="m", messages=[text_message("user", "Hello")], deadline=Deadline.after(5))
    try:
        async with aclosing(one_by_one(provider.chat(request))) as events:
            return "".join([event.text async for event in events if isinstance(event, TextDelta)])
    except GatewayError as error:
        return f"{error.code} {error.status} {error.provider}"


async def ask_all(registry: Registry) -> dict[str, Any]:
    """Ask every provider, the one that blocks twice, and the echo after each."""
    answers, echoes, delays = {}, [], {}
    for name, provider in dict(registry.providers).items():
        began = time.monotonic()
        answers[name] = await ask(provider)
        await asyncio.sleep(0)
        delays[name] = began
        echoes.append(await ask(registry.get("echo")))
    again = await ask(registry.get("blocking")) if "blocking" in answers else None
    named = [
        {**event, "after": event["at"] - delays[event["provider"]]}
        for event in LOGGED
        if event["event"] == "plugin blocks the event loop"
    ]
    return {"answers": answers, "echoes": echoes, "again": again, "named": named}


async def main() -> dict[str, Any]:
    """Discover, call, and tell."""
    structlog.configure(processors=[remember])
    config = load(directory=Path.cwd())
    clients = ClientFactory(UpstreamLimits.from_settings(config.settings))
    try:
        try:
            registry = await discover(config, clients.client)
        except ConfigError as error:
            return {"error": type(error).__name__, "problems": list(error.problems)}
        await registry.start()
        called = await ask_all(registry)
        await registry.close()
        set_aside = {
            plugin.name: [plugin.distribution, plugin.version, plugin.reason] for plugin in registry.quarantined
        }
        logged = [{name: value for name, value in event.items() if name != "exc_info"} for event in LOGGED]
        return {**called, "quarantined": set_aside, "logged": logged}
    finally:
        await clients.close()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main())))
