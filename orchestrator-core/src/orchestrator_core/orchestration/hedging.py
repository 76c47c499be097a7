"""Asking a second target at the same time, where the first one does not begin to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from orchestrator_core.orchestration.call import Call, R, Step, T
from orchestrator_core.orchestration.routing import Target
from orchestrator_core.provider_api import ChatRequest, GatewayError
from orchestrator_core.resilience.retry import TRIES_PER_REQUEST
from orchestrator_core.resilience.retry_budget import RetryBudget
from orchestrator_core.telemetry.metrics import Metrics

_ONE_TRY: Final = TRIES_PER_REQUEST - 1
"""The tries of which one is left."""


Discard = Callable[[Call[R], T], Awaitable[None]]


class Hedging:
    """Races two targets for streams that begin late. Without it there is no task for a call."""

    def __init__(self, after: float | None, budget: RetryBudget, metrics: Metrics) -> None:
        """Make it.

        Args:
            after: Seconds until the second target is asked; None never asks one.
            budget: Says how many second targets may be asked: each is a load of its own, as a retry is.
            metrics: Count them.
        """
        self._after = after
        self._budget = budget
        self._metrics = metrics
        self._losers: set[asyncio.Task[Any]] = set()

    def concerns(self, call: Call[Any]) -> bool:
        """Whether a call may have a second target.

        An answer that is not streamed comes with its end, so nobody can tell whether it is late. And a key of the
        caller's own is for one provider.
        """
        request = call.request
        return (
            self._after is not None
            and call.credential is None
            and len(call.targets) > 1
            and isinstance(request, ChatRequest)
            and request.stream
        )

    async def race(self, call: Call[R], ask: Step[R, T], discard: Discard[R, T]) -> T:
        """Ask the target of a call, and the next one too where it is late; return what opens first.

        Args:
            call: The call.
            ask: Asks its target.
            discard: Closes what was opened, where nobody wants it any more.

        Raises:
            GatewayError: Neither opened; the later error. Or the first refused the request itself.
        """
        if call.next is None or call.rival is not None:
            return await ask(call)
        racing: dict[asyncio.Task[T], Call[R]] = {asyncio.create_task(_run(call, ask)): call}
        try:
            done, _ = await asyncio.wait(racing, timeout=self._after)
            if not done and self._may_ask(call):
                rival = _rival(call, call.next)
                racing[asyncio.create_task(_run(rival, ask))] = rival
            return await self._first(call, racing)
        except asyncio.CancelledError:
            for task in racing:
                task.cancel()
            await asyncio.wait(racing)
            for task, asked in racing.items():
                if not task.cancelled() and task.exception() is None:  # it opened as the caller left
                    await discard(asked, task.result())
            raise

    async def close(self) -> None:
        """Wait for those who lost to be gone."""
        while self._losers:
            await asyncio.wait(self._losers)

    def _may_ask(self, call: Call[Any]) -> bool:
        return call.tries < TRIES_PER_REQUEST and not call.deadline.expired and self._budget.spend()

    async def _first(self, call: Call[R], racing: Mapping[asyncio.Task[T], Call[R]]) -> T:
        """Return what opens first, and give the other one up."""
        waiting, failed = dict(racing), list[GatewayError]()
        try:
            while waiting:
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    asked = waiting.pop(task)
                    if task.cancelled():
                        continue  # the other one opened in the same moment
                    error = task.exception()
                    if error is None:
                        self._adopt(call, asked)
                        return task.result()
                    if asked is call.rival and asked.tries == _ONE_TRY and isinstance(error, GatewayError):
                        self._withdraw(call)
                        continue
                    if not isinstance(error, GatewayError) or (asked is call and not error.fallback):
                        raise error
                    error.provider = error.provider or asked.target.provider.id
                    failed.append(error)
            if call.rival is not None:
                self._metrics.observe_hedge(call.target.provider.id, call.rival.target.provider.id, "failed")
            raise failed[-1] if failed else asyncio.CancelledError
        finally:
            failed.clear()  # an error and a frame that hold each other stay until they are searched for
            for task, asked in waiting.items():
                self._leave(task, asked)

    def _withdraw(self, call: Call[Any]) -> None:
        """Forget a second target that was passed over: nobody asked it, and it may be asked where the first fails."""
        call.rival = None
        call.tries -= 1
        self._budget.give_back()

    def _adopt(self, call: Call[R], asked: Call[R]) -> None:
        """Let a call be the one of the two that opened."""
        rival = call.rival
        if rival is None:
            return
        outcome = "won" if asked is rival else "lost"
        self._metrics.observe_hedge(call.target.provider.id, rival.target.provider.id, outcome)
        if asked is rival:
            call.target, call.place, call.permit = rival.target, rival.place, rival.permit

    def _leave(self, task: asyncio.Task[Any], asked: Call[Any]) -> None:
        """Give one up without waiting for it: closing may take a provider a while, and the answer is there."""
        asked.give_up()
        task.cancel()
        self._losers.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._losers.discard(task)
        if not task.cancelled():
            task.exception()  # nobody is told what became of it


def _rival(call: Call[R], target: Target) -> Call[R]:
    """Return the call of a second target, which has one try and waits for nothing."""
    rival = Call(call.request, [target], None, call.tenant, call.cache, call.attempts, _ONE_TRY)
    rival.next = call.target
    call.rival, rival.rival = rival, call
    call.tries += 1
    return rival


async def _run(call: Call[R], ask: Step[R, T]) -> T:
    return await ask(call)
