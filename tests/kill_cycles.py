"""Kills a gateway under load again and again, and holds what it kept against what it had acknowledged."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from processes import GatewayProcess

ENVIRON = {"ECHO_DELAY": "0.003", "ECHO_API_KEY": "", "LOG_LEVEL": "WARNING"}
ROUND = 50
"""Kills after which everything is checked, and new sessions begin."""

Start = Callable[[Path], GatewayProcess]


@dataclass
class Tally:
    """What came of it.

    Attributes:
        kills: How often the gateway was killed.
        under_way: How many requests were under way when it was.
        acknowledged: Turns that a client was told of.
        lost: Acknowledged turns that were not there afterwards.
        doubled: Messages that were there twice.
        broken: Failures of the database's own check, and turns that no process would ever end.
        restarts: Seconds from each start to the first 200 of `/health/ready`.
    """

    kills: int = 0
    under_way: int = 0
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    restarts: list[float] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """All that must not be."""
        return [*self.lost, *self.doubled, *self.broken]


class Talker:
    """Has one conversation, keeps to one key until a turn is acknowledged, and writes down what was."""

    def __init__(self, gateway: Callable[[], str], name: str, chance: random.Random) -> None:
        self.gateway = gateway
        self.name = name
        self.chance = chance
        self.session: str | None = None
        self.ledger: list[tuple[str, str]] = []
        self.asking = False

    async def talk(self, stop: asyncio.Event) -> None:
        """Say one thing after the other until told to stop; the last one is seen through."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
            number = 0
            while not stop.is_set():
                number += 1
                await self._say(http, f"{self.name}.{number} is {self.chance.getrandbits(40):x}")

    async def _say(self, http: aiohttp.ClientSession, text: str) -> None:
        streams = self.chance.random() < 0.3  # once for all tries: a key stands for one request
        while True:
            self.asking = True
            try:
                answer = await self._ask(http, text, streams=streams)
            except (aiohttp.ClientError, ConnectionError, TimeoutError):
                answer = None
            finally:
                self.asking = False
            if answer is not None:
                self.ledger.append((text, answer))
                return
            await asyncio.sleep(0.02)

    async def _ask(self, http: aiohttp.ClientSession, text: str, *, streams: bool) -> str | None:
        """Return the answer once it is acknowledged; a stream is when its last event has come."""
        body: dict[str, Any] = {"message": text, "agent_config": {"provider": "echo"}}
        if self.session is not None:
            body["session_id"] = self.session
        if streams:
            body["stream"] = True
        url, key = f"{self.gateway()}/api/orchestrate", {"Idempotency-Key": text.split(maxsplit=1)[0]}
        async with http.post(url, json=body, headers=key) as response:
            if response.status in (409, 503):
                return None
            if response.status != 200:
                raise AssertionError(f"{response.status}: {await response.text()}")
            if "stream" not in body:
                done = await response.json()
            else:
                *_, last = [line async for line in response.content if line.startswith(b"data:")] or [b"data:{}"]
                done = json.loads(last.removeprefix(b"data:"))
                if "response" not in done:
                    return None
        self.session = done["session_id"]
        answer: str = done["response"]
        return answer


class KillCycles:
    """A gateway, those who talk with it, and the hand that kills it."""

    def __init__(self, start: Start, directory: Path, seed: int, *, talkers: int = 8) -> None:
        self._start = start
        self._directory = directory
        self._chance = random.Random(seed)
        self._talkers = talkers
        self._gateway: GatewayProcess
        self.tally = Tally()

    async def run(self, cycles: int, told: Callable[[Tally], None] = lambda tally: None) -> Tally:
        """Kill so often, in rounds."""
        self._begin()
        try:
            while self.tally.kills < cycles:
                await self._round(min(ROUND, cycles - self.tally.kills), told)
        finally:
            self._gateway.stop(signal.SIGKILL)
        return self.tally

    def _begin(self) -> None:
        began = time.monotonic()
        self._gateway = self._start(self._directory)
        self.tally.restarts.append(time.monotonic() - began)

    async def _round(self, kills: int, told: Callable[[Tally], None]) -> None:
        stop, first = asyncio.Event(), self.tally.kills
        talkers = [
            Talker(lambda: self._gateway.url, f"{first}/{number}", random.Random(self._chance.random()))
            for number in range(self._talkers)
        ]
        talking = [asyncio.create_task(talker.talk(stop)) for talker in talkers]
        try:
            for _ in range(kills):
                await asyncio.sleep(self._chance.uniform(0.02, 0.4))
                self.tally.under_way += sum(talker.asking for talker in talkers)
                self._gateway.process.kill()
                await asyncio.to_thread(self._gateway.process.wait)
                self.tally.kills += 1
                await asyncio.to_thread(self._begin)
                told(self.tally)
            stop.set()
            async with asyncio.timeout(30):
                await asyncio.gather(*talking)
        finally:
            for task in talking:
                task.cancel()
            await asyncio.gather(*talking, return_exceptions=True)
        await self._compare(talkers)
        self._check_file()

    async def _compare(self, talkers: list[Talker]) -> None:
        async with aiohttp.ClientSession() as http:
            for talker in talkers:
                told = [entry for pair in talker.ledger for entry in pair]
                kept = await self._history(http, talker.session) if talker.session else []
                self.tally.acknowledged += len(talker.ledger)
                self.tally.lost += [f"lost: {entry}" for entry in (Counter(told) - Counter(kept)).elements()]
                self.tally.doubled += [f"doubled: {entry}" for entry, times in Counter(kept).items() if times > 1]
                if not self.tally.faults and told != kept:
                    self.tally.broken.append(f"order of {talker.name}: {told} / {kept}")

    async def _history(self, http: aiohttp.ClientSession, session: str) -> list[str]:
        said: list[str] = []
        while True:
            url = f"{self._gateway.url}/api/sessions/{session}/history?limit=100&offset={len(said)}"
            async with http.get(url) as response:
                page = await response.json()
            said += [message["content"] for message in page["messages"]]
            if not page["has_more"]:
                return said

    def _check_file(self) -> None:
        with sqlite3.connect(f"file:{self._directory}/orchestrator.db?mode=ro", uri=True) as database:
            found = [*database.execute("PRAGMA integrity_check"), *database.execute("PRAGMA foreign_key_check")]
            self.tally.broken += [f"integrity: {row}" for row in found if row != ("ok",)]
            states = database.execute("SELECT state, count(*) FROM turns WHERE state <> 'complete' GROUP BY 1")
            self.tally.broken += [f"turns: {row}" for row in states]
        database.close()
