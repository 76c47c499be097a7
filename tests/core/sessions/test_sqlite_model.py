from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Awaitable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from orchestrator_core.provider_api import IdempotencyMismatch, NotFound, SessionBusy, SessionEnded, text_message
from orchestrator_core.sessions.models import NewSummary, StartedTurn, TurnOutcome, TurnState
from stores import TENANT, answered, ask, sqlite_store

T = TypeVar("T")
ENDS = st.sampled_from(["complete", "interrupted", "failed", "client_closed"])


@dataclass
class Turn:
    """What a turn is in plain words."""

    asked: str
    state: TurnState = "pending"
    answer: str | None = None
    covered: bool = False

    def said(self) -> list[str]:
        return [self.asked] if self.answer is None else [self.asked, self.answer]


@dataclass
class Talk:
    """What a session is in plain words."""

    turns: list[Turn] = field(default_factory=list)
    summary: str | None = None
    closed: bool = False

    @property
    def pending(self) -> bool:
        return bool(self.turns) and self.turns[-1].state == "pending"

    def context(self) -> list[str]:
        return [text for turn in self.turns if turn.state != "failed" and not turn.covered for text in turn.said()]


def unsummarized(session: str, connection: sqlite3.Connection) -> int:
    sql = "SELECT unsummarized FROM sessions WHERE tenant = ? AND id = ?"
    count: int = connection.execute(sql, (TENANT, session)).fetchone()[0]
    return count


class StoreMachine(RuleBasedStateMachine):
    """Does anything in any order, and compares with the plain model."""

    sessions = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.model: dict[str, Talk] = {}
        self.begun: dict[str, StartedTurn] = {}
        self.number = 0

    @initialize()
    def open(self) -> None:
        self.store = sqlite_store(Path(self.folder.name) / "store.db")
        self.run(self.store.open())

    def run(self, step: Awaitable[T]) -> T:
        async def main() -> T:
            return await step

        return self.runner.run(main())

    def text(self) -> str:
        self.number += 1
        return f"text {self.number}"

    @rule(target=sessions)
    def create(self) -> str:
        session = self.run(self.store.create_session(TENANT)).id
        self.model[session] = Talk()
        return session

    @rule(session=sessions)
    def begin(self, session: str) -> None:
        text, talk = self.text(), self.model.get(session)
        refusal = NotFound if talk is None else SessionEnded if talk.closed else SessionBusy if talk.pending else None
        if refusal is not None:
            with pytest.raises(refusal):
                self.run(ask(self.store, text, session))
            return
        assert talk is not None
        self.begun[session] = started = self.run(ask(self.store, text, session, idempotency_key=text))
        talk.turns.append(Turn(text))
        self.same_context(talk, started)

    @rule(session=sessions, state=ENDS)
    def finish(self, session: str, state: TurnState) -> None:
        talk = self.model.get(session)
        if talk is None or not talk.pending:
            return
        text, turn = self.text(), talk.turns[-1]
        outcome = TurnOutcome(state="failed") if state == "failed" else answered(text, state=state)
        self.run(self.store.finish_turn(TENANT, self.begun[session], outcome))
        turn.state, turn.answer = state, None if state == "failed" else text

    @rule(session=sessions)
    def repeat(self, session: str) -> None:
        talk = self.model.get(session)
        if talk is None or not talk.turns or talk.pending or talk.closed:
            return
        turn = talk.turns[-1]
        again = self.run(ask(self.store, turn.asked, session, idempotency_key=turn.asked))
        assert again.turn_id == self.begun[session].turn_id
        assert (again.finished is not None) == (turn.state == "complete")
        if again.finished is None:
            turn.state, turn.answer = "pending", None
            self.same_context(talk, again)
        with pytest.raises(IdempotencyMismatch):
            self.run(ask(self.store, "something else", session, idempotency_key=turn.asked))

    @rule(session=sessions, keep=st.integers(1, 3))
    def summarise(self, session: str, keep: int) -> None:
        talk = self.model.get(session)
        old = [] if talk is None else [turn for turn in talk.turns[:-keep] if not turn.covered]
        if talk is None or not old:
            return
        seen = self.run(self.store.context(TENANT, session))
        places = sum(len(turn.said()) for turn in talk.turns[: len(talk.turns) - keep])
        talk.summary = self.text()
        summary = NewSummary(
            text=talk.summary, upto_sequence=places, replaces=seen.summary.id if seen.summary else None
        )
        assert self.run(self.store.add_summary(TENANT, session, summary))
        for turn in old:
            turn.covered = True

    @rule(session=sessions)
    def close(self, session: str) -> None:
        if session in self.model:
            self.run(self.store.update_session(TENANT, session, status="closed"))
            self.model[session].closed = True

    @rule(session=sessions)
    def delete(self, session: str) -> None:
        if self.model.pop(session, None) is None:
            with pytest.raises(NotFound):
                self.run(self.store.delete_session(TENANT, session))
        else:
            self.run(self.store.delete_session(TENANT, session))

    @rule()
    def restart(self) -> None:
        self.run(self.store.close())
        self.open()
        for talk in self.model.values():
            if talk.pending:
                talk.turns[-1].state = "interrupted"

    @staticmethod
    def same_context(talk: Talk, seen: StartedTurn) -> None:
        assert [message.message for message in seen.messages] == [
            text_message("user" if text == turn.asked else "assistant", text)
            for turn in talk.turns
            if turn.state != "failed" and not turn.covered
            for text in turn.said()
        ]
        assert (seen.summary.text if seen.summary else None) == talk.summary

    @invariant()
    def same(self) -> None:
        for session, talk in self.model.items():
            page = self.run(self.store.history(TENANT, session, limit=10_000))
            assert [message.sequence for message in page.items] == list(range(1, len(page.items) + 1))
            assert [(message.message.text, message.turn_state) for message in page.items] == [
                (text, turn.state) for turn in talk.turns for text in turn.said()
            ]
            self.same_context(talk, self.run(self.store.context(TENANT, session)))
            read = self.run(self.store.get_session(TENANT, session))
            assert read.message_count == sum(turn.state != "failed" for turn in talk.turns)
            assert read.status == ("closed" if talk.closed else "active")
            assert read.summary == talk.summary
            assert self.run(self.store.database.reader.run(partial(unsummarized, session))) == len(talk.context())

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()


StoreMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
test_any_order_of_calls = StoreMachine.TestCase
