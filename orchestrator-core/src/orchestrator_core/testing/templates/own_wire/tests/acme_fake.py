"""Acme's wire, as Acme's documentation has it: what the conformance suite serves on the loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from orchestrator_core.provider_api import FinishReason, Json, Usage
from orchestrator_core.testing import FakeUpstream, Fault, Scene, WireEvent, pieces

ENDS: dict[FinishReason, str] = {
    "stop": "done",
    "length": "limit",
    "tool_calls": "tools",
    "content_filter": "blocked",
}
ERRORS: dict[Fault, tuple[int, str]] = {
    "refused": (400, "bad_request"),
    "not_found": (404, "no_such_model"),
    "context": (400, "too_long"),
    "blocked": (400, "blocked"),
    "auth": (401, "wrong_key"),
    "forbidden": (403, "not_allowed"),
    "quota": (402, "no_money"),
    "rate_limited": (429, "slow_down"),
    "overloaded": (503, "overloaded"),
    "failed": (500, "internal"),
}


class AcmeFake(FakeUpstream):
    def chat(self, scene: Scene) -> Json:
        content: list[Json] = []
        if scene.reasoning:
            content.append({"type": "thought", "text": scene.reasoning, "seal": scene.signature})
        if scene.text:
            content.append({"type": "text", "text": scene.text})
        for call in scene.calls:
            arguments = json.loads(call.arguments)
            content.append({"type": "call", "id": call.id, "tool": call.name, "input": arguments})
        return {"id": scene.id, "model": scene.model, "content": content, **self.end(scene)}

    def stream(self, scene: Scene) -> Iterator[WireEvent]:
        yield {"type": "begin", "id": scene.id, "model": scene.model}
        yield from ({"type": "thought", "text": piece} for piece in pieces(scene.reasoning))
        if scene.reasoning:
            yield {"type": "thought", "seal": scene.signature}
        yield from ({"type": "text", "text": piece} for piece in pieces(scene.text))
        for at, call in enumerate(scene.calls):
            yield {"type": "call", "at": at, "id": call.id, "tool": call.name}
            yield from ({"type": "call_input", "at": at, "json": piece} for piece in pieces(call.arguments))
        yield {"type": "end", **self.end(scene)}

    def end(self, scene: Scene) -> dict[str, Json]:
        tokens = {
            "in": scene.usage.total_input,
            "in_cached": scene.usage.cached_input_tokens,
            "out": scene.usage.total_output,
            "out_thought": scene.usage.reasoning_tokens,
        }
        return {"end": ENDS[scene.finish_reason], "tokens": tokens}

    def error(self, fault: Fault, message: str) -> tuple[int, Json]:
        status, kind = ERRORS[fault]
        return status, {"error": {"kind": kind, "message": message}}

    def stream_error(self, fault: Fault, message: str) -> WireEvent | None:
        sent = fault in ("blocked", "overloaded", "failed")
        return {"type": "error", "error": {"kind": ERRORS[fault][1], "message": message}} if sent else None

    def embeddings(self, vectors: Sequence[Sequence[float]], usage: Usage) -> Json:
        return {"model": "acme-embed", "vectors": vectors, "tokens": usage.input_tokens}

    def models(self, ids: Sequence[str]) -> Json:
        return {"models": [{"name": id_} for id_ in ids]}

    def call_ids(self, body: Json) -> tuple[Sequence[str], Sequence[str]]:
        blocks = [block for turn in body["turns"] for block in turn["content"]]
        calls = [block["id"] for block in blocks if block["type"] == "call"]
        return calls, [block["call"] for block in blocks if block["type"] == "result"]
