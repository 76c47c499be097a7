"""Runs what readers copy from the documentation, against a real gateway over servers that play the vendors."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from aiohttp import ClientSession

from fake_upstreams.strict import StrictVendor
from fake_upstreams.strict_openai import StrictOpenAI
from pairs.clients import KEYS
from pairs.dialogue import STRICT
from processes import inherited_environment, running_gateways

WRITTEN = ("http://127.0.0.1:8000", "http://localhost:8000", "localhost:8000")
"""How the documentation writes the gateway's address."""

needs_curl = pytest.mark.skipif(which("curl") is None, reason="curl is not installed, which the documentation uses")

WITHIN = 180.0
"""Seconds in which all commands of a page are done: each start of the command takes seconds on a busy machine."""

PRELUDE = """\
set -eo pipefail
curl() { command curl --fail-with-body --silent --show-error "$@"; }
"""
"""Makes a refusal of the gateway an error of the shell."""


@dataclass(frozen=True)
class Reader:
    """Somebody who follows the documentation, beside a gateway.

    Attributes:
        url: Where the gateway listens.
        folder: Where its configuration and its database are, and where the commands run.
        environ: What is set where they run: keys and addresses of the vendors.
        vendors: The servers that play the vendors, by the provider's name.
    """

    url: str
    folder: Path
    environ: Mapping[str, str]
    vendors: Mapping[str, StrictVendor]

    async def shell(self, text: str, **placeholders: str) -> str:
        """Run commands in a shell that stops at the first that fails, and return what they print."""
        return await self._run(["bash", "-c", PRELUDE + self._filled(text, placeholders)])

    async def python(self, text: str, **placeholders: str) -> str:
        """Run Python, and return what it prints."""
        return await self._run([sys.executable, "-c", self._filled(text, placeholders)])

    async def conversation(self) -> dict[str, str]:
        """Hold a conversation of two turns, and return the ids of the session and of the first turn."""
        async with ClientSession(self.url) as http:
            said: dict[str, Any] = {"message": "My name is Ada.", "agent_config": {"provider": "echo"}}
            answers = []
            for _ in range(2):
                async with http.post("/api/orchestrate", json=said) as response:
                    answers.append(await response.json())
                said["session_id"] = answers[0]["session_id"]
        return {"sess": answers[0]["session_id"], "turn": answers[0]["metadata"]["turn_id"]}

    def _filled(self, text: str, placeholders: Mapping[str, str]) -> str:
        for written in WRITTEN:
            text = text.replace(written, self.url)
        for name, value in placeholders.items():
            text = text.replace(f"{name}_...", value)
        return text

    async def _run(self, command: list[str]) -> str:
        inherited = inherited_environment()
        path = f"{Path(sys.executable).parent}:{inherited['PATH']}"
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env={**inherited, **self.environ, "PATH": path},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(WITHIN):
            printed, _ = await process.communicate()
        assert process.returncode == 0, f"{command[-1]}\n{printed.decode()}"
        return printed.decode()


@asynccontextmanager
async def reader(folder: Path, **further: str) -> AsyncIterator[Reader]:
    """Serve every vendor, a server that an operator named `ollama`, and a gateway over all of them.

    Args:
        folder: Where the gateway gets a folder of its own.
        further: More settings of the gateway.
    """
    async with AsyncExitStack() as stack:
        vendors = {name: await stack.enter_async_context(kind()) for name, kind in STRICT.items()}
        environ = {"MONITORING_ENABLED": "false", **further}
        for name, vendor in vendors.items():
            environ |= {f"{name.upper()}_BASE_URL": vendor.url, f"{name.upper()}_API_KEY": KEYS[name]}
        vendors["ollama"] = await stack.enter_async_context(StrictOpenAI())
        environ["ORCHESTRATOR_SERVERS"] = json.dumps(
            {"ollama": {"base_url": vendors["ollama"].url, "default_model": "llama3.2"}}
        )
        gateways = running_gateways(folder, environ)
        (gateway,) = await asyncio.to_thread(gateways.__enter__)
        stack.push_async_callback(asyncio.to_thread, gateways.__exit__, None, None, None)
        yield Reader(gateway.url, gateway.directory, environ, vendors)
