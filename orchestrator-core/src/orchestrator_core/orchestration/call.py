"""A call on its way to a provider."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from orchestrator_core.orchestration.requests import CacheUse
from orchestrator_core.orchestration.routing import Target
from orchestrator_core.provider_api import ChatRequest, Deadline, EmbeddingRequest, Secret
from orchestrator_core.resilience.admission import Place
from orchestrator_core.resilience.breakers import Permit
from orchestrator_core.sessions.models import Attempt
from orchestrator_core.telemetry.metrics import CANCELLED

R = TypeVar("R", ChatRequest, EmbeddingRequest)
T = TypeVar("T")


@dataclass(slots=True)
class Call(Generic[R]):
    """A call on its way.

    Attributes:
        request: What is asked; `model` and `credential` are filled in for each try.
        targets: Who may be asked, in order.
        credential: The caller's own key.
        tenant: For whom it is.
        cache: What it has to do with the cache of answers.
        attempts: Every try so far, and every target that was passed over.
        tries: How many of them were calls to a provider.
        deadline: When the call must have ended.
        told: How many of `attempts` were counted already.
        target: Who is being asked now, and in the end who answered.
        next: Who is asked where the target fails; None where nobody is left.
        failed: Whose failure the next try comes after; None where it comes after none.
        begun: Since when the target is being asked, in monotonic seconds; None while nobody is.
        place: The place of the one that is under way.
        permit: What is to be told how the answer ends; None where nobody wants to know.
        rival: The same call to another target at the same time; whichever opens first is the answer.
        lost: Whether the rival was first.
    """

    request: R
    targets: Sequence[Target]
    credential: Secret | None
    tenant: str
    cache: CacheUse = "off"
    attempts: list[Attempt] = field(default_factory=list)
    tries: int = 0
    deadline: Deadline = field(init=False)
    told: int = field(init=False)
    target: Target = field(init=False)
    next: Target | None = field(init=False, default=None)
    failed: Target | None = field(init=False, default=None)
    begun: float | None = field(init=False, default=None)
    place: Place | None = field(init=False, default=None)
    permit: Permit | None = field(init=False, default=None)
    rival: Call[R] | None = field(init=False, default=None)
    lost: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.target, self.told = self.targets[0], len(self.attempts)
        self.deadline = self.request.deadline

    def note(self, target: Target, error: str | None, seconds: float = 0.0) -> None:
        """Keep a record of a try, or of a target that was passed over."""
        self.attempts.append(Attempt(provider=target.provider.id, model=target.model, duration=seconds, error=error))

    def give_up(self) -> None:
        """Note that its answer is not wanted any more, because the rival was first."""
        if not self.lost:
            self.lost = True
            if self.begun is not None:
                self.note(self.target, CANCELLED, time.monotonic() - self.begun)


Step = Callable[[Call[R]], Awaitable[T]]
