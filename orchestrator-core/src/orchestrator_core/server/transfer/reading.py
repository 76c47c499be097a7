"""From lines to a conversation that holds together, or the number of the first line that does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from orchestrator_core.provider_api import Adjustment, InvalidRequest, Usage, UsageDetails
from orchestrator_core.server.body import validate
from orchestrator_core.server.json_text import parse
from orchestrator_core.server.metadata import check_metadata
from orchestrator_core.server.transfer.lines import (
    VERSION,
    EndLine,
    HeaderLine,
    MessageLine,
    SessionLine,
    SummaryLine,
    TurnLine,
    UsageLine,
)
from orchestrator_core.sessions.models import (
    Attempt,
    NewConversation,
    StoredMessage,
    StoredSummary,
    StoredTurn,
    TurnOutcome,
)
from orchestrator_core.sessions.settings import MAX_SETTINGS, read_settings

MAX_TOTAL: Final = 2**53
"""Tokens of a file: what JSON can say exactly."""

_KINDS: dict[str, type[BaseModel]] = {
    "header": HeaderLine,
    "session": SessionLine,
    "turn": TurnLine,
    "message": MessageLine,
    "summary": SummaryLine,
    "end": EndLine,
}


def read_conversation(data: bytes) -> NewConversation:
    """Read a file.

    Raises:
        InvalidRequest: A line cannot be read, or does not fit to those before it; the message and `param` name it.
    """
    reader = _Reader()
    number = 0
    for number, line in enumerate(_lines(data), start=1):
        try:
            reader.add(_parsed(line, number))
        except InvalidRequest as error:
            within = "" if error.param in (None, "$") else f".{error.param}"
            raise InvalidRequest(f"Line {number}: {error.message}", param=f"line {number}{within}") from None
    if reader.end is None:
        raise InvalidRequest(f"The file ends after line {number}, without its last line: it was cut off.", param="$")
    return reader.conversation()


def _lines(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        yield data[start:end]
        start = end + 1


def _parsed(line: bytes, number: int) -> BaseModel:
    value = parse(line)
    if not isinstance(value, dict):
        raise InvalidRequest("It must be a JSON object.")
    kind = _KINDS.get(str(value.get("type")))
    if kind is None or (number == 1) != (kind is HeaderLine):
        expected = "header" if number == 1 else ", ".join(name for name in _KINDS if name != "header")
        raise InvalidRequest(f"Its type must be {expected}.", param="type")
    if kind is HeaderLine and value.get("version") != VERSION:
        raise InvalidRequest(f"This gateway reads version {VERSION} of the format.", param="version")
    return validate(kind, value)


@dataclass(slots=True)
class _Reader:
    """What was read so far."""

    session: SessionLine | None = None
    turns: list[StoredTurn] = field(default_factory=list)
    summaries: list[StoredSummary] = field(default_factory=list)
    end: EndLine | None = None
    _turn: TurnLine | None = None
    _messages: list[StoredMessage] = field(default_factory=list)
    _count: int = 0
    _tokens: int = 0
    _ids: set[str] = field(default_factory=set)

    def add(self, line: BaseModel) -> None:
        """Take a line."""
        if self.end is not None:
            raise InvalidRequest("Nothing may follow the line of the type end.")
        if self._turn is not None and not isinstance(line, MessageLine):
            raise InvalidRequest("A message of the turn before it is missing.")
        match line:
            case HeaderLine():
                return
            case SessionLine():
                if self.session is not None:
                    raise InvalidRequest("A file holds one session.")
                try:
                    check_metadata(line.metadata)
                except ValueError as problem:
                    raise InvalidRequest(f"{problem}.", param="metadata") from None
                self.session = line
            case _ if self.session is None:
                raise InvalidRequest("The session must come first.")
            case TurnLine():
                self._begin(line)
            case MessageLine():
                self._say(line)
            case SummaryLine():
                self._summarize(line)
            case EndLine():
                if (line.turns, line.messages, line.summaries) != (len(self.turns), self._count, len(self.summaries)):
                    raise InvalidRequest("It counts other lines than there are.")
                self._check_summaries()
                self.end = line

    def conversation(self) -> NewConversation:
        """Return what was read."""
        session = self.session
        if session is None:
            raise InvalidRequest("The file holds no session.", param="$")
        return NewConversation(
            user_id=session.user_id,
            metadata=session.metadata,
            parent_id=session.id,
            turns=self.turns,
            summaries=self.summaries,
        )

    def _begin(self, turn: TurnLine) -> None:
        if self.summaries:
            raise InvalidRequest("Turns come before the summaries.")
        self._once(turn.id)
        self._bill(turn.usage)
        if turn.state == "pending":
            raise InvalidRequest("A turn that is under way cannot be imported.", param="state")
        if (turn.state == "complete" and not turn.answered) or (turn.state == "failed" and turn.answered):
            raise InvalidRequest("A complete turn has an answer, and a failed one has none.", param="answered")
        if turn.finished_at is None:
            raise InvalidRequest("A turn that has ended says when.", param="finished_at")
        self._turn = turn

    def _say(self, line: MessageLine) -> None:
        turn = self._turn
        if turn is None:
            raise InvalidRequest("The message belongs to no turn.")
        self._once(line.id)
        if line.sequence != self._count + 1:
            raise InvalidRequest(f"Its sequence must be {self._count + 1}.", param="sequence")
        answer = len(self._messages) == turn.messages
        if (line.role == "assistant") != answer:
            raise InvalidRequest("The assistant speaks last in a turn that is answered, and only there.", param="role")
        self._count += 1
        self._messages.append(
            StoredMessage(
                id=line.id,
                sequence=line.sequence,
                turn_id=turn.id,
                turn_state=turn.state,
                message=line.message(),
                created_at=line.created_at,
                provider=turn.provider if answer else None,
                model=turn.model if answer else None,
            )
        )
        if len(self._messages) == turn.messages + turn.answered:
            self.turns.append(_turn(turn, self._messages))
            self._turn, self._messages = None, []

    def _summarize(self, line: SummaryLine) -> None:
        self._once(line.id)
        self._bill(line.usage)
        before = self.summaries[-1] if self.summaries else None
        if line.from_sequence != (before.upto_sequence if before else 0) + 1:
            raise InvalidRequest("It must begin where the summary before it ends.", param="from_sequence")
        if not line.from_sequence <= line.upto_sequence <= self._count:
            raise InvalidRequest("It covers messages that are not there.", param="upto_sequence")
        self.summaries.append(
            StoredSummary(
                id=line.id,
                from_sequence=line.from_sequence,
                upto_sequence=line.upto_sequence,
                text=line.text,
                created_at=line.created_at,
                provider=line.provider,
                model=line.model,
                replaces=before.id if before else None,
                usage=_usage(line.usage),
                cost=line.cost,
                tokens_before=line.tokens_before,
                tokens_after=line.tokens_after,
            )
        )

    def _check_summaries(self) -> None:
        known = {summary.id for summary in self.summaries}
        named = {turn.outcome.summary_id for turn in self.turns} - {None}
        if not named <= known:
            raise InvalidRequest("A turn names a summary that is not there.", param="summaries")

    def _bill(self, usage: UsageLine | None) -> None:
        used = _usage(usage)
        self._tokens += used.total if used else 0
        if self._tokens > MAX_TOTAL:
            raise InvalidRequest(f"With it, the file has more than {MAX_TOTAL} tokens.", param="usage")

    def _once(self, identity: str) -> None:
        if identity in self._ids:
            raise InvalidRequest("Its id was there before.", param="id")
        self._ids.add(identity)


def _turn(line: TurnLine, messages: Sequence[StoredMessage]) -> StoredTurn:
    answer = messages[-1] if line.answered else None
    return StoredTurn(
        id=line.id,
        session_id="",
        first_sequence=messages[0].sequence,
        said=messages[: line.messages],
        answer=answer,
        outcome=TurnOutcome(
            state=line.state,
            message=answer.message if answer else None,
            provider=line.provider,
            model=line.model,
            finish_reason=line.finish_reason,
            usage=_usage(line.usage),
            cost=line.cost,
            price_version=line.price_version,
            attempts=[Attempt(**attempt.model_dump()) for attempt in line.attempts],
            adjustments=[Adjustment(**adjustment.model_dump()) for adjustment in line.adjustments],
            error_code=line.error_code,
            duration=line.duration,
            summary_id=line.summary_id,
        ),
        first_with_summary=line.first_with_summary,
        idempotent=False,
        client=line.client,
        started_at=line.started_at,
        settings=_settings(line),
        finished_at=line.finished_at,
    )


def _settings(line: TurnLine) -> str | None:
    if line.settings is None:
        return None
    written = to_json(line.settings)
    if len(written) > MAX_SETTINGS:
        raise InvalidRequest(f"The settings of a turn take up to {MAX_SETTINGS} bytes.", param="settings")
    try:
        read_settings(written.decode())
    except ValidationError:
        # Not what pydantic says: its text repeats what was sent.
        raise InvalidRequest("These are no settings of a turn.", param="settings") from None
    return written.decode()


def _usage(line: UsageLine | None) -> Usage | None:
    if line is None:
        return None
    details = UsageDetails() if line.details is None else UsageDetails(**line.details.model_dump())
    return Usage(**line.model_dump(exclude={"details"}), details=details)
