"""One turn of a conversation: what was said is stored before anybody is asked, and the answer before it is final."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator_core.orchestration.answer import Answer
from orchestrator_core.orchestration.reading import reading
from orchestrator_core.orchestration.replay import ReplayedAnswer
from orchestrator_core.provider_api import (
    Adjustment,
    ChatEvent,
    ChatResponse,
    FinishReason,
    GatewayError,
    Message,
    NativeEvent,
    Usage,
)
from orchestrator_core.sessions.models import (
    Attempt,
    FinishedTurn,
    Session,
    StartedTurn,
    StoredMessage,
    TurnOutcome,
    TurnState,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnResult:
    """A finished turn.

    Attributes:
        turn_id: The turn.
        session: The session after it.
        answer: The answer as it is stored; None where nothing came.
        message: The answer.
        state: How the turn ended.
        provider: Who answered.
        model: The model that answered.
        finish_reason: Why the answer ended.
        usage: The tokens.
        cost: USD; None where the price is unknown.
        duration: Seconds.
        was_summarized: Whether this is the first answer that was made with the newest summary.
        attempts: Every try.
        adjustments: What of the request was mapped, downgraded or dropped.
        timestamp: When it ended, UTC.
    """

    turn_id: str
    session: Session
    answer: StoredMessage | None
    message: Message
    state: TurnState
    provider: str
    model: str
    finish_reason: FinishReason | None
    usage: Usage | None
    cost: float | None
    duration: float
    was_summarized: bool
    attempts: Sequence[Attempt]
    adjustments: Sequence[Adjustment]
    timestamp: datetime


class TurnAnswer:
    """An open turn. Consume `batches` to the end, or `result`; otherwise `aclose`."""

    def __init__(
        self,
        started: StartedTurn,
        answer: Answer | ReplayedAnswer,
        finish: Callable[[TurnOutcome, AsyncExitStack], Awaitable[FinishedTurn]],
        *,
        begun: float,
        held: AsyncExitStack,
        stopping: Callable[[], bool],
    ) -> None:
        """Wrap an open call of a session.

        Args:
            started: The beginning, as it is stored.
            answer: The open call.
            finish: Stores the end and then gives free what is held; not cancelled with the caller.
            begun: When the request came, monotonic seconds.
            held: What the turn holds, such as the session's lock.
            stopping: Whether the gateway itself is going down.
        """
        self._started = started
        self._answer = answer
        self._finish = finish
        self._begun = begun
        self._held = held
        self._stopping = stopping
        self._folded: ChatResponse | None = None
        self._outcome: TurnOutcome | None = None
        self._finished: FinishedTurn | None = None

    @property
    def session_id(self) -> str:
        """The session, made for this turn where none was named."""
        return self._started.session.id

    @property
    def turn_id(self) -> str:
        """The turn."""
        return self._started.turn_id

    @property
    def provider(self) -> str:
        """The provider instance that answers."""
        return self._answer.provider

    @property
    def model(self) -> str:
        """The model that answers."""
        return self._answer.model

    @property
    def attempts(self) -> Sequence[Attempt]:
        """Every try."""
        return self._answer.attempts

    @property
    def native(self) -> NativeEvent | None:
        """The upstream's bytes of an answer that was not streamed, where it gave them."""
        return self._answer.native

    @property
    def folded(self) -> ChatResponse:
        """The answer so far."""
        return self._folded or self._answer.folded

    @property
    def adjustments(self) -> Sequence[Adjustment]:
        """What of the request was mapped, downgraded or dropped."""
        return self._answer.adjustments

    async def batches(self) -> AsyncGenerator[Iterator[ChatEvent], None]:
        """Yield the events once, those together that came together. When they have ended, the answer is stored.

        Raises:
            GatewayError: The answer broke off, or could not be stored; what had come is kept as `interrupted`.
        """
        try:
            async with reading(self._answer.batches()) as batches:
                async for events in batches:
                    yield events
        except BaseException as error:
            await self._break_off(error)
            raise
        await self._end("complete")

    async def result(self) -> TurnResult:
        """Drain the events, where that was not done, and return the finished turn.

        Raises:
            GatewayError: As for `batches`.
        """
        if self._outcome is None:
            try:
                await self._answer.drain()
            except BaseException as error:
                await self._break_off(error)
                raise
            await self._end("complete")
        if self._outcome is None or self._finished is None:
            raise RuntimeError("a turn that ended has an outcome")
        outcome, finished = self._outcome, self._finished
        return TurnResult(
            turn_id=self.turn_id,
            session=finished.session,
            answer=finished.answer,
            message=outcome.message or Message(role="assistant", parts=()),
            state=outcome.state,
            provider=outcome.provider or self.provider,
            model=outcome.model or self.model,
            finish_reason=outcome.finish_reason,
            usage=outcome.usage,
            cost=outcome.cost,
            duration=outcome.duration,
            was_summarized=self._started.first_with_summary,
            attempts=outcome.attempts,
            adjustments=outcome.adjustments,
            timestamp=finished.answer.created_at if finished.answer else datetime.now(UTC),
        )

    async def aclose(self) -> None:
        """Give the answer up. What had come is kept. Does nothing after the end."""
        if self._outcome is None:
            try:
                await self._answer.aclose()
            finally:
                await self._end("interrupted" if self._stopping() else "client_closed")

    async def _break_off(self, error: BaseException) -> None:
        """Keep what had come before an answer broke off, or was left."""
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            await self._end("interrupted" if self._stopping() else "client_closed")
        elif isinstance(error, GatewayError):
            await self._end("interrupted", error.code)
            self._named(error)
        else:
            await self._end("interrupted", "internal_error")

    async def _end(self, state: TurnState, error_code: str | None = None) -> None:
        if self._outcome is not None:
            return
        folded = self._folded = self._answer.folded
        choice = folded.choices[0]
        complete = state == "complete" or (state == "client_closed" and self._answer.complete)
        self._outcome = TurnOutcome(
            state="complete" if complete else state,
            message=choice.message,
            provider=self.provider,
            model=self.model,
            finish_reason=choice.finish_reason,
            usage=self._answer.usage,
            cost=self._answer.cost,
            price_version=self._answer.price_version,
            attempts=tuple(self._answer.attempts),
            adjustments=tuple(self._answer.adjustments),
            error_code=error_code,
            summary_id=self._started.summary.id if self._started.summary else None,
            duration=time.monotonic() - self._begun,
        )
        try:
            self._finished = await self._finish(self._outcome, self._held)
        except GatewayError as error:
            raise self._named(error) from None

    def _named(self, error: GatewayError) -> GatewayError:
        error.session_id, error.turn_id = self.session_id, self.turn_id
        return error
