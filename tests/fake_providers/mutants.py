"""Acme's provider, broken in one way at a time."""

from __future__ import annotations

import asyncio
import logging
import urllib.request
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

from pydantic_core import to_json

from orchestrator_acme import AcmeProvider
from orchestrator_acme import compile as acme_compile
from orchestrator_acme import parse as acme_parse
from orchestrator_core.openai_compatible import Dialect, OpenAICompatibleProvider
from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatEvent,
    ChatRequest,
    Deadline,
    EmbeddingRequest,
    EmbeddingResponse,
    Finish,
    HealthReport,
    HealthRequest,
    KeyFormat,
    KeyRequest,
    KeyVerdict,
    ProviderAuthFailed,
    ProviderBadResponse,
    ProviderFailed,
    ProviderHooks,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    UsageReport,
    hookimpl,
)

Events = AsyncGenerator[ChatEvent, None]
MUTANTS: list[tuple[type[ProviderHooks], tuple[str, ...]]] = []


def fails(*checks: str) -> Callable[[type[ProviderHooks]], type[ProviderHooks]]:
    """Add a mutant, with the checks that it must fail."""

    def add(cls: type[ProviderHooks]) -> type[ProviderHooks]:
        MUTANTS.append((cls, tuple(f"test_{check}" for check in checks)))
        return cls

    return add


class Changed(AcmeProvider):
    """Lets a mutant change or leave out events."""

    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        return [event]

    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        async with aclosing(super().chat(request)) as events:
            async for event in events:
                for changed in self.change(event, request):
                    yield changed


# ---- events ----------------------------------------------------------------------------------------------------


