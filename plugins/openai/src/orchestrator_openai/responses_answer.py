"""The answer of `POST /responses` as canonical events.

An item of the output is read whole, or for what of it was not streamed before: both are one path. Source:
https://platform.openai.com/docs/api-reference/responses/object, as of November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import pydantic_core

from orchestrator_core.openai_compatible.errors import error_in_answer
from orchestrator_core.openai_compatible.usage import read_usage
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    Adjustment,
    ChatEvent,
    ContentBlocked,
    Finish,
    FinishReason,
    ImagePart,
    Json,
    OpaquePart,
    ProviderBadResponse,
    ProviderError,
    ProviderFailed,
    ProviderMetadata,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    UsageDetails,
    UsageReport,
    WholePart,
)
from orchestrator_openai.responses_input import ITEM

WRONG_SHAPE: Final = "The provider's answer does not have the shape of its protocol."
PARAGRAPH: Final = "\n\n"
"""What stands between the parts of a summary of thoughts."""

_REASONS: Final[Mapping[str, FinishReason]] = {"max_output_tokens": "length", "content_filter": "content_filter"}
_USAGE: Final = {
    "input_tokens": "prompt_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens": "completion_tokens",
    "output_tokens_details": "completion_tokens_details",
    "total_tokens": "total_tokens",
}
_BLOCKED: Final = {"bio_policy", "misalignment_policy_violation", "image_content_policy_violation"}
_REFUSED: Final = {"invalid_prompt", "data_residency_mismatch"}
_BILLED: Final = frozenset(("file_search_call", "code_interpreter_call", "image_generation_call"))
"""Items that cost something of their own."""

_CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
"""Items that are calls for the caller, with the field of their arguments."""


def parse_object(data: bytes) -> dict[str, Json]:
    """Read a JSON object.

    Raises:
        ProviderBadResponse: It is none.
    """
    try:
        body = pydantic_core.from_json(data, allow_inf_nan=False)
    except ValueError:
        raise ProviderBadResponse("The provider's answer is no JSON, or was cut off.") from None
    if type(body) is not dict:
        raise ProviderBadResponse("The provider's answer is JSON, but no object.")
    return body


def failure(error: Mapping[str, Json]) -> ProviderError:
    """Map the `error` of a failed response to the tree."""
    code = str(error.get("code") or "")
    if code in _BLOCKED:
        message = error.get("message") or "The provider's content filter refused the request."
        return ContentBlocked(str(message), upstream_code=code)
    if code in _REFUSED or "image" in code:
        return error_in_answer({"error": {**error, "status": 400}}, streamed=True)
    return error_in_answer({"error": error}, streamed=True)


class ResponseReader:
    """Turns one response into events. It holds the state of an answer, so each call needs its own.

    Args:
        provider_id: The provider instance, under whose name metadata is kept.
        adjustments: What of the request was changed, for `Start`.

    Attributes:
        started: Whether `Start` was given.
        ended: Whether the answer is complete.
    """

    def __init__(self, provider_id: str, *, adjustments: Sequence[Adjustment] = ()) -> None:
        self._provider_id = provider_id
        self._adjustments = adjustments
        self._sent: dict[str, int] = {}
        self._calls: dict[int, int] = {}
        self.started = self.ended = False

    def body(self, data: bytes) -> list[ChatEvent]:
        """Return the events of a whole answer.

        Raises:
            ProviderError: It failed, mapped to the tree, or has the wrong shape.
        """
        response = parse_object(data)
        if response.get("object") != "response" and response.get("error"):
            raise error_in_answer(response, streamed=False)
        try:
            events = self.start(response)
            for place, item in enumerate(response["output"]):
                events += self.item(place, item)
            return events + self.end(response)
        # As in the reader of Chat Completions: asking for each field's type would cost more than reading it.
        except (AttributeError, TypeError, KeyError) as error:
            raise ProviderBadResponse(WRONG_SHAPE) from error

    def start(self, response: Mapping[str, Json]) -> list[ChatEvent]:
        """Return `Start`, once."""
        if self.started:
            return []
        self.started = True
        id_, model, created = response.get("id"), response.get("model"), response.get("created_at")
        return [
            Start(
                id=id_ if isinstance(id_, str) else None,
                model=model if isinstance(model, str) else None,
                created=int(created) if isinstance(created, int | float) and created > 0 else None,
                adjustments=self._adjustments,
            )
        ]

    def end(self, response: Mapping[str, Json]) -> list[ChatEvent]:
        """Return what closes an answer.

        Raises:
            ProviderError: It failed, or is not complete.
        """
        status = response.get("status")
        if status == "failed":
            raise failure(response.get("error") or {})
        if status not in ("completed", "incomplete"):
            raise ProviderFailed("The provider did not complete its answer.", upstream_code=str(status))
        events: list[ChatEvent] = []
        if usage := response.get("usage"):
            counted = {name: usage[theirs] for theirs, name in _USAGE.items() if usage.get(theirs) is not None}
            used = read_usage(counted, tier=response.get("service_tier"))
            events.append(UsageReport(usage=replace(used, details=used.details + _billed(response))))
        if tier := response.get("service_tier"):
            events.append(UsageReport(0, {OPENAI_CHAT: {"service_tier": tier}}))
        reason: FinishReason = "tool_calls" if self._calls else "stop"
        native = str(status)
        if status == "incomplete":
            native = str((response.get("incomplete_details") or {}).get("reason") or status)
            reason = _REASONS.get(native, "stop")
        self.ended = True
        return [*events, Finish(reason=reason, native_reason=native)]

    def item(self, place: int, item: Mapping[str, Json]) -> list[ChatEvent]:
        """Return the events of a complete item, without what was given of it before.

        Args:
            place: Its index in the output.
            item: The item.
        """
        kind = item["type"]
        if kind == "message":
            return self._message(place, item)
        if kind == "reasoning":
            return self._reasoning(place, item)
        if kind in _CALLS:
            return [*self.call(place, item), *self.rest(place, ToolCallDelta, item.get(_CALLS[kind]) or "")]
        if kind == "image_generation_call" and item.get("result"):
            return [self._image(item)]
        return [WholePart(part=OpaquePart(provider_metadata=self._metadata({ITEM: item})))]

    def call(self, place: int, item: Mapping[str, Json]) -> list[ChatEvent]:
        """Return the first event of a call, once, and none for other items."""
        if item["type"] not in _CALLS or place in self._calls:
            return []
        index = self._calls[place] = len(self._calls)
        noted = self._metadata({"type": "custom"}) if item["type"] == "custom_tool_call" else None
        return [ToolCallDelta(0, noted, None, index, item["call_id"], item["name"])]

    def piece(self, place: int, kind: type[ChatEvent], text: str, part: int = 0) -> list[ChatEvent]:
        """Return a piece of an item: of text, of a refusal, of thoughts or of a call's arguments.

        Args:
            place: The item's index in the output.
            kind: The event's class.
            text: The piece.
            part: Which part of the item.
        """
        if type(text) is not str:
            raise TypeError("not a text")
        if not text:
            return []
        key = f"{kind.__name__} {place}.{part}"
        self._sent[key] = self._sent.get(key, 0) + len(text)
        if kind is TextDelta:
            return [TextDelta(text=text, block=f"{place}.{part}")]
        if kind is RefusalDelta:
            return [RefusalDelta(text=text)]
        if kind is ReasoningDelta:
            return [ReasoningDelta(text=text, block=place)]
        return [ToolCallDelta(index=self._calls[place], arguments=text)]

    def rest(self, place: int, kind: type[ChatEvent], text: str, part: int = 0) -> list[ChatEvent]:
        """Return what of a complete text was not given before."""
        return self.piece(place, kind, text[self._sent.get(f"{kind.__name__} {place}.{part}", 0) :], part)

    def _message(self, place: int, item: Mapping[str, Json]) -> list[ChatEvent]:
        events: list[ChatEvent] = []
        for number, part in enumerate(item["content"]):
            if part["type"] == "output_text":
                events += self.rest(place, TextDelta, part["text"], number)
                noted = {"annotations": part.get("annotations"), "phase": item.get("phase")}
                if kept := {name: value for name, value in noted.items() if value}:
                    cited = [_cited(each) for each in part.get("annotations") or () if each["type"] == "url_citation"]
                    metadata = {**self._metadata(kept), **({OPENAI_CHAT: {"annotations": cited}} if cited else {})}
                    events.append(TextDelta(0, metadata, block=f"{place}.{number}"))
            elif part["type"] == "refusal":
                events += self.rest(place, RefusalDelta, part["refusal"], number)
        return events

    def _image(self, item: Mapping[str, Json]) -> WholePart:
        """Read an image that a tool of OpenAI's drew; the rest of its item goes back with it."""
        rest = {name: value for name, value in item.items() if name != "result"}
        form = item.get("output_format") or "png"
        metadata = self._metadata({ITEM: rest})
        return WholePart(part=ImagePart(data=item["result"], media_type=f"image/{form}", provider_metadata=metadata))

    def _reasoning(self, place: int, item: Mapping[str, Json]) -> list[ChatEvent]:
        """Read a summary of thoughts, or the thoughts themselves where a model shows them."""
        thoughts = item.get("content") or item.get("summary") or ()
        text = PARAGRAPH.join(thought["text"] for thought in thoughts)
        events = self.rest(place, ReasoningDelta, text)
        if encrypted := item.get("encrypted_content"):
            events.append(ReasoningDelta(0, self._metadata({"encrypted_content": encrypted}), block=place))
        return events

    def _metadata(self, values: Mapping[str, Json]) -> ProviderMetadata:
        return {self._provider_id: values}


def _cited(annotation: Mapping[str, Json]) -> dict[str, Json]:
    """Spell a citation as Chat Completions does."""
    inner = {name: value for name, value in annotation.items() if name != "type"}
    return {"type": annotation["type"], annotation["type"]: inner}


def _billed(response: Mapping[str, Json]) -> UsageDetails:
    """Return what OpenAI bills beside the tokens (https://openai.com/api/pricing, "Built-in tools")."""
    kinds = [item["type"] for item in response.get("output") or ()]
    beside = next((kind for kind in kinds if kind in _BILLED), None)
    return UsageDetails(web_searches=kinds.count("web_search_call"), unpriced=beside)
