"""A gateway ends when it is told to, whatever its plugins do."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fake_packages import install_plugin
from fake_providers.broken import PROLOGUE, chatting
from processes import GatewayProcess

IGNORING = """\
async def ignoring():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

"""
STUBBORN = chatting("stubborn", "async def chat(self, request):\n        yield Start()\n        await ignoring()")
LOOSE = chatting(
    "loose",
    "async def chat(self, request):\n"
    "        self.task = asyncio.create_task(ignoring())\n"
    "        yield Start()\n        yield TextDelta(text='fine')\n        yield Finish()",
)


@pytest.fixture
def gateway(tmp_path: Path, gateway_process: Callable[..., Any]) -> Any:
    sites = [
        install_plugin(tmp_path / "plugins", f"orchestrator-{name}", name, PROLOGUE + IGNORING + source, cls="Plugin")
        for name, source in (("stubborn", STUBBORN), ("loose", LOOSE))
    ]
    return gateway_process(
        environ={
            "PYTHONPATH": ":".join(sites),
            "ORCHESTRATOR_TOTAL_TIMEOUT": "3",
            "ORCHESTRATOR_SHUTDOWN_GRACE": "0.2",
            "ORCHESTRATOR_LOG_FORMAT": "json",
        }
    )


def chat(gateway: GatewayProcess, name: str) -> tuple[int, Any]:
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()
    sent = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{gateway.url}/api/v1/{name}/chat", body, sent)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_plugin_that_ignores_the_deadline_is_left_behind(gateway: GatewayProcess) -> None:
    status, body = chat(gateway, "stubborn")
    assert (status, body["error_type"]) == (504, "provider_timeout")
    status, body = chat(gateway, "stubborn")
    assert (status, body["error_type"]) == (502, "plugin_error")
    assert "quarantined" in body["error"]
    assert gateway.stop() == 0


def test_a_call_that_ignores_its_cancellation_does_not_keep_the_process(gateway: GatewayProcess) -> None:
    def ask() -> None:
        with suppress(OSError):  # the gateway may be gone before it can say so
            chat(gateway, "stubborn")

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join(0.5)
    assert gateway.stop() == 0
    asking.join()


def test_a_task_of_a_plugin_that_ignores_its_cancellation_does_not_either_and_is_named(gateway: GatewayProcess) -> None:
    assert chat(gateway, "loose")[0] == 200
    assert gateway.stop() == 0
    (line,) = [line for line in gateway.output().splitlines() if "left behind" in line]
    assert json.loads(line)["plugin"] == "orchestrator_loose"
