"""The way of a call to a provider: meter, fall back, retry, call. One order, for chat and embeddings alike.

Each step is given the call and the next step. A step works on the opened call: until then nothing has been sent to
the client, and another try is allowed. Metering of the events themselves is in `answer`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, TypeVar

from orchestrator_core.orchestration.routing import Target
from orchestrator_core.provider_api import (
    ChatRequest,
    Deadline,
    DeadlineExceeded,
    EmbeddingRequest,
    GatewayError,
    ProviderAuthFailed,
    ProviderNotConfigured,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    Secret,
)
from orchestrator_core.resilience.keys import KeyRing
from orchestrator_core.resilience.retry import TRIES_PER_PROVIDER, TRIES_PER_REQUEST, retry_delay
from orchestrator_core.sessions.models import Attempt

R = TypeVar("R", ChatRequest, EmbeddingRequest)
T = TypeVar("T")


@dataclass(slots=True)
class Call(Generic[R]):
    """A call on its way.

    Attributes:
        request: What is asked; `model` and `credential` are filled in for each try.
        targets: Who may be asked, in order.
        credential: The caller's own key.
        attempts: Every try so far.
        target: Who is being asked now, and in the end who answered.
    """

    request: R
    targets: Sequence[Target]
    credential: Secret | None
    attempts: list[Attempt] = field(default_factory=list)
    target: Target = field(init=False)

    def __post_init__(self) -> None:
        self.target = self.targets[0]

    @property
    def deadline(self) -> Deadline:
        """When the call must have ended."""
        return self.request.deadline

    @property
    def last(self) -> bool:
        """Whether no other target is left."""
        return self.target is self.targets[-1]


Step = Callable[[Call[R]], Awaitable[T]]


async def run(call: Call[R], send: Callable[[Target, R], Awaitable[T]], keys: KeyRing) -> T:
    """Send a call through all steps and return it opened.

    Raises:
        GatewayError: No target answered; the last error.
    """
    ask: Step[R, T] = partial(_call, send=send, keys=keys)
    return await _fall_back(call, partial(_retry, ask=ask))


async def _fall_back(call: Call[R], ask: Step[R, T]) -> T:
    """Ask one target after the other until one answers."""
    waits: list[float] = []
    for target in call.targets:
        call.target = target
        try:
            return await ask(call)
        except GatewayError as error:
            error.provider = error.provider or target.provider.id
            if isinstance(error, ProviderRateLimited) and error.retry_after is not None:
                waits.append(error.retry_after)
            if not error.fallback or call.last or call.deadline.expired or len(call.attempts) >= TRIES_PER_REQUEST:
                if waits and isinstance(error, ProviderRateLimited):
                    error.retry_after = min(waits)
                raise
    raise AssertionError("a call has at least one target")


async def _retry(call: Call[R], ask: Step[R, T]) -> T:
    """Ask the last target once more where that may help; any other is left to the fallback at once."""
    for remaining in reversed(range(TRIES_PER_PROVIDER)):
        try:
            return await ask(call)
        except GatewayError as error:
            delay = retry_delay(error, call.deadline) if call.last else None
            if remaining == 0 or delay is None or len(call.attempts) >= TRIES_PER_REQUEST:
                raise
            await asyncio.sleep(delay)
    raise AssertionError("a provider is asked at least once")


async def _call(call: Call[R], send: Callable[[Target, R], Awaitable[T]], keys: KeyRing) -> T:
    """Make one try at one target, with a key for it, and keep a record of it."""
    target, started = call.target, time.monotonic()
    credential = call.credential or keys.choose(target.provider.keys)
    if credential is None and target.provider.info.requires_key:
        raise ProviderNotConfigured(f"The provider {target.provider.id!r} has no usable key here.")
    if call.deadline.expired and not call.attempts:
        raise DeadlineExceeded("The time for this request ended before a provider was asked. Allow it more.")
    code: str | None = "internal_error"
    try:
        opened = await send(target, replace(call.request, model=target.model, credential=credential))
        code = None
        return opened
    except GatewayError as error:
        code = error.code
        if call.credential is not None and isinstance(error, ProviderAuthFailed):
            error.status = 401  # the key is the caller's own, and so is the mistake
        elif call.credential is None and credential is not None and isinstance(error, ProviderQuotaExhausted):
            keys.exhausted(credential)
        raise
    except asyncio.CancelledError:
        code = "cancelled"
        raise
    finally:
        duration = time.monotonic() - started
        call.attempts.append(Attempt(provider=target.provider.id, model=target.model, duration=duration, error=code))
