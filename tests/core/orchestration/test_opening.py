import asyncio
import time
from collections.abc import AsyncGenerator, Sequence

import pytest

from orchestrator_core.orchestration.opening import open_stream
from orchestrator_core.provider_api import (
    ChatEvent,
    Deadline,
    Finish,
    PluginError,
    ProviderBadResponse,
    ProviderTimeout,
    ProviderUnavailable,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from orchestrator_core.resilience.waits import Timed, Waits

CONTENT = [
    TextDelta(text="a"),
    ReasoningDelta(text="hm"),
    ReasoningDelta(provider_metadata={"acme": {"redacted": "x"}}),
    ToolCallDelta(id="c", name="f"),
    Finish(),
]


class Source:
    """A provider's generator that knows whether it was closed."""

    def __init__(self, *steps: ChatEvent | Sequence[ChatEvent] | Exception | float) -> None:
        self.steps = steps
        self.pulled = 0
        self.closed = False

    async def events(self) -> AsyncGenerator[Sequence[ChatEvent], None]:
        try:
            for step in self.steps:
                self.pulled += 1
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield [step] if isinstance(step, ChatEvent) else step
        finally:
            self.closed = True


@pytest.mark.parametrize("content", CONTENT, ids=lambda event: type(event).__name__)
async def test_opening_stops_at_the_first_event_that_counts(content: ChatEvent) -> None:
    source = Source(Start(), UsageReport(), TextDelta(text=""), content, TextDelta(text="later"), Finish())

    opened = await open_stream(source.events(), Deadline.after(5), Waits(), stream=True)

    assert source.pulled == 4
    assert [opened.early, await opened.next(), await opened.next()] == [
        list(source.steps[:4]),
        [TextDelta(text="later")],
        [Finish()],
    ]
    assert await opened.next() is None
    assert source.closed


async def test_what_came_with_the_first_content_is_there_with_it() -> None:
    source = Source(Start(), [UsageReport(), TextDelta(text="a"), Finish()], [UsageReport()])

    opened = await open_stream(source.events(), Deadline.after(5), Waits(), stream=True)

    assert source.pulled == 2
    assert opened.early == [Start(), UsageReport(), TextDelta(text="a"), Finish()]
    assert await opened.next() == [UsageReport()]
    assert await opened.next() is None


async def test_an_error_before_the_first_content_is_raised_and_the_call_closed() -> None:
    source = Source(Start(), ProviderUnavailable("busy"))

    with pytest.raises(ProviderUnavailable):
        await open_stream(source.events(), Deadline.after(5), Waits(), stream=False)
    assert source.closed


@pytest.mark.parametrize("steps", [(), (Start(),), (Start(), UsageReport())])
async def test_an_answer_that_ends_before_it_begins_is_bad(steps: tuple[ChatEvent, ...]) -> None:
    with pytest.raises(ProviderBadResponse):
        await open_stream(Source(*steps).events(), Deadline.after(5), Waits(), stream=False)


async def test_events_without_end_and_without_content_are_bad() -> None:
    with pytest.raises(ProviderBadResponse):
        await open_stream(Source(Start(), *[UsageReport()] * 2000).events(), Deadline.after(5), Waits(), stream=False)


async def test_content_without_a_start_is_the_plugins_fault() -> None:
    source = Source(TextDelta(text="a"), Finish())

    with pytest.raises(PluginError):
        await open_stream(source.events(), Deadline.after(5), Waits(), stream=False)
    assert source.closed


@pytest.mark.parametrize(
    ("deadline", "stream"),
    [(Deadline.after(3600, first_event=0.05), True), (Deadline(time.monotonic() + 3600), False)],
)
async def test_the_limit_of_the_first_event_holds_for_streams_only(deadline: Deadline, stream: bool) -> None:
    source = Source(0.2, Start(), TextDelta(text="a"), Finish())

    if stream:
        with pytest.raises(ProviderTimeout):
            await open_stream(source.events(), deadline, Waits(), stream=stream)
        assert source.closed
    else:
        opened = await open_stream(source.events(), deadline, Waits(), stream=stream)
        await opened.aclose()


async def test_what_begins_in_time_has_the_rest_of_the_deadline() -> None:
    source = Source(Start(), TextDelta(text="a"), 0.3, Finish())
    opened = await open_stream(source.events(), Deadline.after(60, first_event=0.1), Waits(), stream=True)

    assert await opened.next() == [Finish()]
    await opened.aclose()


class Looking(Waits):
    """Waits that tell what they look after."""

    def __init__(self) -> None:
        super().__init__()
        self.after: set[Timed] = set()

    def begin(self, timed: Timed) -> None:
        self.after.add(timed)
        super().begin(timed)

    def end(self, timed: Timed) -> None:
        self.after.discard(timed)
        super().end(timed)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_call_that_is_closed_or_failed_is_looked_after_no_more(stream: bool) -> None:
    waits = Looking()
    opened = await open_stream(
        Source(Start(), TextDelta(text="a"), Finish()).events(), Deadline.after(60), waits, stream=stream
    )
    assert waits.after == {opened}
    await opened.aclose()
    assert not waits.after
    with pytest.raises(ProviderUnavailable):
        await open_stream(Source(ProviderUnavailable("down")).events(), Deadline.after(60), waits, stream=stream)
    assert not waits.after


async def test_the_deadline_ends_a_stream_that_stalls() -> None:
    source = Source(Start(), TextDelta(text="a"), 30.0, Finish())
    opened = await open_stream(source.events(), Deadline.after(0.1), Waits(), stream=True)

    with pytest.raises(ProviderTimeout):
        await opened.next()
    await opened.aclose()
    assert source.closed


@pytest.mark.parametrize("made_of_it", [ValueError("too long"), TextDelta(text="b"), None])
async def test_nothing_of_the_end_of_the_time_is_left_whatever_is_made_of_it(
    made_of_it: ChatEvent | Exception | None,
) -> None:
    async def changing() -> AsyncGenerator[Sequence[ChatEvent], None]:
        yield [Start(), TextDelta(text="a")]
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            if isinstance(made_of_it, Exception):
                raise made_of_it from None
        if made_of_it is not None:
            yield [made_of_it]

    opened = await open_stream(changing(), Deadline.after(0.1), Waits(), stream=True)
    if isinstance(made_of_it, Exception):
        with pytest.raises(ValueError, match="too long"):
            await opened.next()
    else:
        assert await opened.next() == (None if made_of_it is None else [made_of_it])
    await opened.aclose()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_the_deadline_does_not_cancel_a_consumer_between_two_events() -> None:
    source = Source(Start(), TextDelta(text="a"), TextDelta(text="b"), TextDelta(text="c"), Finish())
    opened = await open_stream(source.events(), Deadline.after(0.3), Waits(), stream=True)

    assert await opened.next() == [TextDelta(text="b")]
    await asyncio.sleep(0.4)
    with pytest.raises(ProviderTimeout):
        await opened.next()
    await opened.aclose()
    assert source.closed


async def test_a_consumer_that_is_cancelled_cancels_the_call() -> None:
    source = Source(Start(), TextDelta(text="a"), 30.0)
    opened = await open_stream(source.events(), Deadline.after(60), Waits(), stream=True)

    task = asyncio.create_task(opened.next())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await opened.aclose()
    assert source.closed


async def test_a_generator_that_does_not_close_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator_core.orchestration.opening.CLOSE_TIMEOUT", 0.05)

    async def stubborn() -> AsyncGenerator[Sequence[ChatEvent], None]:
        try:
            yield [Start(), TextDelta(text="a")]
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(30)

    opened = await open_stream(stubborn(), Deadline.after(60), Waits(), stream=True)
    began = time.monotonic()
    await opened.aclose()
    assert time.monotonic() - began < 5
