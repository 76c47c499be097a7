"""A process that has conversations until it is killed, and tells on its output what was acknowledged to it."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from datetime import timedelta
from pathlib import Path

from orchestrator_core.provider_api import GatewayError, text_message
from orchestrator_core.sessions.conversations import Conversations
from orchestrator_core.sessions.databases.sqlite import SqliteDatabase
from orchestrator_core.sessions.models import NewTurn, TurnOutcome

TENANT = "acme"
WORKERS = 8


def tell(*words: object) -> None:
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


async def talk(store: Conversations, prefix: str) -> None:
    session, number = None, 0
    while True:
        number += 1
        text = f"{prefix}.{number}"
        turn = NewTurn(messages=[text_message("user", text)], session_id=session, idempotency_key=text)
        started = await store.begin_turn(TENANT, turn)
        session = started.session.id
        tell("begun", session, text)
        answer = text_message("assistant", f"re:{text}" + "." * 500)
        await store.finish_turn(TENANT, started, TurnOutcome(state="complete", message=answer))
        tell("ended", session, text)


async def main() -> None:
    path, cycle, limit = sys.argv[1:]
    if int(limit):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    store = Conversations(SqliteDatabase(Path(path), busy_timeout=5.0), max_idle=timedelta(hours=1))
    await store.open()
    tell("open")
    try:
        await asyncio.gather(*(talk(store, f"{cycle}/{worker}") for worker in range(WORKERS)))
    except GatewayError as error:
        tell("error", error.code)
        page = await store.list_sessions(TENANT, limit=100)
        for session in page.items:
            await store.history(TENANT, session.id, limit=100)
        tell("read", len(page.items))


if __name__ == "__main__":
    asyncio.run(main())
