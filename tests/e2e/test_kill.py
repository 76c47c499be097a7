"""A conversation survives the death of the process, whenever it comes."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

TURNS = 30
ENVIRON = {"ECHO_DELAY": "0.005", "ECHO_API_KEY": ""}


class Talker:
    """Talks with a gateway that dies now and then, and keeps a ledger of what was acknowledged."""

    def __init__(self, start: Any, directory: Path, seed: int) -> None:
        self.start = start
        self.directory = directory
        self.random = random.Random(seed)
        self.ledger: list[tuple[str, str]] = []
        self.restarts: list[float] = []
        self.gateway = start(environ=ENVIRON, directory=directory)

    async def open(self) -> None:
        async with aiohttp.ClientSession() as http, http.post(f"{self.gateway.url}/api/sessions", json={}) as response:
            assert response.status == 201
            self.session = (await response.json())["session_id"]

    async def say(self, index: int) -> None:
        """Say one thing until it is acknowledged, and kill the gateway in between."""
        text = f"fact number {index} is {self.random.getrandbits(40):x}"
        while True:
            asking = asyncio.create_task(self.ask(text, key=f"turn-{index}"))
            if self.random.random() < 0.3:
                await asyncio.sleep(self.random.uniform(0, 0.06))
                self.kill()
            answer = await asking
            if answer is not None:
                self.ledger.append((text, answer))
                return

    async def ask(self, text: str, key: str) -> str | None:
        body = {"message": text, "agent_config": {"provider": "echo"}, "session_id": self.session}
        try:
            async with (
                aiohttp.ClientSession() as http,
                http.post(
                    f"{self.gateway.url}/api/orchestrate", json=body, headers={"Idempotency-Key": key}
                ) as response,
            ):
                answer = await response.json()
                assert response.status in (200, 409), answer
                return answer["response"] if response.status == 200 else None
        except (aiohttp.ClientError, ConnectionError):
            return None

    def kill(self) -> None:
        self.gateway.stop(signal.SIGKILL)
        began = time.monotonic()
        self.gateway = self.start(environ=ENVIRON, directory=self.directory)
        self.restarts.append(time.monotonic() - began)

    async def history(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        async with aiohttp.ClientSession() as http:
            while True:
                url = f"{self.gateway.url}/api/sessions/{self.session}/history?limit=50&offset={len(messages)}"
                async with http.get(url) as response:
                    page = await response.json()
                messages += page["messages"]
                if not page["has_more"]:
                    return messages


@pytest.mark.parametrize("seed", [20261121])
async def test_thirty_turns_survive_kills_between_and_during_turns(
    gateway_process: Any, tmp_path: Path, seed: int
) -> None:
    talker = Talker(gateway_process, tmp_path, seed)
    await talker.open()
    for index in range(TURNS):
        await talker.say(index)
        if index % 10 == 9:
            talker.kill()

    told = [(m["role"], m["content"]) for m in await talker.history()]

    assert [entry for pair in talker.ledger for entry in (("user", pair[0]), ("assistant", pair[1]))] == told
    assert talker.gateway.stop() == 0
    with sqlite3.connect(tmp_path / "orchestrator.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT DISTINCT state FROM turns").fetchall() == [("complete",)]
    print(f"seed {seed}: {len(talker.restarts)} kills, ready again within {max(talker.restarts):.2f} s")
