"""Gemini's `generateContent` for the conformance kit (https://ai.google.dev/api/generate-content)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pydantic_core

from orchestrator_core.provider_api import FinishReason, Json, Usage
from orchestrator_core.testing import FakeUpstream, Fault, Scene, ScriptedCall, WireEvent, pieces

REASONS: dict[FinishReason, str] = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
}
# https://ai.google.dev/gemini-api/docs/troubleshooting
ERRORS: dict[Fault, tuple[int, str, str]] = {
    "refused": (400, "INVALID_ARGUMENT", ""),
    "not_found": (404, "NOT_FOUND", ""),
    "context": (
        400,
        "INVALID_ARGUMENT",
        "The input token count (2) exceeds the maximum number of tokens allowed (1). ",
    ),
    "auth": (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key. "),
    "forbidden": (403, "PERMISSION_DENIED", ""),
    "quota": (429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted. "),
    "rate_limited": (429, "RESOURCE_EXHAUSTED", ""),
    "overloaded": (503, "UNAVAILABLE", "The model is overloaded. "),
    "failed": (500, "INTERNAL", ""),
}


class GeminiFake(FakeUpstream):
    """Every chunk is an answer with a few parts; calls come whole, and there is no mark at the end."""

    def chat(self, scene: Scene) -> Json:
        parts: list[Json] = []
        if scene.reasoning:
            parts.append({"text": scene.reasoning, "thought": True})
        if scene.text:
            parts.append({"text": scene.text})
        parts += [self.call(scene, call) for call in scene.calls]
        return self.answer(scene, self.signed(scene, parts), REASONS[scene.finish_reason])

    def stream(self, scene: Scene) -> Iterator[WireEvent]:
        parts: list[Json] = [{"text": piece, "thought": True} for piece in pieces(scene.reasoning)]
        parts += [{"text": piece} for piece in pieces(scene.text)]
        parts += [self.call(scene, call) for call in scene.calls]
        yield from (self.answer(scene, [part], None) for part in self.signed(scene, parts))
        yield self.answer(scene, [{"text": ""}], REASONS[scene.finish_reason])

    def signed(self, scene: Scene, parts: list[Json]) -> list[Json]:
        """Sign the first call, or the last part where there is none, as Gemini does."""
        if scene.signature:
            place = next((at for at, part in enumerate(parts) if "functionCall" in part), len(parts) - 1)
            parts[place] = {**parts[place], "thoughtSignature": scene.signature}
        return parts

    def call(self, scene: Scene, call: ScriptedCall) -> Json:
        # Many calls come without an id (https://ai.google.dev/api/caching#FunctionCall): so do those of signed scenes.
        id_ = {} if scene.signature else {"id": call.id}
        return {"functionCall": {**id_, "name": call.name, "args": json.loads(call.arguments)}}

    def answer(self, scene: Scene, parts: list[Json], reason: str | None) -> dict[str, Json]:
        usage = scene.usage
        candidate: dict[str, Json] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        counts = {
            "promptTokenCount": usage.total_input,
            "cachedContentTokenCount": usage.cached_input_tokens,
            "candidatesTokenCount": usage.output_tokens,
            "thoughtsTokenCount": usage.reasoning_tokens,
            "totalTokenCount": usage.total,
        }
        return {
            "candidates": [{**candidate, "finishReason": reason} if reason else candidate],
            "usageMetadata": counts,
            "modelVersion": scene.model,
            "responseId": scene.id,
        }

    def error(self, fault: Fault, message: str) -> tuple[int, Json] | None:
        if fault not in ERRORS:
            return None  # what is blocked comes as an answer with `promptFeedback`
        status, word, text = ERRORS[fault]
        return status, {"error": {"code": status, "message": f"{text}{message}", "status": word}}

    def stream_error(self, fault: Fault, message: str) -> WireEvent | None:
        made = self.error(fault, message) if fault in ("rate_limited", "overloaded", "failed") else None
        return made and made[1]

    def embeddings(self, vectors: Sequence[Sequence[float]], usage: Usage) -> Json:
        counts = {"promptTokenCount": usage.input_tokens}
        return {"embeddings": [{"values": vector} for vector in vectors], "usageMetadata": counts}

    def models(self, ids: Sequence[str]) -> Json:
        return {"models": [{"name": f"models/{id_}", "displayName": id_} for id_ in ids]}

    def call_ids(self, body: Json) -> tuple[Sequence[str], Sequence[str]]:
        parts = [part for content in body["contents"] for part in content["parts"]]
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        results = [part["functionResponse"] for part in parts if "functionResponse" in part]
        # Calls without an id are paired by their names and their order.
        return [call.get("id", call["name"]) for call in calls], [one.get("id", one["name"]) for one in results]

    def frame(self, event: WireEvent) -> bytes:
        return event if isinstance(event, bytes) else b"data: " + pydantic_core.to_json(event) + b"\r\n\r\n"
