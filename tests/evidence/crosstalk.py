"""100,000 requests of several tenants at once, each with a word of its own: every answer holds its own word alone.

    python tests/evidence/crosstalk.py --requests 100000

A real gateway with the echo as its provider; three tenants ask on every surface, as JSON and as streams, with sessions
and without, 64 at a time. It ends with 1 where an answer has not its own word, or has that of another request; turns of
a session may repeat what was said in it before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))

from processes import running_gateways

ADMIN = "9f2c4b7a1d3e5f60718293a4b5c6d7e8"
ENVIRON = {
    "LOG_LEVEL": "ERROR",
    "MONITORING_ENABLED": "false",
    "ORCHESTRATOR_PROVIDERS": "echo",
    "ORCHESTRATOR_CLIENT_KEY": ADMIN,
    "ORCHESTRATOR_MAX_LOOP_LAG": "60",  # nobody is refused because others keep the processor busy
}
TENANTS = 3
SESSIONS = 8
"""Sessions of each tenant; their turns come one after the other."""

TURNS = 50
"""Turns of a session; then another one begins."""

WORD = re.compile(rb"canary[0-9a-f]{16}")


@dataclass
class Session:
    """A session of a tenant."""

    id: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    said: set[bytes] = field(default_factory=set)


@dataclass
class Tenant:
    """A tenant."""

    key: str
    sessions: list[Session] = field(default_factory=list)


class Crosstalk:
    """Asks, and looks at what comes back."""

    def __init__(self, url: str, client: aiohttp.ClientSession, draws: random.Random) -> None:
        self._url = url
        self._client = client
        self._draws = draws
        self.tenants: list[Tenant] = []
        self.kinds = Counter[str]()
        self.faults: list[str] = []

    async def prepare(self) -> None:
        """Make the tenants and their sessions."""
        for number in range(TENANTS):
            made = json.loads(await self._post("/api/clients", ADMIN, {"name": f"tenant {number}"}))
            tenant = Tenant(made["key"])
            for _ in range(SESSIONS):
                tenant.sessions.append(Session(await self._begin(tenant.key)))
            self.tenants.append(tenant)

    async def _begin(self, key: str) -> str:
        session_id: str = json.loads(await self._post("/api/sessions", key, {}))["session_id"]
        return session_id

    async def ask(self) -> None:
        """Make one request of a kind that is drawn."""
        tenant = self._draws.choice(self.tenants)
        word = f"canary{self._draws.getrandbits(64):016x}"
        stream = self._draws.random() < 0.5
        kind = self._draws.choice(("completions", "messages", "connector", "orchestrate", "session", "joined"))
        self.kinds[f"{kind}{' stream' if stream else ''}"] += 1
        said = {"messages": [{"role": "user", "content": f"say {word}"}], "model": "echo/echo", "stream": stream}
        own = {word.encode()}
        match kind:
            case "completions":
                body = await self._post("/v1/chat/completions", tenant.key, said)
            case "messages":
                body = await self._post("/v1/messages", tenant.key, {**said, "max_tokens": 200})
            case "connector":
                body = await self._post("/api/v1/echo/chat", tenant.key, {**said, "model": "echo"})
            case "orchestrate":
                body = await self._post("/api/orchestrate", tenant.key, {"message": f"say {word}", "stream": stream})
            case _:
                session = self._draws.choice(tenant.sessions)
                async with session.lock:
                    if len(session.said) >= TURNS:
                        session.id, session.said = await self._begin(tenant.key), set()
                    session.said |= own
                    own = session.said
                    if kind == "session":
                        turn = {"message": f"say {word}", "stream": stream, "session_id": session.id}
                        body = await self._post("/api/orchestrate", tenant.key, turn)
                    else:
                        body = await self._post("/v1/chat/completions", tenant.key, said, session.id)
        self._judge(kind, word.encode(), own, body)

    def _judge(self, kind: str, word: bytes, own: set[bytes], body: bytes) -> None:
        # Streams cut words into pieces: they are looked for in the text too.
        text = body if word in body else body + b"\n" + _joined(body)
        if word not in text:
            self.faults.append(f"{kind}: {word.decode()} is not in its answer: {body[:200]!r}")
        if others := set(WORD.findall(text)) - own:
            self.faults.append(f"{kind}: the answer to {word.decode()} has {sorted(others)[:3]}")

    async def _post(self, path: str, key: str, body: Any, session: str | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {key}"}
        if session is not None:
            headers["X-Session-Id"] = session
        async with self._client.post(self._url + path, json=body, headers=headers) as response:
            answer = await response.read()
            if response.status >= 400:
                self.faults.append(f"{path}: {response.status} {answer[:200]!r}")
            return answer


def _joined(body: bytes) -> bytes:
    """Return the text of a stream of any of the surfaces."""
    texts: dict[str, list[str]] = defaultdict(list)
    for line in body.split(b"\n"):
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        delta = event.get("delta") or (event.get("choices") or [{}])[0].get("delta") or {}
        texts["text"].append(event.get("text") or delta.get("text") or delta.get("content") or "")
    return "".join(texts["text"]).encode()


async def run(url: str, requests: int, concurrency: int, seed: int) -> list[str]:
    """Make all requests; return what is wrong."""
    connector = aiohttp.TCPConnector(limit=concurrency)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:
        crosstalk = Crosstalk(url, client, random.Random(seed))
        await crosstalk.prepare()
        left, done, began = iter(range(requests)), 0, time.monotonic()

        async def work() -> None:
            nonlocal done
            for _ in left:
                await crosstalk.ask()
                done += 1
                if done % max(1, requests // 20) == 0:
                    rate = done / (time.monotonic() - began)
                    print(f"{done} requests, {rate:.0f} a second, {len(crosstalk.faults)} faults", flush=True)

        await asyncio.gather(*(work() for _ in range(concurrency)))
        took = time.monotonic() - began
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(crosstalk.kinds.items()))
    print(
        f"{requests} requests of {TENANTS} tenants, {concurrency} at a time, {took:.0f} s ({kinds}): "
        f"{len(crosstalk.faults)} faults",
        flush=True,
    )
    return crosstalk.faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (gateway,) = stack.enter_context(running_gateways(folder, ENVIRON, 1))
        faults = asyncio.run(run(gateway.url, options.requests, options.concurrency, options.seed))
    for fault in faults[:50]:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
