"""What OpenAI refuses of `POST /v1/responses`, and what it answers there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fake_upstreams.strict import Body, Rule

REFERENCE = "https://platform.openai.com/docs/api-reference/responses/create"
FIELDS = {
    "background",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
}
CALLS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}
INPUT_PARTS = {"input_text": "text", "input_image": "image_url", "input_file": None}
USAGE = {
    "input_tokens": 12,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 3,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 15,
}


def items(body: Body) -> list[dict[str, Any]]:
    """The items of a request to the Responses API; none of another request."""
    found = body.get("input")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def known_fields(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    if items(body):
        for name in body.keys() - FIELDS:
            yield f"Unknown parameter: '{name}'"


def known_items(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    for place, item in enumerate(items(body)):
        kind = item.get("type", "message")
        if kind not in {"message", "reasoning", "web_search_call", "image_generation_call", *CALLS, *CALLS.values()}:
            yield f"input[{place}]: Invalid value: '{kind}'"
        if kind == "message" and item.get("role") not in ("assistant", "system", "developer", "user"):
            yield f"input[{place}]: Invalid value: '{item.get('role')}'"


def known_parts(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    for place, item in enumerate(items(body)):
        content = item.get("content") if "role" in item else item.get("output")
        for part in content if isinstance(content, list) else ():
            kinds = {"output_text": "text", "refusal": "refusal"} if item.get("role") == "assistant" else INPUT_PARTS
            if part["type"] not in kinds:
                yield f"input[{place}]: Invalid value: '{part['type']}'. Supported values are: {list(kinds)}"
            elif (field := kinds[part["type"]]) is not None and not isinstance(part.get(field), str):
                yield f"input[{place}]: '{field}' is missing"
            elif part["type"] == "input_file":
                if sum(name in part for name in ("file_id", "file_data", "file_url")) != 1:
                    yield f"input[{place}]: a file is an id, data or a URL"
                if part.get("file_data", "data:").startswith("data:audio/"):
                    yield f"input[{place}]: The file type you uploaded is not supported"


def pairs(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    waiting: dict[str, str] = {}
    for place, item in enumerate(items(body)):
        kind = item.get("type", "message")
        if kind in CALLS:
            waiting[item["call_id"]] = CALLS[kind]
            if not item["name"] or not isinstance(item["input" if kind == "custom_tool_call" else "arguments"], str):
                yield f"input[{place}]: a call without name or arguments"
            if len(item["call_id"]) > 64:
                yield f"input[{place}].call_id: string too long. Expected a string with maximum length 64"
        elif kind in CALLS.values() and waiting.pop(item["call_id"], None) != kind:
            yield f"input[{place}]: No tool call found for function call output with call_id {item['call_id']}."
    for call_id in waiting:
        yield f"No tool output found for function call {call_id}."


def thoughts(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    """Thoughts have a follower of the model's own; one that is named by its id wants it with its id."""
    found = items(body)
    for place, item in enumerate(found):
        if item.get("type") != "reasoning":
            continue
        after = next((each for each in found[place + 1 :] if each.get("type") != "reasoning"), {})
        own = after.get("role") == "assistant" or after.get("type") in {
            *CALLS,
            "web_search_call",
            "image_generation_call",
        }
        named = "id" in item and after.get("role") == "assistant" and "id" not in after
        if not own or named:
            yield f"Item '{place}' of type 'reasoning' was provided without its required following item."
        if body.get("store") is False and not item.get("encrypted_content"):
            yield f"Item '{place}' not found. Items are not persisted when `store` is set to false."
        if not isinstance(item.get("summary"), list):
            yield f"Missing required parameter: 'input[{place}].summary'"


def flat_tools(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    if not items(body):
        return
    for place, tool in enumerate(body.get("tools") or ()):
        if tool["type"] in ("function", "custom") and not tool.get("name"):
            yield f"Missing required parameter: 'tools[{place}].name'"
        if tool["type"] == "function" and tool.get("strict", True):
            schema = tool.get("parameters") or {}
            if schema.get("additionalProperties") is not False:
                yield f"Invalid schema for function '{tool.get('name')}': 'additionalProperties' is required"
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] == "function" and "name" not in choice:
        yield "Missing required parameter: 'tool_choice.name'"
    form = (body.get("text") or {}).get("format") or {}
    if form.get("type") == "json_schema" and not (form.get("name") and "schema" in form):
        yield "Missing required parameter: 'text.format.name'"


def least_output(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    if body.get("max_output_tokens", 16) < 16:
        yield "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16"


RESPONSES = (
    Rule("known_fields", REFERENCE, known_fields),
    Rule("known_items", f"{REFERENCE} (`input`); recording openai-error-c8b61052f7", known_items),
    Rule("known_parts", f"{REFERENCE} (`input`); recording openai-error-050fe17915", known_parts),
    Rule("response_pairs", "https://platform.openai.com/docs/guides/function-calling", pairs),
    Rule("thoughts", f"{REFERENCE} (`input`); recording openai-error-ea3a218b03", thoughts),
    Rule(
        "flat_tools",
        "https://platform.openai.com/docs/guides/structured-outputs; recording openai-error-a362f98b83",
        flat_tools,
    ),
    Rule("least_output", f"{REFERENCE} (`max_output_tokens`)", least_output),
)


def response(*output: dict[str, Any], status: str = "completed", **fields: Any) -> dict[str, Any]:
    """A whole response."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-test",
        "status": status,
        "output": list(output),
        "usage": dict(USAGE),
        "error": None,
        "incomplete_details": None,
        **fields,
    }


def said(text: str) -> dict[str, Any]:
    """A message of a response."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


def streamed(whole: dict[str, Any]) -> list[dict[str, Any]]:
    """The events that make a response: its texts come in pieces, all else with its item."""
    head = {**whole, "status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": head}]
    for place, item in enumerate(whole["output"]):
        empty = {**item, **({"content": []} if "content" in item else {})}
        events.append({"type": "response.output_item.added", "output_index": place, "item": empty})
        for part_index, part in enumerate(item.get("content") or ()):
            where = {"output_index": place, "content_index": part_index}
            if part["type"] == "output_text":
                events += [{"type": "response.output_text.delta", **where, "delta": piece} for piece in part["text"]]
        events.append({"type": "response.output_item.done", "output_index": place, "item": item})
    return [*events, {"type": f"response.{whole['status']}", "response": whole}]