@fails("start_comes_first_and_each_choice_ends_once")
class WithoutStart(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        return [] if isinstance(event, Start) else [event]


@fails("start_comes_first_and_each_choice_ends_once")
class WithoutFinish(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        return [] if isinstance(event, Finish) else [event]


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


# ---- tools -----------------------------------------------------------------------------------------------------


@fails("ids_are_unique_across_answers")
class NumbersItsCalls(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        if isinstance(event, ToolCallDelta) and event.id:
            return [replace(event, id=f"call_{event.index}")]
        return [event]


@fails("parallel_calls_arrive")
class PutsAllCallsIntoOne(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        return [replace(event, index=0)] if isinstance(event, ToolCallDelta) else [event]


class Compiling(Changed):
    """Lets a mutant change the body, or how it is compiled."""

    compiler = acme_compile.Compiler
    parser = acme_parse.AnswerParser

    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        """Change the body in place."""

    def report(self, request: ChatRequest) -> AdjustmentReport:
        return AdjustmentReport(strict=request.strict)

    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        report = self.report(request)
        name = self.context.provider_id
        body = acme_compile.compile_chat(request, name, self.context.settings, report)
        again = AdjustmentReport(strict=False)
        body["turns"] = self.compiler(name, again).turns(request.messages)
        self.body(body, request)
        parser = self.parser(name, report.adjustments)
        url, options = f"{self.base_url}/answers", {"deadline": request.deadline, "credential": request.credential}
        if not request.stream:
            answer = await self.context.client.request("POST", url, body=to_json(body), **options)
            for event in parser.body(self._checked(answer)):
                yield event
            return
        async with (
            self.context.client.stream("POST", url, body=to_json(body), **options) as stream,
            aclosing(stream.events()) as upstream,
        ):
            async for sent in upstream:
                for event in parser.event(sent.data):
                    yield event


@fails("tools_reach_the_upstream")
class ForgetsDescriptions(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        for tool in body.get("tools", ()):
            tool.pop("description", None)


@fails("results_go_back_beside_their_calls", "a_broken_conversation_is_repaired")
class SendsResultsAlone(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        for turn in body["turns"]:
            turn["content"] = [block for block in turn["content"] if block["type"] != "call"]


class _Orphans(acme_compile.Compiler):
    def result(self, call: Any, given: Any) -> Any:
        return super().result(call, given) if call.id in given else {"type": "text", "text": "-"}


@fails("a_broken_conversation_is_repaired")
class SendsCallsWithoutResults(Compiling):
    compiler = _Orphans


@fails("ids_of_any_form_are_taken")
class MakesNewIdsEachTime(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        self.made = getattr(self, "made", 0) + 1
        for turn in body["turns"]:
            for block in turn["content"]:
                for field in ("id", "call"):
                    if field in block:
                        block[field] += f"_{self.made}"


class _Foreign(acme_compile.Compiler):
    def block(self, part: Any) -> Any:
        block = super().block(part)
        foreign = {name: value for own in (part.provider_metadata or {}).values() for name, value in own.items()}
        return block and {**block, **foreign}


@fails("nothing_foreign_is_sent")
class SendsForeignMetadata(Compiling):
    compiler = _Foreign


class _Thoughts(acme_compile.Compiler):
    def block(self, part: Any) -> Any:
        return {"type": "text", "text": part.text} if part.type == "reasoning" else super().block(part)


@fails("nothing_foreign_is_sent", "ones_own_metadata_survives_an_excursion")
class SaysTheThoughtsOfOthers(Compiling):
    compiler = _Thoughts


@fails("the_history_is_not_changed")
class ChangesTheHistory(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        for message in request.messages:
            message.__dict__["parts"] = tuple(part for part in message.parts if part.type != "opaque")


@fails("a_conversation_is_sent_as_it_is", "nothing_foreign_is_sent")
class ForgetsTheSystemPrompt(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        body.pop("system", None)


@fails("images_reach_the_upstream")
class LosesImages(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        for turn in body["turns"]:
            turn["content"] = [block for block in turn["content"] if block["type"] != "image"]


@fails("a_schema_reaches_the_upstream")
class ForgetsTheSchema(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        body.pop("schema", None)


# ---- pieces of a conversation ------------------------------------------------------------------------------------


@fails("every_piece_of_a_conversation_is_sent_once_or_reported")
class SendsTheFirstSystemPromptOnly(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        body["system"] = body.get("system", "").partition("\n\n")[0]


@fails("every_piece_of_a_conversation_is_sent_once_or_reported")
class SendsUsersTwice(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        for turn in body["turns"]:
            turn["content"] = turn["content"] * (2 if turn["from"] == "user" else 1)


@fails("every_piece_of_a_conversation_is_sent_once_or_reported")
class ForgetsTheBeginning(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        body["turns"] = body["turns"][-20:]


class _CallsAlone(acme_compile.Compiler):
    def content(self, parts: Any) -> Any:
        called = any(part.type == "tool_call" for part in parts)
        return super().content([part for part in parts if not called or part.type == "tool_call"])


@fails("every_piece_of_a_conversation_is_sent_once_or_reported")
class LosesTextBesideCalls(Compiling):
    compiler = _CallsAlone


class _TextOfResults(acme_compile.Compiler):
    def result(self, call: Any, given: Any) -> Any:
        sent = super().result(call, given)
        if isinstance(sent["output"], list):
            sent["output"] = [block for block in sent["output"] if block["type"] == "text"]
        return sent


@fails("every_piece_of_a_conversation_is_sent_once_or_reported")
class LosesImagesOfResults(Compiling):
    compiler = _TextOfResults


class _EmptyUrls(acme_compile.Compiler):
    def block(self, part: Any) -> Any:
        sent = super().block(part)
        return {**sent, "url": ""} if sent and "url" in sent else sent


@fails("every_piece_of_a_conversation_is_sent_once_or_reported")
class EmptiesUrls(Compiling):
    compiler = _EmptyUrls


class _NoFiles(AdjustmentReport):
    def dropped(self, subject: str, reason: str) -> None:
        if subject != "file":
            super().dropped(subject, reason)


@fails("every_piece_of_a_conversation_is_sent_once_or_reported")
class LosesFilesInSilence(Compiling):
    def report(self, request: ChatRequest) -> AdjustmentReport:
        return _NoFiles(strict=request.strict)


class _AllImages(AdjustmentReport):
    def dropped(self, subject: str, reason: str) -> None:
        super().dropped(subject, reason)
        self.omitted("image", reason)


@fails("every_piece_of_a_conversation_is_sent_once_or_reported")
class ReportsImagesThatItSends(Compiling):
    def report(self, request: ChatRequest) -> AdjustmentReport:
        return _AllImages(strict=request.strict)


@fails("a_result_that_is_an_error_is_told_from_one_that_is_none")
class ForgetsThatCallsFailed(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        for turn in body["turns"]:
            for block in turn["content"]:
                block.pop("failed", None)


@fails("the_choice_of_a_tool_reaches_the_upstream")
class NeverChooses(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        body.pop("tool_use", None)


@fails("the_choice_of_a_tool_reaches_the_upstream")
class LeavesANamedToolToTheModel(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        if body.get("tool_use") not in (None, "auto", "none", "any"):
            body["tool_use"] = "auto"


@fails("the_choice_of_a_tool_reaches_the_upstream")
class ChoosesNoToolForTheStrictEither(Compiling):
    def report(self, request: ChatRequest) -> AdjustmentReport:
        report = AdjustmentReport(strict=request.strict)
        if request.tool_choice is not None:
            report.omitted("tool_choice", "Acme does not know it")
        return report

    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        body.pop("tool_use", None)


@fails("ids_of_any_form_are_taken")
class MakesIdsThatFallTogether(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        for turn in body["turns"]:
            for block in turn["content"]:
                for field in ("id", "call"):
                    if field in block:
                        block[field] = block[field][:1]


@fails("the_operators_defaults_are_sent_where_the_caller_sets_none")
class HasItsOwnTemperature(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        if request.temperature is None:
            body.pop("temperature", None)


@fails("the_operators_defaults_are_sent_where_the_caller_sets_none")
class PrefersTheOperator(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        body["temperature"] = self.context.settings.default_temperature


class _AnyonesSeal(acme_compile.Compiler):
    def block(self, part: Any) -> Any:
        kept = {name: value for own in (part.provider_metadata or {}).values() for name, value in own.items()}
        return super().block(part.model_copy(update={"provider_metadata": {self.provider_id: kept}}))


@fails("only_what_stands_under_its_own_name_is_its_own")
class ReadsTheMetadataOfOthers(Compiling):
    compiler = _AnyonesSeal


# ---- reports ---------------------------------------------------------------------------------------------------


@fails("nothing_is_dropped_in_silence")
class DropsInSilence(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        body.pop("top_p", None)


@fails("nothing_is_dropped_in_silence")
class IgnoresStrictness(Compiling):
    def report(self, request: ChatRequest) -> AdjustmentReport:
        return AdjustmentReport(strict=False)


@fails("what_stays_behind_is_reported_exactly", "a_conversation_is_sent_as_it_is")
class ReportsEverything(Compiling):
    def report(self, request: ChatRequest) -> AdjustmentReport:
        report = super().report(request)
        for subject in ("reasoning", "opaque", "tool_call", "tool_result", "message", "image"):
            report.omitted(subject, "to be on the safe side")
        return report


class _Quiet(AdjustmentReport):
    def omitted(self, subject: str, reason: str) -> None:
        """Tell nobody."""


@fails("what_stays_behind_is_reported_exactly")
class ReportsNothing(Compiling):
    def report(self, request: ChatRequest) -> AdjustmentReport:
        return _Quiet(strict=request.strict)


class _Confused(AdjustmentReport):
    """Says `dropped` of what was mapped."""

    def mapped(self, subject: str, reason: str) -> None:
        self.omitted(subject, reason)


@fails("a_repair_is_reported_as_what_it_is")
class CallsRepairsLosses(Compiling):
    def report(self, request: ChatRequest) -> AdjustmentReport:
        return _Confused(strict=request.strict)


class _Inventive(AdjustmentReport):
    def mapped(self, subject: str, reason: str) -> None:
        if "no result" not in reason:
            super().mapped(subject, reason)


@fails("a_repair_is_reported_as_what_it_is")
class InventsResultsInSilence(Compiling):
    def report(self, request: ChatRequest) -> AdjustmentReport:
        return _Inventive(strict=request.strict)


class _Careless(AdjustmentReport):
    def dropped(self, subject: str, reason: str) -> None:
        (self.mapped if subject == "tool_result" else super().dropped)(subject, reason)


@fails("a_repair_is_reported_as_what_it_is")
class CallsLossesRepairs(Compiling):
    def report(self, request: ChatRequest) -> AdjustmentReport:
        return _Careless(strict=request.strict)


@fails("what_the_vendor_wants_back_is_given_back", "ones_own_metadata_survives_an_excursion")
class LosesItsSignatures(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        return [replace(event, provider_metadata=None)]


@fails("what_the_vendor_wants_back_is_given_back")
class SignsWithItsClassName(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        kept = event.provider_metadata
        return [replace(event, provider_metadata=kept and {"acme": next(iter(kept.values()))})]


# ---- errors ----------------------------------------------------------------------------------------------------


class _Deaf(acme_parse.AnswerParser):
    def event(self, data: bytes) -> list[ChatEvent]:
        return [] if b'"error"' in data else super().event(data)


class Refusing(Changed):
    """Lets a mutant change errors."""

    def refused(self, error: Exception, request: ChatRequest) -> Exception | None:
        return error

    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        try:
            async with aclosing(super().chat(request)) as events:
                async for event in events:
                    yield event
        except Exception as error:
            changed = self.refused(error, request)
            if changed is not None:
                raise changed from error


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


# ---- time ------------------------------------------------------------------------------------------------------


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


# ---- keys, clients, the rest -----------------------------------------------------------------------------------


@fails("no_answer_and_no_log_shows_the_key")
class LogsTheKey(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        logging.getLogger("acme").debug("with %s", request.credential.reveal() if request.credential else "")
        return [event]


@fails("no_answer_and_no_log_shows_the_key")
class KeepsTheKeyInAnswers(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        key = request.credential.reveal() if request.credential else ""
        return [replace(event, provider_metadata={self.context.provider_id: {"key": key}})]


@fails("what_python_prints_of_it_shows_no_key")
class RemembersTheKey(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        self.last_credential = request.credential
        return [event]


@fails("the_key_travels_in_its_header_alone")
class PutsTheKeyIntoTheUrl(Changed):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        key = request.credential.reveal() if request.credential else ""
        url = f"{self.base_url}/answers?key={key}&stream={request.stream}"
        body = acme_compile.compile_chat(request, "x", self.context.settings, AdjustmentReport(strict=False))
        answer = await self.context.client.request(
            "POST", url, deadline=request.deadline, credential=request.credential, body=to_json({**body, "stream": 0})
        )
        for event in acme_parse.AnswerParser("x", ()).body(answer.body):
            yield event


@fails("the_client_of_the_context_makes_every_request")
class HasAClientOfItsOwn(Changed):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        await asyncio.to_thread(lambda: urllib.request.urlopen(f"{self.base_url}/models").read())
        async with aclosing(super().chat(request)) as events:
            async for event in events:
                yield event


@fails("health_costs_no_tokens")
class ChatsForItsHealth(AcmeProvider):
    @hookimpl
    async def health(self, request: HealthRequest) -> HealthReport:
        body = to_json({"model": "acme-large", "turns": [], "stream": False})
        url = f"{self.base_url}/answers"
        await self.context.client.request("POST", url, deadline=request.deadline, body=body)
        return HealthReport(healthy=True)


@fails("health_tells_a_wrong_key")
class IsAlwaysWell(AcmeProvider):
    @hookimpl
    async def health(self, request: HealthRequest) -> HealthReport:
        await self.context.client.request("GET", f"{self.base_url}/models", deadline=request.deadline)
        return HealthReport(healthy=True)


@fails("keys_of_a_wrong_form_are_told", "the_class_keeps_to_the_contract")
class ShowsTheKeyInItsVerdict(AcmeProvider):
    @hookimpl
    def validate_key(self, request: KeyRequest) -> KeyVerdict:
        return KeyVerdict("malformed", "****", f"{request.credential.reveal()} is no key of ours")


@fails("keys_of_a_wrong_form_are_told")
class TakesKeysOfOthers(AcmeProvider):
    info = replace(AcmeProvider.info, key_formats=(KeyFormat(r"[\w-]{20,200}", "any word", ""),))


@fails("a_key_of_the_right_form_is_valid")
class RefusesItsOwnKeys(AcmeProvider):
    info = replace(AcmeProvider.info, key_formats=(KeyFormat(r"acme_[0-9]{8}", "`acme_` and 8 digits", "acme_"),))


@fails("making_an_instance_does_no_work")
class AsksAsItIsMade(AcmeProvider):
    def __init__(self, context: Any) -> None:
        super().__init__(context)
        with suppress(RuntimeError):
            self.task = asyncio.get_running_loop().create_task(asyncio.sleep(0.01))


@fails("vectors_come_in_the_order_of_their_inputs")
class MixesVectors(AcmeProvider):
    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        response = await super().embed(request)
        return replace(response, vectors=sorted(response.vectors, reverse=True))


@fails("nothing_of_embeddings_is_dropped_in_silence")
class IgnoresDimensions(AcmeProvider):
    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        return await super().embed(replace(request, dimensions=None))


@fails("errors_of_embeddings_have_their_place_in_the_tree")
class EmbedsAnything(AcmeProvider):
    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        with suppress(ProviderBadResponse):
            return await super().embed(request)
        return EmbeddingResponse([[0.0]] * len(request.input))


@fails("the_class_keeps_to_the_contract")
class DeclaresWhatItHasNot(ProviderHooks):
    info = AcmeProvider.info


@fails("the_class_keeps_to_the_contract")
class DefaultsToAModelThatIsNot(AcmeProvider):
    info = replace(AcmeProvider.info, default_model="acme-small")


@fails("hooks_that_are_awaited_are_coroutines")
class AnswersHealthAtOnce(AcmeProvider):
    @hookimpl
    def health(self, request: HealthRequest) -> HealthReport:  # type: ignore[override]  # the fault itself
        return HealthReport(healthy=True)


# ---- for the ready fake of OpenAI's protocol, and for providers without an upstream --------------------------------


class SpeaksOpenAI(OpenAICompatibleProvider):
    info = AcmeProvider.info
    dialect = Dialect(base_url="https://api.acme.example/v1")


class Lossy(SpeaksOpenAI):
    """Changes the body behind the report's back."""

    def change(self, body: dict[str, Any]) -> None:
        """Change it in place."""

    def compile(self, request: ChatRequest, report: AdjustmentReport) -> dict[str, Any]:
        body = super().compile(request, report)
        self.change(body)
        return body


class PopsItsToolChoice(Lossy):
    def change(self, body: dict[str, Any]) -> None:
        body.pop("tool_choice", None)


class PopsParallelToolCalls(Lossy):
    def change(self, body: dict[str, Any]) -> None:
        body.pop("parallel_tool_calls", None)


class StripsImages(Lossy):
    def change(self, body: dict[str, Any]) -> None:
        for message in body["messages"]:
            if isinstance(message.get("content"), list):
                message["content"] = [part for part in message["content"] if part["type"] != "image_url"]


class HasNoBaseUrl(SpeaksOpenAI):
    dialect = Dialect()


class RefusesAsText(SpeaksOpenAI):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        async with aclosing(super().chat(request)) as events:
            async for event in events:
                yield TextDelta(text=event.text) if isinstance(event, RefusalDelta) else event


class NeverCalls(AcmeProvider):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        yield Start(model=request.model)
        yield TextDelta(text="no tools here")
        yield Finish()


class WillNotStop(AcmeProvider):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        yield Start(model=request.model)
        try:
            yield TextDelta(text="and")
        except GeneratorExit:
            yield TextDelta(text="another thing")
