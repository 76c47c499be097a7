"""The transactions that fill a session from another one: what was said up to a place, and nothing that it cost."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from pydantic_core import to_json

from orchestrator_core.provider_api import NotFound, SessionBusy
from orchestrator_core.sessions.errors import RETRY_AFTER
from orchestrator_core.sessions.jobs import copy_statements, statements
from orchestrator_core.sessions.jobs.beginning import count_session, read_session, write_labels
from orchestrator_core.sessions.jobs.labels import Label, labels_from
from orchestrator_core.sessions.jobs.rows import SessionRow, TurnRow, no_such_session
from orchestrator_core.sessions.models import new_id
from orchestrator_core.sessions.steps import Steps, Transaction, do, lock, one, rows

_TIME = 12
_CHANCE = 5
"""Hexadecimal digits of an id for its time, and bytes of it that are chance; its place takes the other ten digits."""


@dataclass(slots=True, kw_only=True)
class Filled:
    """What a session holds by now.

    Attributes:
        summarized: The last message that its summary covers.
        turns: How many turns.
        messages: How many messages.
        users: The user's messages, without those of failed turns.
        unsummarized: The messages that no summary covers, without those of failed turns.
        providers: Who answered, in the order of the first answers.
        last: The last turn.
    """

    summarized: int = 0
    turns: int = 0
    messages: int = 0
    users: int = 0
    unsummarized: int = 0
    providers: dict[str, int] = field(default_factory=dict)
    last: CopiedTurn | None = None

    def add(self, turn: CopiedTurn) -> None:
        """Count a turn."""
        end = max(turn.first_sequence + turn.messages - 1, turn.answer_sequence or 0)
        self.turns += 1
        self.messages += end - turn.first_sequence + 1
        if turn.state != "failed":
            self.users += turn.user_messages
            self.unsummarized += max(0, end - max(self.summarized, turn.first_sequence - 1))
        if turn.provider is not None and turn.answer_sequence is not None:
            known = self.providers.get(turn.provider, turn.first_sequence)
            self.providers[turn.provider] = min(known, turn.first_sequence)
        if self.last is None or turn.first_sequence > self.last.first_sequence:
            self.last = turn


class CopiedTurn(NamedTuple):
    """What is known of a turn that was written."""

    id: str
    first_sequence: int
    state: str
    messages: int
    user_messages: int
    answer_sequence: int | None
    provider: str | None
    summary_id: str | None
    started_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHead:
    """What a session that is filled begins with.

    Attributes:
        tenant: Whose it is.
        session_id: Its id.
        process_id: Who fills it.
        user_id: Its label.
        metadata: The caller's data as it is written.
        labels: What it can be found by.
        parent_id: The session that it comes from.
        now: Microseconds.
    """

    tenant: str
    session_id: str
    process_id: str
    user_id: str | None
    metadata: str
    labels: Sequence[Label]
    parent_id: str | None
    now: int

    def add(self) -> Steps[None]:
        """Write the session, which is not there for anybody yet."""
        place = (self.tenant, self.session_id)
        made = (self.user_id, self.metadata, self.now, self.now, self.parent_id, self.process_id)
        yield from do(copy_statements.ADD_HIDDEN_SESSION, *place, *made)

    def show(
        self,
        filled: Filled,
        summary: tuple[str, int] | None,
        totals: tuple[int, float | None, int, float] = (0, None, 0, 0.0),
    ) -> Steps[SessionRow]:
        """Let the session be there, whole, and count it.

        Args:
            filled: What it holds.
            summary: The id and the time of its newest summary.
            totals: Tokens, cost, answered turns and their seconds.

        Raises:
            NotFound: It was taken away meanwhile.
        """
        summary_id, summary_at = summary or (None, None)
        last = filled.last
        seen = summary_id if last and last.summary_id == summary_id else None
        yield from write_labels(self.tenant, self.session_id, self.labels, self.now)
        yield count_session(self.tenant, self.session_id)
        shown = yield from one(
            copy_statements.SHOW_SESSION,
            last.id if last else None,
            min(last.started_at, self.now) if last else None,  # a file may come from a clock that is ahead
            filled.users,
            filled.messages,
            filled.unsummarized,
            summary_id,
            seen,
            summary_at,
            to_json(sorted(filled.providers, key=filled.providers.__getitem__)).decode(),
            *totals,
            self.tenant,
            self.session_id,
        )
        if shown is None:
            raise no_such_session()
        return (yield from read_session(self.tenant, self.session_id))

    def forget(self) -> Steps[None]:
        """Delete the session, where it is not whole yet."""
        yield from do(copy_statements.FORGET_HIDDEN_SESSION, self.tenant, self.session_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """What is copied, from where to where.

    Attributes:
        head: The new session.
        source_id: The session.
        end: The last message to copy.
        alone: From where the first transaction copies: the last turn may still change, all before it does not.
        summary: The newest summary that covers no more: its id, that of its copy, its last message, and its time.
        turn_base: What the ids of turns begin with; each is ended by its place, in ten digits.
        message_base: The same for messages.
    """

    head: SessionHead
    source_id: str
    end: int
    alone: int
    summary: tuple[str, str, int, int] | None
    turn_base: str
    message_base: str

    def copy(self, first: int, last: int) -> Steps[Sequence[CopiedTurn]]:
        """Copy the turns that begin in a span of places, and the messages in it."""
        old, new = self.summary[:2] if self.summary else (None, None)
        place = (self.head.tenant, self.source_id, first, last)
        turns = yield from rows(copy_statements.COPY_TURNS, self.turn_base, self.head.session_id, old, new, *place)
        yield from self._copy_messages(first, last)
        return [CopiedTurn._make(row) for row in turns]

    def _copy_messages(self, first: int, last: int) -> Steps[None]:
        to = (self.message_base, self.turn_base, self.head.session_id)
        yield from do(copy_statements.COPY_MESSAGES, *to, self.head.tenant, self.source_id, first, last)

    def copy_parted(self, turn: TurnRow) -> Steps[Sequence[CopiedTurn]]:
        """Copy a turn without its answer, or with a part of what was said: nobody answered that."""
        tenant = self.head.tenant
        span = (turn.first_sequence, min(self.end, turn.last_sequence))
        said = yield from rows(statements.GET_SAID, tenant, self.source_id, *span)
        added = yield from rows(
            copy_statements.ADD_PARTED_TURN,
            tenant,
            f"{self.turn_base}{turn.first_sequence:010}",
            self.head.session_id,
            turn.first_sequence,
            len(said),
            sum(role == "user" for role, _, _ in said),
            turn.started_at,
            self.head.now,
            turn.client,
            turn.settings,
        )
        yield from self._copy_messages(*span)
        return [CopiedTurn._make(row) for row in added]

    def show(self, filled: Filled) -> Steps[SessionRow]:
        """Let the new session be there.

        Raises:
            NotFound: The original was deleted meanwhile.
        """
        if filled.messages != self.end:
            raise no_such_session()
        summary = (self.summary[1], self.summary[3]) if self.summary else None
        return (yield from self.head.show(filled, summary))


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginFork:
    """The first transaction of a fork.

    Attributes:
        tenant: Whose session it is.
        source_id: The session.
        session_id: The new session.
        process_id: Who copies.
        message_id: The last message to copy.
        turn_id: The last turn to copy, or with `before` the first that is not.
        before: Whether to end before `turn_id`.
        user_id: The label of the new session; None is that of the source.
        metadata: The data of the new session as it is written; None is that of the source.
        now: Microseconds.
    """

    tenant: str
    source_id: str
    session_id: str
    process_id: str
    message_id: str | None
    turn_id: str | None
    before: bool
    user_id: str | None
    metadata: str | None
    now: int

    def __call__(self) -> Steps[tuple[Fork, Filled]]:
        """Make the new session, and copy what of the original may still change.

        Raises:
            NotFound: No such session, or it has no such message or turn.
            SessionBusy: The turn is under way.
        """
        yield from lock(statements.LOCK_SESSION, self.tenant, self.source_id)
        source = yield from read_session(self.tenant, self.source_id)
        end, last = yield from self._end(source)
        whole = last is None or (end == last.end_sequence and last.state != "pending")
        metadata = source.metadata if self.metadata is None else self.metadata
        head = SessionHead(
            tenant=self.tenant,
            session_id=self.session_id,
            process_id=self.process_id,
            user_id=source.user_id if self.user_id is None else self.user_id,
            metadata=metadata,
            labels=labels_from(metadata),
            parent_id=self.source_id,
            now=self.now,
        )
        yield from head.add()
        summary = yield from self._copy_summary(end)
        fork = Fork(
            head=head,
            source_id=self.source_id,
            end=end,
            alone=end + 1 if last is None else last.first_sequence,
            summary=summary,
            turn_base=_base("turn"),
            message_base=_base("msg"),
        )
        filled = Filled(summarized=summary[2] if summary else 0)
        if last is not None:
            copied = yield from fork.copy(last.first_sequence, end) if whole else fork.copy_parted(last)
            for turn in copied:
                filled.add(turn)
        return fork, filled

    def abandon(self, begun: tuple[Fork, Filled]) -> Transaction[None]:  # noqa: ARG002 - the id is known before
        """Return what is to be done for a caller that left before it knew of the new session."""
        return partial(do, copy_statements.FORGET_HIDDEN_SESSION, self.tenant, self.session_id)

    def _end(self, source: SessionRow) -> Steps[tuple[int, TurnRow | None]]:
        """Return the last message to copy, and the turn that it belongs to where that may still change."""
        if self.message_id is not None:
            row = yield from one(copy_statements.FIND_MESSAGE, self.tenant, self.source_id, self.message_id)
            if row is None:
                raise NotFound("The session has no such message.", param="message_id")
            place, turn_id = row
            return place, (yield from self._turn(turn_id))
        if self.turn_id is None:
            if source.last_turn_id is None:
                return 0, None
            turn = yield from self._turn(source.last_turn_id)
            return (turn.first_sequence - 1, None) if turn.state == "pending" else (turn.end_sequence, turn)
        turn = yield from self._turn(self.turn_id)
        if self.before:
            return turn.first_sequence - 1, None
        if turn.state == "pending":
            raise SessionBusy("The turn is under way. Wait for its end.", param="turn_id", retry_after=RETRY_AFTER)
        return turn.end_sequence, turn

    def _turn(self, turn_id: str) -> Steps[TurnRow]:
        row = yield from one(statements.GET_TURN_OF_SESSION, self.tenant, self.source_id, turn_id)
        if row is None:
            raise NotFound("The session has no such turn.", param="turn_id")
        return TurnRow._make(row)

    def _copy_summary(self, end: int) -> Steps[tuple[str, str, int, int] | None]:
        row = yield from one(copy_statements.FIND_SUMMARY, self.tenant, self.source_id, end)
        if row is None:
            return None
        summary_id, covered, made_at = row
        copy = new_id("sum")
        yield from do(copy_statements.COPY_SUMMARY, copy, self.session_id, self.tenant, summary_id)
        return summary_id, copy, covered, made_at


def _base(prefix: str) -> str:
    return f"{prefix}_{time.time_ns() // 1_000_000:0{_TIME}x}{secrets.token_hex(_CHANCE)}"
