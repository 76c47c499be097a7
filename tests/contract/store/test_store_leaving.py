"""Callers leave at every moment and come again, and ends of turns are stored twice: what was told is what is stored."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from orchestrator_core.provider_api import Conflict, RequestInFlight, SessionBusy
from orchestrator_core.sessions.conversations import Conversations
from orchestrator_core.sessions.databases.base import Database
from orchestrator_core.sessions.models import NewSummary, StartedTurn, TurnOutcome
from orchestrator_core.sessions.store import SessionStore
from stores import MAX_IDLE, TENANT, answered, ask, talk, texts

CALLERS = 4
TURNS = 12
STEPS = 14
"""Steps of the event loop within which a caller leaves; a turn has begun by then on a database that is fast."""


@dataclass
class Conversation:
    """What callers say in one session, by way of either of two processes.

    Attributes:
        told: The answers that callers were told to be whole and stored, by turns.
        late: Ends of turns that are stored once more, a little later.
    """

    workers: list[Conversations]
    session: str
    chance: random.Random
    told: dict[str, str] = field(default_factory=dict)
    late: list[asyncio.Task[None]] = field(default_factory=list)

    async def caller(self, name: int) -> None:
        for number in range(TURNS):
            await self.turn(f"{name}/{number}")
            if self.chance.random() < 0.3:
                await self.summarise()

    async def turn(self, text: str) -> None:
        """Say something with a key, again and again until there is a whole answer, or the others go on without one."""
        for again in range(1000):
            worker = self.chance.choice(self.workers)
            try:
                started = await self.leaving(ask(worker, text, self.session, idempotency_key=text))
            except (SessionBusy, RequestInFlight):
                await self.pause()
                continue
            except Conflict:
                return
            if started is None:
                continue
            if started.finished is not None:
                return
            seen = [stored.message.text for stored in started.messages]
            assert seen[-1] == text
            assert len(seen) == len(set(seen))
            state = self.chance.choice(["complete", "complete", "failed", "interrupted"])
            answer = f"re {text}, try {again}"
            outcome = TurnOutcome(state="failed") if state == "failed" else answered(answer, state=state)
            await self.pause()
            await self.end(worker, started, outcome)
            if state == "complete":
                return
            self.late.append(asyncio.create_task(self.end_late(worker, started, outcome)))
        raise AssertionError("the session is never free")

    async def end(self, worker: SessionStore, started: StartedTurn, outcome: TurnOutcome) -> None:
        """End a turn, once more where its caller left."""
        with suppress(Conflict):
            finished = await self.leaving(worker.finish_turn(TENANT, started, outcome))
            if finished is None:
                await self.pause()
                finished = await worker.finish_turn(TENANT, started, outcome)
            if outcome.state == "complete":
                assert finished.answer is not None
                assert finished.answer.message == outcome.message
                self.told[started.turn_id] = finished.answer.message.text

    async def end_late(self, worker: SessionStore, started: StartedTurn, outcome: TurnOutcome) -> None:
        await self.pause()
        with suppress(Conflict):
            await worker.finish_turn(TENANT, started, outcome)

    async def pause(self) -> None:
        await asyncio.sleep(0.005 * self.chance.random())

    async def leaving(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Wait for something; None where the caller left before it knew."""
        task = asyncio.create_task(work)
        if self.chance.random() < 0.4:
            for _ in range(self.chance.randrange(STEPS)):
                await asyncio.sleep(0)
            task.cancel()
        (came,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(came, asyncio.CancelledError):
            return None
        if isinstance(came, BaseException):
            raise came
        return came

    async def summarise(self) -> None:
        seen = await self.workers[0].context(TENANT, self.session)
        if len(seen.messages) > 8:
            replaces = None if seen.summary is None else seen.summary.id
            upto = seen.messages[-5].sequence
            new = NewSummary(text=f"up to {upto}", upto_sequence=upto, replaces=replaces)
            await self.chance.choice(self.workers).add_summary(TENANT, self.session, new)


@pytest.mark.parametrize("seed", range(2))
async def test_whoever_leaves_and_comes_again_what_was_told_is_stored(database: Database, seed: int) -> None:
    workers = [Conversations(database, max_idle=MAX_IDLE) for _ in range(2)]
    store = workers[0]
    await store.open()
    try:
        session = (await talk(store, "hello")).session.id
        conversation = Conversation(workers, session, random.Random(seed))
        async with asyncio.timeout(60):
            await asyncio.gather(*(conversation.caller(name) for name in range(CALLERS)))
            await asyncio.gather(*conversation.late)
        said = await texts(store, session)
        assert len(said) == len(set(said))
        assert len(conversation.told) > CALLERS
        turns = (await store.turns(TENANT, session, limit=1000)).items
        by_id = {turn.id: turn for turn in turns}
        for turn_id, answer in conversation.told.items():
            turn = by_id[turn_id]
            assert turn.outcome.state == "complete"
            assert turn.answer is not None
            assert turn.answer.message.text == answer
        assert [turn.id for turn in turns if turn.outcome.state == "pending"] == []
        used = sum(turn.outcome.usage.total for turn in turns if turn.outcome.usage)
        assert (await store.metrics(TENANT, session)).total_tokens == used
        users = [turn for turn in turns if turn.outcome.state != "failed"]
        assert (await store.get_session(TENANT, session)).message_count == len(users)
    finally:
        await store.close()
