"""The way of a call to a provider: meter, cache, fall back, hedge, retry, call. One order for chat and embeddings.

Each step is given the call and the next step. A step works on the opened call: until then nothing has been sent to
the client, and another try is allowed. Metering of the events themselves is in `answer`; what is kept of them is in
`cache`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from orchestrator_core.orchestration.call import Call, R, Step, T
from orchestrator_core.orchestration.guards import Guards
from orchestrator_core.orchestration.hedging import Discard
from orchestrator_core.orchestration.routing import Target
from orchestrator_core.provider_api import (
    BudgetExceeded,
    CircuitOpen,
    DeadlineExceeded,
    GatewayError,
    Overloaded,
    ProviderAuthFailed,
    ProviderNotConfigured,
    ProviderRateLimited,
    Secret,
)
from orchestrator_core.resilience.admission import Place
from orchestrator_core.resilience.breakers import Permit
from orchestrator_core.resilience.faults import is_fault
from orchestrator_core.resilience.retry import TRIES_PER_PROVIDER, TRIES_PER_REQUEST, retry_delay
from orchestrator_core.telemetry.request_record import waiting_for_provider

UNHEALTHY: Final = "provider_unhealthy"
"""The code of a target that was put behind the others, because the last look found its provider failing."""

PASSED_OVER: Final = frozenset({UNHEALTHY, CircuitOpen.code, Overloaded.code, ProviderNotConfigured.code})
"""The codes of targets that were not asked."""


Cover = Callable[[int], Awaitable[None]]
"""Holds of a budget what one more try may cost, beside as many as are under way."""


async def run(
    call: Call[R],
    send: Callable[[Call[R], R], Awaitable[T]],
    guards: Guards,
    discard: Discard[R, T] | None = None,
    cover: Cover | None = None,
) -> T:
    """Send a call through all steps and return it opened.

    Args:
        call: Whom to ask what.
        send: Makes a try, and returns it opened.
        guards: Stand between the call and providers that fail.
        discard: Closes what was opened, where nobody wants it any more; without it one target is asked at a time.
        cover: Is awaited before each try but the first; None where no budget is.

    Raises:
        BudgetExceeded: What is left of a budget does not cover another try; why the one before it failed is in the
            call's attempts.
        GatewayError: No target answered; the error of the last that was asked.
    """
    guards.budget.earn()
    ask: Step[R, T] = partial(_retry, send=send, guards=guards, cover=cover)
    if discard is not None and guards.hedging.concerns(call):
        ask = partial(guards.hedging.race, ask=ask, discard=discard)
    order, failures = _order(call, guards), list[GatewayError]()
    try:
        for place, target in enumerate(order):
            if call.rival is not None and call.rival.target is target:
                continue  # it was asked already
            call.target, call.next = target, _next(order[place + 1 :], guards)
            try:
                return await ask(call)
            except BudgetExceeded as error:
                error.attempts = len(call.attempts)
                raise
            except GatewayError as error:
                error.provider = error.provider or target.provider.id
                failures.append(error)
                call.failed = target
                if not error.fallback or call.deadline.expired or call.tries >= TRIES_PER_REQUEST:
                    break
        raise _told(failures, len(call.attempts))
    finally:
        failures.clear()  # an error and a frame that hold each other stay until they are searched for


def _next(targets: Sequence[Target], guards: Guards) -> Target | None:
    """Return the first target that would be asked: one that can be called, and is not left alone."""
    for each in targets:
        if each.provider.usable and guards.breakers.wait(each.provider.id, each.model) <= 0:
            return each
    return None


def _order(call: Call[R], guards: Guards) -> Sequence[Target]:
    """Put the targets whose provider the last look found failing behind all others."""
    targets: Sequence[Target] = call.targets
    if len(targets) == 1 or not guards.watched:
        return targets
    well: list[Target] = [target for target in targets if not target.provider.down]
    if not well or len(well) == len(targets):
        return targets
    for target in targets[: targets.index(well[0])]:
        call.note(target, UNHEALTHY)
    return [*well, *(target for target in targets if target.provider.down)]


def _told(failures: Sequence[GatewayError], attempts: int) -> GatewayError:
    """Return what the client is told: the last error of a provider that was asked, with the shortest wait of all."""
    asked = [error for error in failures if error.code not in PASSED_OVER]
    error = (asked or failures)[-1]
    error.attempts = attempts
    waits = [each.retry_after for each in failures if each.retry_after is not None]
    if waits and (error.retry_after is not None or isinstance(error, ProviderRateLimited)):
        error.retry_after = min(waits)
    return error


async def _retry(call: Call[R], send: Callable[[Call[R], R], Awaitable[T]], guards: Guards, cover: Cover | None) -> T:
    """Ask a target, and once more where that may help: with another key, or where nobody else is left."""
    for number in range(1, TRIES_PER_PROVIDER + 1):
        try:
            return await _call(call, send, guards, cover)
        except GatewayError as error:
            if number == TRIES_PER_PROVIDER or call.tries >= TRIES_PER_REQUEST or call.deadline.expired:
                raise
            delay = _delay(call, error, guards)
            if delay is None:
                raise
            call.failed = call.target
        with waiting_for_provider():  # the provider asked for the pause, or fails
            await asyncio.sleep(delay)
    raise AssertionError("a provider is asked at least once")


def _delay(call: Call[R], error: GatewayError, guards: Guards) -> float | None:
    """Return the seconds after which the target is asked once more; None where it is not."""
    target = call.target
    if call.credential is None and guards.keys_left(target.provider, error):
        return 0.0
    if call.next is not None:
        return None
    delay = retry_delay(error, call.deadline)
    if delay is None or guards.breakers.wait(target.provider.id, target.model) > 0 or not guards.budget.spend():
        return None
    return delay


async def _call(call: Call[R], send: Callable[[Call[R], R], Awaitable[T]], guards: Guards, cover: Cover | None) -> T:
    """Make one try at one target, with a key for it, and keep a record of it."""
    if call.tries and cover is not None and not call.lost:
        await cover(int(call.rival is not None and call.rival.begun is not None))
    target = call.target
    credential = call.credential or guards.keys.choose(target.provider.keys)
    if not call.tries and call.deadline.expired:
        raise DeadlineExceeded("The time for this request ended before a provider was asked. Allow it more.")
    try:
        call.permit = permit = _permit(call, credential, guards)
        call.place = place = guards.admission.take(target.provider.id) or await _wait(call, permit, guards)
    except GatewayError as error:
        call.note(target, error.code)
        raise
    if call.failed is not None:
        guards.metrics.observe_next_try(call.failed.provider.id, target.provider.id, other=call.failed != target)
        call.failed = None
    call.tries += 1
    call.begun = started = time.monotonic()
    code: str | None = "internal_error"
    fault = False
    try:
        opened = await send(call, call.request.addressed(model=target.model, credential=credential))
        code = None
    except GatewayError as error:
        code = error.code
        waited = time.monotonic() - started
        fault = is_fault(error, in_time=waited >= guards.patience or not call.deadline.expired)
        if call.credential is not None and isinstance(error, ProviderAuthFailed):
            error.status = 401  # the key is the caller's own, and so is the mistake
        elif call.credential is None and credential is not None:
            guards.key_failed(target.provider, credential, error)
        raise
    except asyncio.CancelledError:
        code = "cancelled"
        raise
    finally:
        if code is not None:
            place.leave()
            if permit is not None:
                permit.end(failed=fault or None)
        _note(call, code, time.monotonic() - started)
    if permit is not None:
        permit.opened()
    return opened


def _note(call: Call[R], code: str | None, seconds: float) -> None:
    """Keep a record of a try that has ended; where it opened, the one beside it has lost."""
    call.begun = None
    if code is None and call.rival is not None:
        call.rival.give_up()
    if not call.lost:
        call.note(call.target, code, seconds)


def _permit(call: Call[R], credential: Secret | None, guards: Guards) -> Permit | None:
    """Let a call through to its target.

    What becomes of a call with a key of the caller's own is nobody else's affair: it has no permit.

    Raises:
        ProviderNotConfigured: There is no key for it.
        CircuitOpen: It failed too often of late.
    """
    target = call.target
    if call.lost:
        raise asyncio.CancelledError
    if credential is None and target.provider.info.requires_key:
        raise ProviderNotConfigured(f"The provider {target.provider.id!r} has no usable key here.")
    return None if call.credential is not None else guards.breakers.admit(target.provider.id, target.model)


async def _wait(call: Call[R], permit: Permit | None, guards: Guards) -> Place:
    """Wait for a place at a target that has none, where nobody else can be asked.

    Raises:
        Overloaded: There will be none in time.
    """
    try:
        wait = call.deadline.remaining() if call.next is None else 0.0
        return await guards.admission.enter(call.target.provider.id, call.tenant, wait)
    except BaseException:
        if permit is not None:
            permit.end(failed=None)
        raise
