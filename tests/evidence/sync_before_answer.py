"""What is acknowledged is on the disk: watches a gateway's system calls while it holds turns on SQLite.

    python tests/evidence/sync_before_answer.py --turns 20

`strace` tells in which order the gateway writes and syncs the write-ahead log, asks the provider, and answers. It ends
with 1 where bytes that acknowledge something left the socket before the log was synced. Linux with `strace` alone.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))

from processes import GatewayProcess, start_gateway
from replicas import CountingUpstream

CALLS = "fdatasync,fsync,pwrite64,write,writev,sendto,sendmsg"
ENVIRON = {
    "LOG_LEVEL": "WARNING",
    "MONITORING_ENABLED": "false",
    "ORCHESTRATOR_PROVIDERS": "openai",
    "SESSION_SUMMARIZATION_THRESHOLD": "1000000",  # nothing but the turns is to write
}

_LINE = re.compile(r"(?P<thread>\d+) +(?P<resumed><\.\.\. )?(?P<call>\w+)(?P<rest>.*)")
_SYNCS = frozenset({"fdatasync", "fsync"})
_SENDS = frozenset({"sendto", "sendmsg", "write", "writev"})
_PATH = re.compile(r"\(\d+<(?P<path>.+?)>[,) ]")


class Step(NamedTuple):
    """Something that the gateway did: `wrote` the log, `syncing` and `synced` it, `asked` a provider, `answered`."""

    kind: str
    said: str = ""


def steps(trace: str, gateway: int, upstream: int) -> Iterator[Step]:
    """Read a trace.

    Args:
        trace: What `strace -f -yy` wrote.
        gateway: The port that the gateway listens on.
        upstream: The port that the provider listens on.
    """
    syncing: set[str] = set()
    for line in trace.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        thread, call, rest = found["thread"], found["call"], found["rest"]
        if found["resumed"]:
            if call in _SYNCS and thread in syncing:
                syncing.discard(thread)
                yield Step("synced")
            continue
        place = _PATH.match(rest)
        path = place["path"] if place else ""
        if path.endswith("-wal"):
            if call not in _SYNCS:
                yield Step("wrote")
                continue
            yield Step("syncing")
            if "<unfinished" in rest:
                syncing.add(thread)
            else:
                yield Step("synced")
        elif call in _SENDS and path.startswith("TCP"):
            if f":{gateway}->" in path:
                yield Step("answered", rest)
            elif f"->127.0.0.1:{upstream}" in path:
                yield Step("asked", rest)


class Judge:
    """Follows the steps of turns that come one after the other."""

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.faults: list[str] = []
        self._written = self._synced = self._syncing = 0
        self._since_answer = self._since_asked = 0
        self._begun = False

    def follow(self, step: Step) -> None:
        """Take note of a step."""
        match step.kind:
            case "wrote":
                self._written += 1
            case "syncing":
                self._syncing = self._written
            case "synced":
                self._synced = self._syncing
                self._since_answer += 1
                self._since_asked += 1
            case "asked":
                if "POST " in step.said:
                    self._need("the question was stored before the provider was asked", self._since_answer)
                self._since_asked = 0
            case "answered":
                self._answered(step.said)

    def _answered(self, said: str) -> None:
        self._begun |= "HTTP/1.1 201" in said  # what was answered before is whether the gateway is ready
        if not self._begun:
            return
        if "text/event-stream" in said:
            self._need("the question was stored before the first byte of a stream", self._since_answer)
        if "event: done" in said:
            self._need("the answer was stored before the last event of a stream", self._since_asked)
        elif "HTTP/1.1 200" in said and "application/json" in said:
            self._need("the answer was stored before the first byte of an answer", self._since_asked)
        elif "HTTP/1.1 201" in said:
            self._need("a session was stored before the first byte of its answer", self._since_answer)
        else:
            return
        self._since_answer = 0

    def _need(self, what: str, syncs: int) -> None:
        if syncs and self._synced == self._written:
            self.counts[what] += 1
        else:
            self.faults.append(f"not so: {what} ({self._written - self._synced} writes not synced, {syncs} syncs)")


async def hold(gateway: GatewayProcess, turns: int) -> None:
    """Hold turns one after the other, whole and as streams."""
    async with aiohttp.ClientSession(gateway.url) as http:
        async with http.post("/api/sessions", json={}) as response:
            session = (await response.json())["session_id"]
        for number in range(turns):
            body = {"message": f"turn {number}", "session_id": session, "agent_config": {"provider": "openai"}}
            async with http.post("/api/orchestrate", json={**body, "stream": number % 2 == 1}) as response:
                said = await response.text()
                assert response.status == 200, said


async def watch(turns: int) -> Judge:
    """Hold turns with a gateway that is watched."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trace = folder / "trace"
        # -D: the tracer is the child, so that what is sent to the gateway's process reaches the gateway.
        tracer = ("strace", "-D", "-f", "-yy", "-s", "300", "-o", str(trace), "-e", f"trace={CALLS}")
        async with CountingUpstream() as upstream:
            environ = upstream.environ()
            gateway = await asyncio.to_thread(start_gateway, folder, {**ENVIRON, **environ}, wrapped=tracer)
            try:
                await hold(gateway, turns)
            finally:
                await asyncio.to_thread(gateway.stop)
            ports = [int(url.split(":")[2].split("/")[0]) for url in (gateway.url, environ["OPENAI_BASE_URL"])]
        judge = Judge()
        for step in steps(trace.read_text(errors="replace"), *ports):
            judge.follow(step)
        return judge


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=20)
    options = parser.parse_args()
    if shutil.which("strace") is None:
        print("strace is not installed: nothing was watched")
        return 0
    judge = asyncio.run(watch(options.turns))
    for what, times in judge.counts.items():
        print(f"{times} times {what}")
    for fault in judge.faults:
        print(fault)
    # A session; providers that are asked; streams that begin; turns that end.
    expected = 1 + options.turns + options.turns // 2 + options.turns
    seen = sum(judge.counts.values()) + len(judge.faults)
    if seen != expected:
        print(f"{seen} acknowledgements were seen, {expected} were made: the trace was not understood")
        return 1
    return 1 if judge.faults else 0


if __name__ == "__main__":
    sys.exit(main())
