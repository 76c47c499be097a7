from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from orchestrator_core.sessions.schema import URL_VARIABLE
from stores import MAX_IDLE, TENANT, copy_to, plain_store, sqlite_store

CYCLES = 12
PROGRAM = Path(__file__).with_name("talking.py")


def start(path: Path, cycle: int, limit: int = 0) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(PROGRAM), str(path), str(cycle), str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run_and_kill(path: Path, cycle: int, chance: random.Random) -> list[list[str]]:
    """Let a process talk for a random time, kill it, and return what it was told."""
    with start(path, cycle) as process:
        assert process.stdout is not None
        first = [] if chance.random() < 0.2 else [process.stdout.readline()]
        timer = threading.Timer(chance.uniform(0.0, 0.25), process.kill)
        timer.start()
        output = b"".join([*first, process.stdout.read()])
        timer.join()
        assert process.wait() == -9
    # A line that was cut by the end was not said.
    return [line.split() for line in output.decode().split("\n")[:-1] if line]


async def check(path: Path, begun: Sequence[tuple[str, str]], ended: Sequence[tuple[str, str]]) -> None:
    before = time.monotonic()
    store = sqlite_store(path)
    await store.open()
    assert time.monotonic() - before < 2
    found: Counter[str] = Counter()
    for session in {session for session, _ in begun}:
        page = await store.history(TENANT, session, limit=100_000)
        assert [message.sequence for message in page.items] == list(range(1, len(page.items) + 1))
        assert {message.turn_state for message in page.items} <= {"complete", "interrupted"}
        found.update(message.message.text.rstrip(".") for message in page.items)
        users = sum(message.message.role == "user" for message in page.items)
        assert (await store.get_session(TENANT, session)).message_count == users
    assert not [text for _, text in begun if found[text] != 1]
    assert not [text for _, text in ended if found[f"re:{text}"] != 1]
    assert not [text for text, times in found.items() if times > 1]
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("SELECT count(*) FROM turns WHERE state = 'pending'").fetchone() == (0,)


async def test_nothing_acknowledged_is_lost_or_doubled_by_kill(path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    copy_to(path)
    told: list[list[str]] = []
    ended: list[tuple[str, str]] = []
    for cycle in range(CYCLES):
        told += run_and_kill(path, cycle, chance)
        begun = [(line[1], line[2]) for line in told if line[0] == "begun"]
        ended = [(line[1], line[2]) for line in told if line[0] == "ended"]
        await check(path, begun, ended)
    assert len(ended) > CYCLES


async def test_a_file_that_may_not_grow_is_told_and_read_on(path: Path) -> None:
    copy_to(path)
    with start(path, 0, limit=600_000) as process:
        output, errors = process.communicate(timeout=20)
    lines = [line.split() for line in output.decode().splitlines()]
    assert ["error", "storage_full"] in lines, errors
    assert lines[-1][0] == "read", errors
    begun = [(line[1], line[2]) for line in lines if line[0] == "begun"]
    await check(path, begun, [(line[1], line[2]) for line in lines if line[0] == "ended"])


def kill_a_migration(path: Path, delay: float) -> None:
    command = [sys.executable, "-m", "orchestrator_core.sessions.migrate"]
    environment = {**os.environ, URL_VARIABLE: f"sqlite:///{path}"}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment) as process:
        timer = threading.Timer(delay, process.kill)
        timer.start()
    timer.join()


async def test_a_killed_migration_is_made_again(tmp_path: Path) -> None:
    for number, delay in enumerate((0.3, 0.45)):
        path = tmp_path / f"{number}.db"
        await asyncio.to_thread(kill_a_migration, path, delay)
        store = plain_store(path, max_idle=MAX_IDLE)
        await store.open()
        await store.ping()
        await store.close()
