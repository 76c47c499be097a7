"""Providers that send something else than they were asked to, or do not say so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fake_providers.mutant_bases import Changed, Compiling, fails
from orchestrator_acme import compile as acme_compile
from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatEvent,
    ChatRequest,
    ToolCallDelta,
)


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


@fails("the_history_is_not_changed")
class TakesItsNotesOut(Compiling):
    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        for part in (part for message in request.messages for part in message.parts):
            if isinstance(part.provider_metadata, dict):
                part.provider_metadata.pop(self.context.provider_id, None)


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
