"""The ready fake upstream of every vendor that speaks OpenAI's protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from orchestrator_core.provider_api import Json, Usage
from orchestrator_core.testing.fake import FakeUpstream, WireEvent
from orchestrator_core.testing.scenes import Fault, Scene, ScriptedCall

# https://platform.openai.com/docs/guides/error-codes
ERRORS: Final[dict[Fault, tuple[int, str, str | None]]] = {
    "refused": (400, "invalid_request_error", None),
    "not_found": (404, "invalid_request_error", "model_not_found"),
    "context": (400, "invalid_request_error", "context_length_exceeded"),
    "blocked": (400, "invalid_request_error", "content_policy_violation"),
    "auth": (401, "invalid_request_error", "invalid_api_key"),
    "forbidden": (403, "permission_error", None),
    "quota": (429, "insufficient_quota", "insufficient_quota"),
    "rate_limited": (429, "rate_limit_error", "rate_limit_exceeded"),
    "overloaded": (503, "service_unavailable_error", None),
    "failed": (500, "server_error", None),
}
CREATED: Final = 1_790_000_000


class OpenAIFake(FakeUpstream):
    """OpenAI's Chat Completions, embeddings and models.

    Attributes:
        reasoning_field: Where thoughts stand in an answer.
    """

    reasoning_field = "reasoning_content"

    def base_url(self, origin: str) -> str:
        """Return the base URL with the path that OpenAI's has."""
        return f"{origin}/v1"

    def chat(self, scene: Scene) -> Json:
        """Return a `chat.completion`."""
        message: dict[str, Json] = {"role": "assistant", "content": scene.text or None}
        if scene.reasoning:
            message[self.reasoning_field] = scene.reasoning
        if scene.refusal:
            message["refusal"] = scene.refusal
        if scene.calls:
            message["tool_calls"] = [self._call(scene, call) for call in scene.calls]
        return {
            "id": scene.id,
            "object": "chat.completion",
            "created": CREATED,
            "model": scene.model,
            "choices": [{"index": 0, "message": message, "finish_reason": scene.finish_reason}],
            "usage": self.usage(scene.usage),
        }

    def stream(self, scene: Scene) -> Iterator[WireEvent]:
        """Return the `chat.completion.chunk`s, usage among them, and `[DONE]`."""
        yield self._chunk(scene, {"role": "assistant", "content": ""})
        for field, text in (
            (self.reasoning_field, scene.reasoning),
            ("content", scene.text),
            ("refusal", scene.refusal),
        ):
            yield from (self._chunk(scene, {field: piece}) for piece in pieces(text))
        for index, call in enumerate(scene.calls):
            first = {"index": index, **self._call(scene, call)}
            first["function"] = {"name": call.name, "arguments": ""}
            yield self._chunk(scene, {"tool_calls": [first]})
            for piece in pieces(call.arguments):
                later = {"index": index, "function": {"arguments": piece}}
                yield self._chunk(scene, {"tool_calls": [later]})
        yield self._chunk(scene, {}, scene.finish_reason)
        yield {**self._chunk(scene, {}), "choices": [], "usage": self.usage(scene.usage)}
        yield b"data: [DONE]\n\n"

    def error(self, fault: Fault, message: str) -> tuple[int, Json]:
        """Return OpenAI's error object."""
        status, kind, code = ERRORS[fault]
        return status, {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def stream_error(self, fault: Fault, message: str) -> WireEvent | None:
        """Return the error object, as it comes in the place of a chunk once a stream has begun."""
        return self.error(fault, message)[1] if fault in ("rate_limited", "quota", "failed") else None

    def embeddings(self, vectors: Sequence[Sequence[float]], usage: Usage) -> Json:
        """Return a list of embeddings."""
        rows = [{"object": "embedding", "index": at, "embedding": list(vector)} for at, vector in enumerate(vectors)]
        counts = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
        return {"object": "list", "model": "kit-embedding", "data": rows, "usage": counts}

    def models(self, ids: Sequence[str]) -> Json:
        """Return a list of models."""
        rows = [{"id": id_, "object": "model", "created": CREATED, "owned_by": "kit"} for id_ in ids]
        return {"object": "list", "data": rows}

    def call_ids(self, body: Json) -> tuple[Sequence[str], Sequence[str]]:
        """Return the ids in `tool_calls`, and the `tool_call_id`s."""
        messages = body["messages"]
        calls = [call["id"] for message in messages for call in message.get("tool_calls") or ()]
        return calls, [message["tool_call_id"] for message in messages if message["role"] == "tool"]

    def usage(self, usage: Usage) -> Json:
        """Return counts as OpenAI gives them: cached and reasoning tokens are part of the others."""
        return {
            "prompt_tokens": usage.total_input,
            "completion_tokens": usage.total_output,
            "total_tokens": usage.total,
            "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        }

    def _call(self, scene: Scene, call: ScriptedCall) -> dict[str, Json]:
        function = {"name": call.name, "arguments": call.arguments}
        wire: dict[str, Json] = {"id": call.id, "type": "function", "function": function}
        if scene.signature:  # the field that vendors use for what must come back, such as Gemini in this protocol
            wire["extra_content"] = {"signature": scene.signature}
        return wire

    def _chunk(self, scene: Scene, delta: Json, finish: str | None = None) -> dict[str, Json]:
        return {
            "id": scene.id,
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": scene.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }


def pieces(text: str, size: int = 6) -> Iterator[str]:
    """Yield a text in pieces, as streams have it.

    Args:
        text: The text.
        size: Characters of a piece.
    """
    return (text[start : start + size] for start in range(0, len(text), size))
