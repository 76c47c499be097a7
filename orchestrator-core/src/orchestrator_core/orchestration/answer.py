"""An answer on its way to a surface: its events are folded and metered as they pass."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator_core.orchestration.call import Call
from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.orchestration.opening import OpenStream
from orchestrator_core.provider_api import (
    Adjustment,
    ChatEvent,
    ChatRequest,
    ChatResponse,
    EmbeddingResponse,
    NativeEvent,
    ProviderBadResponse,
    Usage,
)
from orchestrator_core.sessions.models import Attempt

_NO_USAGE = Usage()


class Answer:
    """An open call. Consume `batches` to the end, or `response`; otherwise `aclose`.

    Attributes:
        provider: The provider instance that answers.
        model: The model that was asked, as the provider names it.
        attempts: Every try, the last one being this.
        cost: USD, after the end; None where the price or the usage is unknown.
        failure: What broke the answer off, after the end; None where its consumer gave it up.
        estimate: What it used, where the provider did not say all of that and it has to be known.
    """

    def __init__(
        self,
        call: Call[ChatRequest],
        opened: OpenStream,
        on_end: Callable[[Answer], None],
        *,
        kept: bool = False,
    ) -> None:
        """Wrap an open call.

        Args:
            call: What was asked of whom.
            opened: The answer.
            on_end: Told once when it ended, however that was.
            kept: Whether it was given before, and uses nothing now.
        """
        self.provider = call.target.provider.id
        self.target = call.target
        self.attempts: Sequence[Attempt] = call.attempts
        self.cost: float | None = None
        self.price_version: str | None = None
        self.failure: Exception | None = None
        self.estimate: Usage | None = None
        self._opened = opened
        self._on_end = on_end
        self._kept = kept
        self._fold = Fold()
        self._ended = False

    @property
    def model(self) -> str:
        """The model that answers: as the provider says, or as it was asked."""
        return self._opened.start.model or self.target.model

    @property
    def adjustments(self) -> Sequence[Adjustment]:
        """What of the request was mapped, downgraded or dropped."""
        return self._opened.start.adjustments

    @property
    def native(self) -> NativeEvent | None:
        """The upstream's bytes of an answer that was not streamed, where it gave them."""
        return self._opened.start.native

    @property
    def usage(self) -> Usage | None:
        """The tokens that it takes, as the provider said or core estimated; none where it was given before."""
        return _NO_USAGE if self._kept else self.estimate or self._fold.usage

    @property
    def unread(self) -> int:
        """The tokens, about, that passed without being taken apart."""
        return self._fold.unread

    @property
    def complete(self) -> bool:
        """Whether every choice has its end."""
        return self._fold.complete

    @property
    def folded(self) -> ChatResponse:
        """The answer so far."""
        return self._fold.response()

    async def batches(self) -> AsyncGenerator[Iterator[ChatEvent], None]:
        """Yield the events once, `Start` first, those together that came together. Each is folded as it is taken.

        Raises:
            GatewayError: The answer broke off after the commit point.
        """
        add, opened = self._fold.add, self._opened
        try:
            events: Sequence[ChatEvent] | None = opened.early
            while events is not None:
                yield map(add, events)
                events = await opened.next()
            self._check_end()
        except Exception as error:
            self.failure = error
            raise
        finally:
            await self.aclose()

    async def drain(self) -> None:
        """Take all events at once.

        Raises:
            GatewayError: The answer broke off.
        """
        add, opened = self._fold.add, self._opened
        try:
            events: Sequence[ChatEvent] | None = opened.early
            while events is not None:
                for event in events:
                    add(event)
                events = await opened.next()
            self._check_end()
        except Exception as error:
            self.failure = error
            raise
        finally:
            await self.aclose()

    async def response(self) -> ChatResponse:
        """Drain the events and return the whole answer.

        Raises:
            GatewayError: The answer broke off.
        """
        await self.drain()
        return self._fold.response()

    async def aclose(self) -> None:
        """Give the answer up: close the upstream call. Does nothing after the end."""
        try:
            await self._opened.aclose()
        finally:
            if not self._ended:
                self._ended = True
                self._on_end(self)

    def _check_end(self) -> None:
        if not self._fold.complete:
            raise ProviderBadResponse("The provider's answer broke off before its end.")


@dataclass(frozen=True, slots=True)
class EmbeddingAnswer:
    """Vectors, and where they came from.

    Attributes:
        provider: The provider instance that answered.
        model: The model that was asked.
        attempts: Every try.
        response: The provider's answer.
        cost: USD; None where the price or the usage is unknown.
    """

    provider: str
    model: str
    attempts: Sequence[Attempt]
    response: EmbeddingResponse
    cost: float | None
