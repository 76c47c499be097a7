"""What Acme answers, whole or streamed, as canonical events. A wrong shape is `ProviderBadResponse`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic_core import from_json

from orchestrator_acme.errors import error_in_stream
from orchestrator_core.provider_api import (
    Adjustment,
    ChatEvent,
    EmbeddingResponse,
    Finish,
    FinishReason,
    Json,
    ModelInfo,
    ProviderBadResponse,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)

ENDS: dict[str, FinishReason] = {
    "done": "stop",
    "limit": "length",
    "tools": "tool_calls",
    "blocked": "content_filter",
}
WRONG = "Acme's answer does not have the shape of its protocol."


class AnswerParser:
    """Reads one answer: a whole body, or event after event.

    Attributes:
        ended: Whether the answer is complete.
    """

    def __init__(self, provider_id: str, adjustments: Sequence[Adjustment]) -> None:
        self.ended = False
        self._provider_id, self._adjustments = provider_id, adjustments

    def body(self, data: bytes) -> list[ChatEvent]:
        """Return the events of a whole answer."""
        answer = _object(data)
        try:
            events = self._start(answer)
            calls = 0
            for block in answer["content"]:
                if block["type"] == "call":
                    arguments = json.dumps(block["input"], ensure_ascii=False)
                    events.append(ToolCallDelta(index=calls, id=block["id"], name=block["tool"], arguments=arguments))
                    calls += 1
                else:
                    events += self._said(block)
            return events + self._end(answer)
        except (AttributeError, KeyError, TypeError) as error:
            raise ProviderBadResponse(WRONG) from error

    def event(self, data: bytes) -> list[ChatEvent]:
        """Return the events of one event of a stream."""
        sent = _object(data)
        try:
            kind = sent["type"]
            if kind == "error":
                raise error_in_stream(sent)
            if kind == "begin":
                return self._start(sent)
            if kind == "call":
                return [ToolCallDelta(index=sent["at"], id=sent["id"], name=sent["tool"])]
            if kind == "call_input":
                return [ToolCallDelta(index=sent["at"], arguments=sent["json"])]
            return self._end(sent) if kind == "end" else self._said(sent)
        except (AttributeError, KeyError, TypeError) as error:
            raise ProviderBadResponse(WRONG) from error

    def _start(self, answer: dict[str, Json]) -> list[ChatEvent]:
        return [Start(id=answer["id"], model=answer["model"], adjustments=self._adjustments)]

    def _said(self, block: dict[str, Json]) -> list[ChatEvent]:
        if block["type"] == "text":
            return [TextDelta(text=block["text"])]
        if block["type"] == "thought":
            seal = {self._provider_id: {"seal": block["seal"]}} if block.get("seal") else None
            return [ReasoningDelta(text=block.get("text") or "", provider_metadata=seal)]
        return []  # a kind of a later version

    def _end(self, answer: dict[str, Json]) -> list[ChatEvent]:
        self.ended = True
        tokens = answer["tokens"]
        # Acme counts cached tokens among the input, and thoughts among the output.
        usage = Usage(
            input_tokens=tokens["in"] - tokens["in_cached"],
            cached_input_tokens=tokens["in_cached"],
            output_tokens=tokens["out"] - tokens["out_thought"],
            reasoning_tokens=tokens["out_thought"],
        )
        word = answer["end"]
        return [UsageReport(usage=usage), Finish(reason=ENDS.get(word, "stop"), native_reason=word)]


def parse_embeddings(data: bytes, expected: int) -> EmbeddingResponse:
    """Return the vectors of an answer, which must be as many as there were texts."""
    answer = _object(data)
    vectors = answer.get("vectors")
    if not isinstance(vectors, list) or len(vectors) != expected or not all(isinstance(one, list) for one in vectors):
        raise ProviderBadResponse(WRONG)
    return EmbeddingResponse(vectors, answer.get("model"), Usage(input_tokens=int(answer.get("tokens") or 0)))


def parse_models(data: bytes) -> list[ModelInfo]:
    """Return the models of a list."""
    models = _object(data).get("models")
    if not isinstance(models, list):
        raise ProviderBadResponse(WRONG)
    return [ModelInfo(id=model["name"]) for model in models if isinstance(model, dict) and model.get("name")]


def _object(data: bytes) -> dict[str, Json]:
    try:
        body = from_json(data)
    except ValueError:
        raise ProviderBadResponse("Acme's answer is no JSON, or was cut off.") from None
    if not isinstance(body, dict):
        raise ProviderBadResponse(WRONG)
    return body
