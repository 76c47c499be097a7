"""Anthropic's Messages API for the conformance kit (https://platform.claude.com/docs/en/api/messages)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from orchestrator_core.provider_api import FinishReason, Json
from orchestrator_core.testing import FakeUpstream, Fault, Scene, WireEvent, pieces

REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
# https://platform.claude.com/docs/en/api/errors; the texts are those of recorded answers.
ERRORS: dict[Fault, tuple[int, str, str]] = {
    "refused": (400, "invalid_request_error", ""),
    "not_found": (404, "not_found_error", "model: "),
    "context": (400, "invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum. "),
    "auth": (401, "authentication_error", ""),
    "forbidden": (403, "permission_error", ""),
    "quota": (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API. "),
    "rate_limited": (429, "rate_limit_error", ""),
    "overloaded": (529, "overloaded_error", ""),
    "failed": (500, "api_error", ""),
}


class AnthropicFake(FakeUpstream):
    """What the model says comes in blocks; a stream names its events, pings, and has its own end."""

    usage_buckets = ("cached_input_tokens", "cache_write_tokens", "reasoning_tokens")

    def chat(self, scene: Scene) -> Json:
        return {
            **self.head(scene),
            "content": self.blocks(scene),
            "stop_reason": REASONS[scene.finish_reason],
            "usage": {**self.input(scene), **self.output(scene)},
        }

    def stream(self, scene: Scene) -> Iterator[WireEvent]:
        usage = {**self.input(scene), "output_tokens": 1}
        yield {"type": "message_start", "message": {**self.head(scene), "content": [], "usage": usage}}
        yield {"type": "ping"}
        for index, block in enumerate(self.blocks(scene)):
            opened, deltas = self.opened(block)
            yield {"type": "content_block_start", "index": index, "content_block": opened}
            yield from ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
            yield {"type": "content_block_stop", "index": index}
        delta = {"stop_reason": REASONS[scene.finish_reason], "stop_sequence": None}
        yield {"type": "message_delta", "delta": delta, "usage": self.output(scene)}
        yield {"type": "message_stop"}

    def head(self, scene: Scene) -> dict[str, Json]:
        return {"id": scene.id, "type": "message", "role": "assistant", "model": scene.model, "stop_sequence": None}

    def blocks(self, scene: Scene) -> list[dict[str, Json]]:
        blocks: list[dict[str, Json]] = []
        if scene.reasoning:
            blocks.append({"type": "thinking", "thinking": scene.reasoning, "signature": scene.signature or "sig"})
        if scene.text:
            blocks.append({"type": "text", "text": scene.text})
        blocks += [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)}
            for call in scene.calls
        ]
        return blocks

    def opened(self, block: dict[str, Json]) -> tuple[dict[str, Json], list[dict[str, Json]]]:
        """Return a block as it is opened, and the deltas that fill it."""
        if block["type"] == "text":
            return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        if block["type"] == "thinking":
            thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
            sign = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*thoughts, sign]
        filled = json.dumps(block["input"]) if block["input"] else ""
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *pieces(filled))]
        return {**block, "input": {}}, deltas

    def input(self, scene: Scene) -> dict[str, Json]:
        """Return the counts of input, which Anthropic keeps apart."""
        return {
            "input_tokens": scene.usage.input_tokens,
            "cache_read_input_tokens": scene.usage.cached_input_tokens,
            "cache_creation_input_tokens": scene.usage.cache_write_tokens,
        }

    def output(self, scene: Scene) -> dict[str, Json]:
        details = {"thinking_tokens": scene.usage.reasoning_tokens}
        return {"output_tokens": scene.usage.total_output, "output_tokens_details": details}

    def error(self, fault: Fault, message: str) -> tuple[int, Json] | None:
        if fault not in ERRORS:
            return None  # what is blocked comes as an answer with `refusal`
        status, kind, text = ERRORS[fault]
        return status, {"type": "error", "error": {"type": kind, "message": f"{text}{message}"}, "request_id": "req_1"}

    def stream_error(self, fault: Fault, message: str) -> WireEvent | None:
        made = self.error(fault, message) if fault in ("rate_limited", "overloaded", "failed") else None
        return {name: made[1][name] for name in ("type", "error")} if made else None

    def call_ids(self, body: Json) -> tuple[Sequence[str], Sequence[str]]:
        turns = [turn["content"] for turn in body["messages"]]
        blocks = [block for content in turns if isinstance(content, list) for block in content]
        calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        return calls, [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]

    def frame(self, event: WireEvent) -> bytes:
        name = b"" if isinstance(event, bytes) else f"event: {event['type']}\n".encode()
        return name + super().frame(event)
