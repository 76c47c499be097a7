"""Reading what no summary covers: never more of it than a call can use, however long the conversation is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from orchestrator_core.sessions.jobs import statements
from orchestrator_core.sessions.jobs.rows import MessageRow, Said, SessionRow, stored_messages
from orchestrator_core.sessions.models import CONTEXT_BYTES, CONTEXT_MESSAGES, StoredMessage, TurnState
from orchestrator_core.sessions.steps import Steps, rows
from orchestrator_core.sessions.weights import Weight, weigh, weigh_message

_PAGE = 128


class Standing(NamedTuple):
    """How far a session has come: this changes with whatever is said in it, and with every summary.

    Attributes:
        turn_id: The last turn.
        state: Its state.
        since: When it began, or was taken up again, microseconds.
        last_sequence: The last message.
        summary_id: The newest summary.
    """

    turn_id: str | None
    state: TurnState | None
    since: int | None
    last_sequence: int
    summary_id: str | None

    @classmethod
    def of(cls, session: SessionRow) -> Standing:
        """Return how far a session has come."""
        return cls(
            session.last_turn_id,
            session.last_turn_state,
            session.last_turn_at,
            session.last_sequence,
            session.summary_id,
        )


class Kept(NamedTuple):
    """All messages of a session that no summary covers, as a process remembers them.

    Attributes:
        session: The session when these were all.
        messages: The messages, oldest first.
        weight: What they weigh.
        size: Their bytes in memory, about.
    """

    session: SessionRow
    messages: Sequence[StoredMessage]
    weight: Weight
    size: int

    def are_all(self, session: SessionRow) -> bool:
        """Whether these still are all, by the session's row.

        What a complete turn left does not change any more, but by the next turn and by a summary.
        """
        return self.session.last_turn_state == "complete" and Standing.of(self.session) == Standing.of(session)

    def leaves_room(self, said: Sequence[Said]) -> bool:
        """Whether a turn that says so much can go on with all of them."""
        size = self.size + sum(len(message.parts) for message in said)
        return len(self.messages) + len(said) <= CONTEXT_MESSAGES and size <= CONTEXT_BYTES

    def completed(self, session: SessionRow, answer: StoredMessage | None, size: int) -> Kept | None:
        """Return what there is once the last turn is complete; None where that is not how it left its session."""
        last = self.session.last_sequence + (answer is not None)
        standing = Standing.of(self.session)._replace(state="complete", last_sequence=last)
        if standing != Standing.of(session):
            return None
        messages = list(self.messages)
        for place in range(len(messages) - 1, -1, -1):
            if messages[place].turn_id != standing.turn_id:
                break
            messages[place] = messages[place]._replace(turn_state="complete")
        weight = self.weight
        if answer is not None:
            messages.append(answer)
            weight += weigh_message(answer.message)
        return Kept(session, messages, weight, self.size + size)


class Context(NamedTuple):
    """Messages that belong to the conversation, oldest first.

    Attributes:
        rows: The messages that were read or written, after those that were known.
        size: The characters of their parts.
        whole: Whether these are all that no summary covers.
        known: The messages before them, which were not read.
    """

    rows: Sequence[MessageRow] = ()
    size: int = 0
    whole: bool = True
    known: Kept | None = None

    def messages(self) -> Sequence[StoredMessage]:
        """Return the messages; where many were read, this takes a while."""
        messages = stored_messages(self.rows) if self.rows else []
        return messages if self.known is None else [*self.known.messages, *messages]

    def weigh(self, messages: Sequence[StoredMessage]) -> Weight:
        """Return what the messages weigh."""
        known = self.known
        if known is None:
            return weigh([stored.message for stored in messages])
        return known.weight + weigh([stored.message for stored in messages[len(known.messages) :]])

    @property
    def large(self) -> bool:
        """Whether so many were read that the event loop should not decode them."""
        return len(self.rows) > _PAGE or self.size > CONTEXT_BYTES // 32

    def followed_by(self, said: Sequence[MessageRow]) -> Context:
        """Return the same with messages that were written now."""
        size = sum(len(row[6]) for row in said)
        return self._replace(rows=[*self.rows, *said], size=self.size + size)


def join(tenant: str, session: SessionRow, said: Sequence[Said], kept: Kept | None) -> Steps[Context]:
    """Return what a turn goes on with that says so much: what is kept of it, or what is read."""
    if kept is not None and kept.are_all(session) and kept.leaves_room(said):
        return Context(known=kept)
    return (yield from read_newest(tenant, session, said))


def read_newest(tenant: str, session: SessionRow, said: Sequence[Said] = ()) -> Steps[Context]:
    """Read the newest messages that no summary covers, those of the last turn in any case.

    Args:
        tenant: Whose they are.
        session: The session.
        said: What a call has beside them, and needs room for.
    """
    found: list[MessageRow] = []
    if session.last_sequence == session.summarized:
        return Context()
    most, room = CONTEXT_MESSAGES - len(said), CONTEXT_BYTES - sum(len(message.parts) for message in said)
    size, before = 0, session.last_sequence + 1
    while True:
        page = yield from rows(statements.GET_NEWEST, tenant, session.id, session.summarized, before, _PAGE)
        for row in page:
            longer = size + len(row[6])
            if row[2] != session.last_turn_id and (len(found) >= most or longer > room):
                return Context(found[::-1], size, whole=False)
            found.append(row)
            size = longer
        if len(page) < _PAGE:
            return Context(found[::-1], size)
        before = page[-1][1]


def read_oldest(tenant: str, session: SessionRow) -> Steps[Context]:
    """Read the oldest messages that no summary covers."""
    found: list[MessageRow] = []
    size, after = 0, session.summarized
    while True:
        page = yield from rows(statements.GET_OLDEST, tenant, session.id, after, _PAGE)
        for row in page:
            longer = size + len(row[6])
            if found and (len(found) >= CONTEXT_MESSAGES or longer > CONTEXT_BYTES):
                return Context(found, size, whole=False)
            found.append(row)
            size = longer
        if len(page) < _PAGE:
            return Context(found, size)
        after = page[-1][1]
