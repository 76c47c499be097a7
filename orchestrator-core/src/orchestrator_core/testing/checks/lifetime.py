"""Callers that leave, upstreams that stall, and deadlines: nothing stays open, and nobody else's wait is cut."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

from orchestrator_core.provider_api import ChatEvent, Deadline, Finish, ProviderTimeout, TextDelta
from orchestrator_core.testing.bench import Bench, within
from orchestrator_core.testing.checks.chat import both_modes
from orchestrator_core.testing.judge import require
from orchestrator_core.testing.scenes import PLAIN
from orchestrator_core.testing.server import Broken
from orchestrator_core.testing.suite import Suite, proves

LEAVE = 1.0
"""Seconds within which the upstream must see that the caller left."""
STALL = 0.2
"""Seconds of silence after which a deadline is due."""
PATIENCE = 0.3
"""The same where the answer is to come in time."""
SLACK = 2.0
"""Seconds that a busy machine may take to notice."""


class LifetimeChecks(Suite):
    """Cancellation and deadlines."""

    @proves("chat")
    def test_closing_the_answer_closes_the_upstream_call(self) -> None:
        """A caller who stops listening ends the call upstream within a second."""
        fake = self.fake()

        async def work(bench: Bench) -> None:
            bench.server.script.append(Broken(PLAIN, events=len(list(fake.stream(PLAIN))) // 2))
            events = bench.chat(bench.request(stream=True))
            await anext(events)
            async with within(SLACK):
                await bench.server.hanging.wait()
            try:
                async with within(LEAVE):
                    await events.aclose()
                    await bench.server.left.wait()
            except TimeoutError:
                require(
                    False, "the upstream call stays open after aclose: hold it in `async with` inside the generator"
                )
            except RuntimeError as error:
                require(False, f"the generator does not close ({error}): yield nothing after GeneratorExit")

        self.run(work)

    @both_modes
    @proves("chat")
    def test_a_cancelled_call_ends_upstream(self, stream: bool) -> None:
        """Cancelling who waits for the upstream ends the call there within a second, and is not swallowed."""
        self.fake()

        async def work(bench: Bench) -> None:
            bench.server.script.append(Broken(PLAIN, events=2 if stream else 0))
            waiting = asyncio.create_task(_drain(bench, stream=stream))
            async with within(SLACK):
                await bench.server.hanging.wait()
            await asyncio.sleep(0.05)
            waiting.cancel()
            try:
                async with within(LEAVE):
                    await asyncio.wait([waiting])
                    await bench.server.left.wait()
            except TimeoutError:
                require(False, "the upstream call goes on after the caller was cancelled")
            require(waiting.cancelled(), "the generator swallows the cancellation: let CancelledError pass")

        self.run(work)

    @proves("chat")
    def test_an_offline_answer_can_be_left(self) -> None:
        """An answer can be closed after its first event, whatever else would come."""

        async def work(bench: Bench) -> None:
            events = bench.chat(bench.request(stream=True))
            for _ in range(2):  # what follows `Start` is where answers are left
                await anext(events)
            try:
                async with within(LEAVE):
                    await events.aclose()
            except (RuntimeError, TimeoutError) as error:
                raise AssertionError(
                    f"the answer does not close: {error!r}. Yield nothing after GeneratorExit"
                ) from error
            leftover = [event async for event in events]
            require(not leftover, f"events come after aclose: {leftover}")

        self.run(work)

    @proves("chat")
    def test_a_silent_upstream_times_out(self) -> None:
        """No headers within the time for the first event is `ProviderTimeout`."""
        self.fake()

        async def work(bench: Bench) -> None:
            deadline = Deadline.after(10.0, first_event=STALL)
            await _times_out(bench, Broken(PLAIN, events=0), deadline, stream=True)

        self.run(work)

    @proves("chat")
    def test_a_stalled_stream_times_out(self) -> None:
        """Silence in the middle of a stream is `ProviderTimeout` after the idle time."""
        self.fake()

        async def work(bench: Bench) -> None:
            await _times_out(bench, Broken(PLAIN, events=2), Deadline.after(10.0, idle=STALL), stream=True)

        self.run(work)

    @both_modes
    @proves("chat")
    def test_the_whole_call_has_one_deadline(self, stream: bool) -> None:
        """When the request's time is over the call ends, streamed or not."""
        self.fake()

        async def work(bench: Bench) -> None:
            await _times_out(bench, Broken(PLAIN, events=2), Deadline.after(STALL), stream=stream)

        self.run(work)

    @proves("chat")
    def test_no_timeout_stands_around_a_yield(self) -> None:
        """A caller who takes his time between two events is not cancelled by the provider's deadline."""

        async def work(bench: Bench) -> None:
            deadline = Deadline.after(2 * PATIENCE, first_event=PATIENCE, idle=PATIENCE)
            taken: list[ChatEvent] = []
            async with aclosing(bench.chat(bench.request(stream=True, deadline=deadline))) as events:
                try:
                    taken.append(await anext(events))
                    # Longer than every limit of the request: none of them may reach into the caller's own work.
                    await asyncio.sleep(2 * PATIENCE + 0.1)
                except (TimeoutError, asyncio.CancelledError):
                    message = "a timeout of the provider cancelled the caller: put it around `anext`, never a `yield`"
                    raise AssertionError(message) from None
                try:
                    taken += [event async for event in events]
                except ProviderTimeout:
                    return
            ended = any(isinstance(event, Finish) for event in taken)
            require(ended, "after a pause the stream ends without its end and without an error")

        self.run(work)

    @proves("chat")
    def test_a_pause_of_the_caller_is_no_silence_of_the_upstream(self) -> None:
        """What has arrived meanwhile is given to a caller who was slow, as long as the request's time lasts."""
        self.fake()

        async def work(bench: Bench) -> None:
            deadline = Deadline.after(10.0, idle=PATIENCE, first_event=PATIENCE)
            texts: list[str] = []
            async with aclosing(bench.chat(bench.request(stream=True, deadline=deadline))) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        texts.append(event.text)
                        if len(texts) == 1:
                            await asyncio.sleep(1.5 * PATIENCE)
            require("".join(texts) == PLAIN.text, f"a slow caller gets {''.join(texts)!r}")

        self.run(work)


async def _drain(bench: Bench, *, stream: bool) -> None:
    async with aclosing(bench.chat(bench.request(stream=stream))) as events:
        async for _ in events:
            pass


async def _times_out(bench: Bench, script: Broken, deadline: Deadline, *, stream: bool) -> None:
    """Require that a call ends with `ProviderTimeout` soon after its deadline, and is closed upstream."""
    started = time.monotonic()
    try:
        async with within(STALL + SLACK):
            heard = await bench.hear(script, stream=stream, deadline=deadline)
    except TimeoutError:
        raise AssertionError("the call waits on after its deadline: pass `request.deadline` to the client") from None
    took = time.monotonic() - started
    require(isinstance(heard.error, ProviderTimeout), f"after {took:.1f} s the call ended with {heard.error!r}")
    async with within(SLACK):
        await bench.server.left.wait()
