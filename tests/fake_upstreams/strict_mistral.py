"""Mistral, as strict as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fake_upstreams.strict import Body, Rule
from fake_upstreams.strict_family import FAMILY, StrictFamily, messages, only_fields, only_parts, parts

API = "https://docs.mistral.ai/api/endpoint/chat"
FIELDS_OF_A_REQUEST = (
    "model",
    "messages",
    "temperature",
    "top_p",
    "max_tokens",
    "stream",
    "stop",
    "random_seed",
    "metadata",
    "response_format",
    "tools",
    "tool_choice",
    "presence_penalty",
    "frequency_penalty",
    "n",
    "prediction",
    "parallel_tool_calls",
    "prompt_mode",
    "reasoning_effort",
    "guardrails",
    "safe_prompt",
    "prompt_cache_key",
    "logprobs",
    "top_logprobs",
    "input",
    "output_dimension",
    "output_dtype",
    "encoding_format",
)
ORDER = "https://github.com/mistralai/mistral-common, protocol/instruct/validator.py"
FIELDS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls", "prefix"},
    "tool": {"role", "content", "tool_call_id", "name"},
}

PART_FIELDS = {
    "text": {"text"},
    "image_url": {"image_url"},
    "document_url": {"document_url", "document_name"},
    "input_audio": {"input_audio"},
    "file": {"file", "file_id"},
    "thinking": {"thinking", "closed", "signature"},
    "reference": {"reference_ids"},
    "tool_reference": {"tool", "title", "url", "favicon", "description"},
}


def message_fields(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    for place, message in enumerate(messages(body)):
        for name in message.keys() - FIELDS[message["role"]]:
            yield f"messages[{place}].{name}: extra inputs are not permitted"


def ids(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    for message in messages(body):
        for call in message.get("tool_calls") or ():
            if not re.fullmatch(r"[a-zA-Z0-9]{9}", call["id"]) and "REDACTED" not in call["id"]:
                yield f"tool call id was {call['id']} but must be a-z, A-Z, 0-9, with a length of 9"


# The published validator also refuses a user after a tool; the service took it: recording mistral-chat-6a4ebf79aa.
def order(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    before = None
    for message in messages(body):
        if message["role"] == "system" and before in ("assistant", "tool"):
            yield f"unexpected role 'system' after role '{before}'"
        before = message["role"]
    if before == "assistant" and not messages(body)[-1].get("prefix"):
        yield "expected last role User or Tool (or Assistant with prefix True) for serving but got assistant"


def content(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    for message in messages(body):
        if message["role"] == "assistant" and not message.get("content") and not message.get("tool_calls"):
            yield "assistant message must have either content or tool_calls, but not none"


def words(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    choice, effort = body.get("tool_choice"), body.get("reasoning_effort")
    if isinstance(choice, str) and choice not in ("auto", "none", "any", "required"):
        yield f"tool_choice: {choice}"
    if effort not in (None, "none", "high"):
        yield f"reasoning_effort: {effort}"
    for tool in body.get("tools") or ():
        if "parameters" not in tool.get("function", {}):
            yield "tools.function.parameters: field required"


def shapes(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    for message in messages(body):
        for part in parts(message):
            if part["type"] == "document_url" and not isinstance(part["document_url"], str):
                yield "document_url: expected a string"
            if part["type"] == "thinking" and message["role"] != "assistant":
                yield "thinking: only an answer has thoughts"


def inner_fields(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    for message in messages(body):
        for part in parts(message):
            for name in part.keys() - PART_FIELDS.get(part["type"], set()) - {"type"}:
                yield f"{part['type']}.{name}: extra inputs are not permitted"
        for call in message.get("tool_calls") or ():
            for name in call.keys() - {"id", "type", "index", "function"}:
                yield f"tool_calls.{name}: extra inputs are not permitted"
    for tool in body.get("tools") or ():
        if tool.get("type", "function") != "function":
            yield f"tools.{tool['type']}: unknown"
        for name in tool.keys() - {"type", "function"}:
            yield f"tools.{name}: extra inputs are not permitted"
        for name in tool.get("function", {}).keys() - {"name", "description", "parameters", "strict"}:
            yield f"tools.function.{name}: extra inputs are not permitted"
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.keys() - {"type", "function"}:
        yield "tool_choice: extra inputs are not permitted"


class StrictMistral(StrictFamily):
    """Mistral's server."""

    rules = (
        *FAMILY,
        Rule(
            "fields",
            f"{API}: unknown ones are 422; logprobs are known, recording mistral-error-59852a09e3",
            only_fields(*FIELDS_OF_A_REQUEST),
        ),
        Rule("message_fields", API, message_fields),
        Rule("inner_fields", "https://github.com/mistralai/client-python, models of chunks and tools", inner_fields),
        Rule("ids", f"{ORDER}: 'a length of 9'; recording mistral-chat-5aa79a1763", ids),
        Rule("order", ORDER, order),
        Rule("content", ORDER, content),
        Rule("words", f"{API} (`tool_choice`, `reasoning_effort`, `tools`)", words),
        Rule("shapes", f"{API}; recordings mistral-chat-82f765b827, mistral-chat-b9ad6f6fcb", shapes),
        Rule(
            "known_parts",
            API,
            only_parts(
                "text", "image_url", "document_url", "input_audio", "file", "thinking", "reference", "tool_reference"
            ),
        ),
    )

    def refusal(self, problems: Sequence[str]) -> tuple[int, Any]:
        detail = [{"type": "extra_forbidden", "loc": ["body"], "msg": problem} for problem in problems]
        return 422, {"object": "error", "message": {"detail": detail}, "type": "invalid_request_error", "code": "1500"}

    def stream(self, head: Mapping[str, Any]) -> list[Any]:
        """Usage comes unasked, in the chunk with the finish reason."""
        *chunks, last, usage, done = super().stream(head)
        return [*chunks, {**last, "usage": usage["usage"]}, done]
