"""Providers that get an answer, its errors or its time wrong."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

from fake_providers.mutant_bases import Changed, Compiling, Events, Refusing, fails
from orchestrator_acme import AcmeProvider
from orchestrator_acme import parse as acme_parse
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    Deadline,
    Finish,
    ProviderAuthFailed,
    ProviderBadResponse,
    ProviderFailed,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ReasoningDelta,
    Start,
    TextDelta,
    UsageReport,
    hookimpl,
)


@fails("start_comes_first_and_each_choice_ends_once")
class WithoutStart(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        return [] if isinstance(event, Start) else [event]


@fails("start_comes_first_and_each_choice_ends_once")
class WithoutFinish(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        return [] if isinstance(event, Finish) else [event]


@fails("start_comes_first_and_each_choice_ends_once")
class YieldsIterators(Changed):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Any:
        async with aclosing(super().chat(request)) as events:
            async for event in events:
                yield iter([event])


@fails("start_comes_first_and_each_choice_ends_once")
class FinishesTwice(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        return [event, event] if isinstance(event, Finish) else [event]


@fails("start_comes_first_and_each_choice_ends_once")
class SpeaksAfterItsEnd(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        return [event, TextDelta(text="!")] if isinstance(event, Finish) else [event]


@fails("an_error_has_its_place_in_the_tree")
class StartsBeforeTheAnswer(Changed):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        yield Start(model=request.model)
        async with aclosing(super().chat(request)) as events:
            async for event in events:
                if not isinstance(event, Start):
                    yield event


@fails("start_says_what_the_upstream_calls_the_answer")
class ForgetsTheId(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        return [replace(event, id=None)] if isinstance(event, Start) else [event]


@fails("the_answer_says_what_the_upstream_said", "a_stream_says_what_the_whole_answer_says")
class LosesTheLastPiece(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        cut = request.stream and isinstance(event, TextDelta) and len(event.text) < 6
        return [] if cut else [event]


@fails("finish_reasons_are_told")
class EndsAllAlike(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        return [Finish(reason="stop")] if isinstance(event, Finish) else [event]


@fails("usage_is_counted_in_disjoint_buckets")
class CountsCachedTokensTwice(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        if isinstance(event, UsageReport) and event.usage is not None:
            return [UsageReport(usage=replace(event.usage, input_tokens=event.usage.total_input))]
        return [event]


@fails("reasoning_arrives_beside_the_text")
class ThinksAloud(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        return [TextDelta(text=event.text)] if isinstance(event, ReasoningDelta) else [event]


@fails("a_stream_is_passed_on_as_it_comes")
class BuffersTheStream(Changed):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        async with aclosing(super().chat(request)) as events:
            kept = [event async for event in events]
        for event in kept:
            yield event


@fails("the_stream_flag_asks_the_upstream_for_a_stream")
class NeverStreams(Changed):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        async with aclosing(super().chat(replace(request, stream=False))) as events:
            async for event in events:
                yield event


@fails("calls_at_the_same_time_do_not_mix")
class SharesItsState(Changed):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        self.said = ""
        async with aclosing(super().chat(request)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    self.said += event.text
                    await asyncio.sleep(0.01)
                elif isinstance(event, UsageReport):
                    yield TextDelta(text=self.said)
                    yield event
                else:
                    yield event


@fails("chat_is_an_async_generator")
class ReturnsAList(AcmeProvider):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Any:
        return [Start(), Finish()]


class _Deaf(acme_parse.AnswerParser):
    def event(self, data: bytes) -> list[ChatEvent]:
        return [] if b'"error"' in data else super().event(data)


@fails("no_error_shows_the_key")
class PutsTheKeyIntoErrors(Refusing):
    def refused(self, error: Exception, request: ChatRequest) -> Exception:
        key = request.credential.reveal() if request.credential else ""
        return ProviderAuthFailed(f"The key {key} was refused.") if isinstance(error, ProviderAuthFailed) else error


@fails("an_error_has_its_place_in_the_tree")
class TakesNoMoneyForTooFast(Refusing):
    def refused(self, error: Exception, request: ChatRequest) -> Exception:
        return ProviderRateLimited("slow down") if isinstance(error, ProviderQuotaExhausted) else error


@fails("an_error_has_its_place_in_the_tree")
class HidesWhatHelps(Refusing):
    def refused(self, error: Exception, request: ChatRequest) -> Exception:
        return type(error)("Something went wrong.")


@fails("an_error_has_its_place_in_the_tree")
class ShowsServerErrors(Refusing):
    def refused(self, error: Exception, request: ChatRequest) -> Exception:
        failed = isinstance(error, ProviderFailed) and getattr(error, "upstream_status", None) == 500
        return ProviderFailed("Acme says: KIT-SAID") if failed else error


@fails("retry_after_is_told")
class ForgetsRetryAfter(Refusing):
    def refused(self, error: Exception, request: ChatRequest) -> Exception:
        if isinstance(error, ProviderRateLimited):
            error.retry_after = None
        return error


@fails("nonsense_with_a_200_is_an_error", "nonsense_in_a_stream_is_an_error")
class RaisesWhatComes(Refusing):
    def refused(self, error: Exception, request: ChatRequest) -> Exception:
        return KeyError("content") if isinstance(error, ProviderBadResponse) else error


@fails("a_stream_that_ends_early_is_an_error", "an_error_event_in_a_stream_is_an_error")
class EndsQuietly(Refusing):
    def refused(self, error: Exception, request: ChatRequest) -> Exception | None:
        return None if request.stream else error


@fails("an_error_event_in_a_stream_is_an_error")
class IgnoresErrorEvents(Compiling):
    parser = _Deaf


@fails("an_error_event_in_a_stream_is_an_error")
class CallsErrorEventsNonsense(Refusing):
    def refused(self, error: Exception, request: ChatRequest) -> Exception:
        begun = isinstance(error, ProviderFailed) and error.upstream_status is None
        return ProviderBadResponse("what is this?") if begun else error


@fails("an_error_of_a_proxy_is_understood")
class ShowsPagesOfProxies(Refusing):
    def refused(self, error: Exception, request: ChatRequest) -> Exception:
        return ProviderFailed("<html><h1>KIT-SAID</h1></html>")


@fails("an_upstream_that_is_not_there_is_unreachable", "a_redirect_is_not_followed")
class CallsEverythingAFailure(Refusing):
    def refused(self, error: Exception, request: ChatRequest) -> Exception:
        return ProviderBadResponse("no")


@fails("closing_the_answer_closes_the_upstream_call", "a_cancelled_call_ends_upstream")
class LeavesTheCallOpen(AcmeProvider):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        inner = super().chat(request)
        self.open = [*getattr(self, "open", []), inner]

        async def pull() -> ChatEvent | None:
            return await anext(inner, None)

        while True:
            task = asyncio.ensure_future(pull())
            self.open.append(task)
            event = await asyncio.shield(task)
            if event is None:
                return
            yield event


@fails("no_timeout_stands_around_a_yield")
class TimesTheCaller(Changed):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        async with asyncio.timeout(request.deadline.remaining()):
            async with aclosing(super().chat(request)) as events:
                async for event in events:
                    yield event


@fails("no_timeout_stands_around_a_yield", "a_pause_of_the_caller_is_no_silence_of_the_upstream")
class TimesTheCallerBetweenEvents(Changed):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        async with aclosing(super().chat(request)) as events:
            async for event in events:
                async with asyncio.timeout(request.deadline.idle):
                    yield event


@fails("a_cancelled_call_ends_upstream")
class SwallowsCancellation(Changed):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        with suppress(asyncio.CancelledError):
            async with aclosing(super().chat(request)) as events:
                async for event in events:
                    yield event


@fails("the_whole_call_has_one_deadline", "a_stalled_stream_times_out", "a_silent_upstream_times_out")
class HasADeadlineOfItsOwn(Changed):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        async with aclosing(super().chat(replace(request, deadline=Deadline.after(30)))) as events:
            async for event in events:
                yield event
