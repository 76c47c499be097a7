"""A server of Anthropic's Messages API that refuses what Anthropic refuses.

Sources: [R id] is a recorded error of that id, [P] the project's page of provider facts, [D name] a page of
platform.claude.com/docs/en: `messages` is the API reference, the others are guides.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fake_upstreams.strict import Body, Rule, StrictVendor

FIELDS = {
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
}
THOUGHTS = ("thinking", "redacted_thinking")
USER_BLOCKS = {"text", "image", "document", "search_result", "tool_result", "container_upload"}
ASSISTANT_BLOCKS = {"text", "tool_use", *THOUGHTS, "server_tool_use", "mcp_tool_use", "mcp_tool_result"}
IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")

# Written out, so that they are judged by the vendor's lists and not by how the plugin reads a name.
THIRD = ("claude-3-haiku", "claude-3-sonnet", "claude-3-opus", "claude-3-5")
BUDGET_ONLY = (
    "claude-3-7",
    "claude-sonnet-4-0",
    "claude-sonnet-4-2",
    "claude-sonnet-4-5",
    "claude-opus-4-1",
    "claude-opus-4-2",
    "claude-opus-4-5",
    "claude-haiku-4-5",
)
BOTH = ("claude-opus-4-6", "claude-sonnet-4-6")
FIXED = (
    "claude-opus-4-7",
    "claude-opus-4-8",
    "claude-sonnet-5",
    "claude-opus-5",
    "claude-haiku-5-5",
    "claude-fable",
    "claude-mythos",
)
ONE_OF_TWO = ("claude-opus-4-1", "claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5", *BOTH)
NO_OFF = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-fable", "claude-mythos")
NO_FORCE = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-", "claude-mythos-5-")
SYSTEM_TURNS = (
    "claude-opus-4-8",
    "claude-opus-5",
    "claude-sonnet-5-5",
    "claude-haiku-5-5",
    "claude-fable",
    "claude-mythos",
)
BOUND = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-fable-5-", "claude-mythos-5-")
NO_SCHEMAS = (*THIRD, "claude-3-7", "claude-sonnet-4-2", "claude-sonnet-4-0", "claude-opus-4-2")

Headers = Mapping[str, str]


def signature(name: str) -> str:
    """A signature as this vendor makes them."""
    return base64.b64encode(f"anthropic:{name}".encode()).decode()


def signed(text: str) -> str:
    """The signature of a thought, which fits this text alone."""
    return signature(f"text {hashlib.sha256(text.encode()).hexdigest()[:12]}")


def is_signature(value: Any, text: str | None = None) -> bool:
    """Whether a signature is this vendor's, and, where it is one of a text, fits."""
    try:
        name = base64.b64decode(value, validate=True)
    except (ValueError, TypeError):
        return False
    fits = text is None or not name.startswith(b"anthropic:text ") or value == signed(text)
    return name.startswith(b"anthropic:") and fits


def is_one(body: Body, names: Sequence[str]) -> bool:
    return str(body.get("model")).startswith(tuple(names))


def turns(body: Body) -> list[tuple[str, list[dict[str, Any]]]]:
    """Role and blocks of every turn; a string stands for one text."""
    found = []
    for message in body.get("messages") or []:
        content = message.get("content")
        found.append(
            (message.get("role"), [{"type": "text", "text": content}] if isinstance(content, str) else content)
        )
    return found


def blocks(body: Body) -> Iterator[tuple[str, dict[str, Any]]]:
    """Role and block, those inside of results too."""
    for role, content in turns(body):
        for block in content or []:
            yield role, block
            if block["type"] == "tool_result" and isinstance(block.get("content"), list):
                for inner in block["content"]:
                    yield "result", inner


def thinking(body: Body) -> str | None:
    return (body.get("thinking") or {}).get("type")


def forced(body: Body) -> bool:
    return (body.get("tool_choice") or {}).get("type") in ("any", "tool")


def betas(headers: Headers) -> list[str]:
    return headers.get("anthropic-beta", "").split(",")


def check_headers(_: Body, headers: Headers) -> Iterator[str]:
    if not headers.get("anthropic-version"):
        yield "anthropic-version: header is required"
    if not headers.get("x-api-key", "").startswith("sk-ant-") and "sk-ant-oat" not in headers.get("authorization", ""):
        yield "x-api-key header is required"


def check_fields(body: Body, _: Headers) -> Iterator[str]:
    yield from (f"{name}: Extra inputs are not permitted" for name in body if name not in FIELDS)
    if type(body.get("max_tokens")) is not int or body["max_tokens"] < 1:
        yield "max_tokens: Field required"
    if set(body.get("metadata") or {}) - {"user_id"}:
        yield "metadata: Extra inputs are not permitted"
    if body.get("service_tier", "auto") not in ("auto", "standard_only"):
        yield "service_tier: Input should be 'auto' or 'standard_only'"
    for text in body.get("stop_sequences") or []:
        if not text.strip():
            yield "stop_sequences: each stop sequence must contain non-whitespace"
    for block in body.get("system") or []:
        if not isinstance(block, str) and block["type"] != "text":
            yield f"system.0.type: Input should be 'text': {block['type']}"
        elif not isinstance(block, str) and not block["text"].strip():
            yield "system: text content blocks must contain non-whitespace text"


def check_turns(body: Body, _: Headers) -> Iterator[str]:
    said = turns(body)
    if not said:
        yield "messages: at least one message is required"
        return
    if said[0][0] != "user":
        yield "messages: first message must use the user role"
    for place, (role, content) in enumerate(said):
        if role not in ("user", "assistant", "system"):
            yield f"messages.{place}.role: unexpected role {role}"
        if not content:
            yield f"messages.{place}: all messages must have non-empty content"
            continue
        if role == "system":
            if not is_one(body, SYSTEM_TURNS):
                yield "role 'system' is not supported on this model"
            if said[place - 1][0] != "user" or (place + 1 < len(said) and said[place + 1][0] != "assistant"):
                yield f"messages.{place}: a system message follows a user turn and precedes an assistant turn"
        if role == "assistant" and content[-1]["type"] in THOUGHTS:
            yield f"messages.{place}: the final block in an assistant message cannot be {content[-1]['type']}"
    role, content = said[-1]
    last = content[-1]["type"] if content else ""
    if last == "server_tool_use" or last.endswith("_tool_result"):
        return  # a turn that was paused goes on: [D server-tools]
    if role == "assistant" and not is_one(body, (*THIRD, *BUDGET_ONLY)):
        yield "This model does not support assistant message prefill. The conversation must end with a user message."
    elif role == "assistant" and content and content[-1].get("text", "").endswith((" ", "\n", "\t")):
        yield "messages: final assistant content cannot end with trailing whitespace"


def check_blocks(body: Body, headers: Headers) -> Iterator[str]:
    for role, block in blocks(body):
        kind = block["type"]
        if role == "assistant" and kind not in ASSISTANT_BLOCKS and not kind.endswith("_tool_result"):
            yield f"{kind} blocks are not permitted in assistant turns"
        if role == "system" and kind != "text":
            yield f"{kind} blocks are not permitted in system turns"
        if role == "user" and kind not in USER_BLOCKS:
            yield f"{kind} blocks are not permitted in user turns"
        if kind == "text":
            if not block["text"].strip():
                yield "text content blocks must contain non-whitespace text"
            if set(block) - {"type", "text", "cache_control", "citations"}:
                yield f"text: Extra inputs are not permitted: {sorted(block)}"
        if kind in ("image", "document"):
            yield from source(kind, block, headers)
        if kind == "thinking" and not is_signature(block.get("signature"), block.get("thinking")):
            yield "Invalid `signature` in `thinking` block"
        if kind == "redacted_thinking" and not is_signature(block.get("data")):
            yield "Invalid `data` in `redacted_thinking` block"
        if kind.startswith("mcp_") and not body.get("mcp_servers"):
            yield f"Input tag '{kind}' found using 'type' does not match any of the expected tags"
    if sum('"cache_control"' in json.dumps(block) for _, block in blocks(body)) > 4:
        yield "A maximum of 4 blocks with cache_control may be provided"


def source(kind: str, block: Mapping[str, Any], headers: Headers) -> Iterator[str]:
    given = block["source"]
    types = IMAGES if kind == "image" else ("application/pdf",)
    if given["type"] == "base64":
        if given.get("media_type") not in types:
            yield f"{kind}.source.base64.media_type: Input should be {types}"
        try:
            base64.b64decode(given["data"], validate=True)
        except ValueError:
            yield f"{kind}.source.base64: invalid base64 data"
    elif given["type"] == "url":
        if not str(given.get("url")).startswith(("https://", "http://")):
            yield f"{kind}.source.url: Only HTTPS URLs are supported"
    elif given["type"] == "file":
        if "files-api-2025-04-14" not in betas(headers):
            yield f"{kind}.source: Input tag 'file' does not match any of the expected tags"
    elif (kind, given["type"]) not in (("document", "text"), ("document", "content")):
        yield f"{kind}.source: Input tag '{given['type']}' does not match"


def check_calls(body: Body, _: Headers) -> Iterator[str]:
    said = turns(body)
    seen: set[str] = set()
    for place, (role, content) in enumerate(said):
        called = [block for block in content or [] if block["type"] == "tool_use"] if role == "assistant" else []
        for call in called:
            if not re.fullmatch(r"[a-zA-Z0-9_-]+", call["id"]):
                yield f"tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$': {call['id']}"
            if call["id"] in seen:
                yield f"`tool_use` ids must be unique: {call['id']}"
            seen.add(call["id"])
            if not isinstance(call["input"], dict):
                yield "tool_use.input: Input should be a valid dictionary"
        after = said[place + 1][1] if place + 1 < len(said) else []
        results = [block["tool_use_id"] for block in after or [] if block["type"] == "tool_result"]
        if missing := {call["id"] for call in called} - set(results):
            yield f"`tool_use` ids were found without `tool_result` blocks immediately after: {missing}"
        answers = [block for block in content or [] if block["type"] == "tool_result"]
        before = said[place - 1][1] if place else []
        known = [block["id"] for block in before or [] if block["type"] == "tool_use"]
        for answer in answers:
            if known.count(answer["tool_use_id"]) != 1:
                yield f"unexpected `tool_use_id` found in `tool_result` blocks: {answer['tool_use_id']}"
        if answers and (content or [])[: len(answers)] != answers:
            yield "tool_result blocks come first in the content of a user turn"
    yield from halves(said)


def halves(said: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> Iterator[str]:
    """Calls of the vendor's own tools have their results in one turn of the model's, which may be sent in parts.

    Other is only code that called the client's tools, [D programmatic-tool-calling], and the end of a turn that was
    paused, [D server-tools].
    """
    waiting: list[str] = []
    called = False
    for role, content in said:
        if role != "assistant" and not called:
            yield from (f"`server_tool_use` without its result: {alone}" for alone in waiting)
            waiting = []
        called = any(block["type"] == "tool_use" for block in content or [])
        for block in content or []:
            if block["type"] in ("server_tool_use", "mcp_tool_use"):
                waiting.append(block["id"])
            elif block["type"].endswith("_tool_result"):
                if block["tool_use_id"] not in waiting:
                    yield f"a result without its `server_tool_use`: {block['tool_use_id']}"
                else:
                    waiting.remove(block["tool_use_id"])
    if said and said[-1][0] == "assistant":
        paused = (said[-1][1] or [{}])[-1].get("id")
        yield from (f"`server_tool_use` without its result: {alone}" for alone in waiting if alone != paused)


def check_tools(body: Body, _: Headers) -> Iterator[str]:
    names = [tool.get("name") for tool in body.get("tools") or []]
    strict = 0
    for tool in body.get("tools") or []:
        if "input_schema" not in tool:
            continue
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool["name"]):
            yield f"tools.name: String should match pattern: {tool['name']}"
        if not isinstance(tool["input_schema"], dict) or tool["input_schema"].get("type") != "object":
            yield "tools.0.custom.input_schema.type: Field required"
        strict += bool(tool.get("strict"))
        if tool.get("strict") and is_one(body, NO_SCHEMAS):
            yield "tools.0.custom.strict: Extra inputs are not permitted"
    if strict > 20:
        yield "Too many strict tools. The maximum number of strict tools supported is 20."
    if len(set(names)) < len(names):
        yield "tools: Tool names must be unique."
    choice = body.get("tool_choice")
    if choice and not names:
        yield "tool_choice may only be specified while providing tools"
    if choice and choice["type"] == "tool" and choice["name"] not in names:
        yield f"Tool '{choice['name']}' not found in provided tools"
    if choice and choice["type"] == "none" and "disable_parallel_tool_use" in choice:
        yield "tool_choice.none.disable_parallel_tool_use: Extra inputs are not permitted"
    if forced(body) and is_one(body, NO_FORCE):
        yield "tool_choice: this model does not support forced tool use"


def check_format(body: Body, _: Headers) -> Iterator[str]:
    config = body.get("output_config") or {}
    if "format" in config:
        if is_one(body, NO_SCHEMAS):
            yield "output_config.format: this model does not support structured outputs"
        if config["format"].get("type") != "json_schema" or not isinstance(config["format"].get("schema"), dict):
            yield "output_config.format: Input should be a json_schema"
    effort = config.get("effort")
    if effort is not None:
        levels = ["low", "medium", "high"]
        levels += ["max"] if is_one(body, (*BOTH, *FIXED)) else []
        levels += ["xhigh"] if is_one(body, FIXED) else []
        if is_one(body, THIRD + BUDGET_ONLY) and not is_one(body, ("claude-opus-4-5",)):
            yield "output_config.effort: this model does not support the effort parameter"
        elif effort not in levels:
            yield f"This model does not support effort level '{effort}'. Supported levels: {', '.join(levels)}."


def check_thinking(body: Body, headers: Headers) -> Iterator[str]:
    kind, given = thinking(body), body.get("thinking") or {}
    if kind in ("enabled", "adaptive") and is_one(body, THIRD):
        yield "this model does not support thinking"
    if kind == "enabled":
        if is_one(body, FIXED):
            yield '"thinking.type.enabled" is not supported for this model'
        budget = given.get("budget_tokens")
        if type(budget) is not int or not 1024 <= budget < body["max_tokens"]:
            yield "thinking.enabled.budget_tokens: at least 1024, and max_tokens must be greater"
        said = turns(body)
        resumed = len(said) > 1 and any(block["type"] == "tool_result" for block in said[-1][1] or [])
        if resumed and said[-2][1][0]["type"] not in THOUGHTS:
            yield "Expected `thinking` or `redacted_thinking`, but found `tool_use`"
    if kind == "adaptive" and is_one(body, BUDGET_ONLY):
        yield "adaptive thinking is not supported on this model"
    if kind == "disabled" and is_one(body, NO_OFF):
        yield '"thinking.type.disabled" is not supported for this model'
    if kind == "between_tools" and not is_one(body, ("claude-sonnet-5-5",)):
        yield '"thinking.type.between_tools" is not supported for this model'
    if kind in ("enabled", "adaptive") and forced(body):
        yield "Thinking may not be enabled when tool_choice forces tool use."
    named = "thinking-binding-controls-2026-08-01" in betas(headers)
    if "block_binding" in given and not (named and is_one(body, BOUND)):
        yield "thinking.block_binding: Extra inputs are not permitted"


def check_sampling(body: Body, _: Headers) -> Iterator[str]:
    temperature, top_p = body.get("temperature"), body.get("top_p")
    if temperature is not None and not 0 <= temperature <= 1:
        yield "temperature: range: 0..1"
    if is_one(body, FIXED):
        if temperature not in (None, 1):
            yield "`temperature` is deprecated for this model."
        yield from (f"`{name}` is deprecated for this model." for name in ("top_p", "top_k") if name in body)
    if is_one(body, ONE_OF_TWO) and temperature is not None and top_p is not None:
        yield "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    if thinking(body) in ("enabled", "adaptive") and not is_one(body, FIXED):
        if temperature not in (None, 1):
            yield "`temperature` may only be set to 1 when thinking is enabled."
        if "top_k" in body:
            yield "`top_k` must be unset when thinking is enabled."
        if top_p is not None and top_p < 0.95:
            yield "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled."


class StrictAnthropic(StrictVendor):
    """Anthropic. The healthy answer thinks, speaks, and calls the first tool where it has no result yet."""

    rules = (
        Rule("headers", "[D messages], [R anthropic-error-2278323e89]", check_headers),
        Rule("fields", "[D messages], [P] max_tokens is required", check_fields),
        Rule("turns", "[D messages], [D mid-conversation-system-messages], [D migration guides: prefill]", check_turns),
        Rule(
            "blocks",
            "[D messages], [D vision], [D pdf-support], [D files], [D thinking], [D mcp-connector]",
            check_blocks,
        ),
        Rule("calls", "[P] ids, [D implement-tool-use], [D thinking]", check_calls),
        Rule("tools", "[R anthropic-error-55db729f0b, -bbd5c02729, -d76982e3e2], [D implement-tool-use]", check_tools),
        Rule("format", "[R anthropic-error-4a3ecf97d4], [D effort], [D structured-outputs]", check_format),
        Rule("thinking", "[R anthropic-models-99e564ab39], [D thinking], [D preserved-thinking]", check_thinking),
        Rule("sampling", "[R anthropic-error-b6bb935150], [P], [D thinking: sampling parameters]", check_sampling),
    )

    def routes(self) -> Mapping[str, str]:
        return {"/v1/messages": "chat"}

    def refusal(self, problems: Sequence[str]) -> tuple[int, Any]:
        error = {"type": "invalid_request_error", "message": "; ".join(problems)}
        return 400, {"type": "error", "error": error, "request_id": "req_1"}

    def healthy(self, operation: str, body: Body, *, stream: bool) -> Any:
        content: list[dict[str, Any]] = [{"type": "text", "text": "Hello from Claude."}]
        if not is_one(body, THIRD):
            content.insert(0, {"type": "thinking", "thinking": "A greeting.", "signature": signed("A greeting.")})
        own = next((tool["name"] for tool in body.get("tools") or [] if "input_schema" in tool), None)
        if own and turns(body)[-1][1][0]["type"] != "tool_result":
            content.append({"type": "tool_use", "id": "toolu_1", "name": own, "input": {}})
        message = answer(content, "tool_use" if content[-1]["type"] == "tool_use" else "end_turn", str(body["model"]))
        return events(message) if stream else message

    def frame(self, event: Any) -> bytes:
        return event if isinstance(event, bytes) else f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def answer(content: list[dict[str, Any]], reason: str = "end_turn", model: str = "claude-sonnet-5-5") -> dict[str, Any]:
    """A whole answer."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "cache_read_input_tokens": 5,
            "cache_creation_input_tokens": 3,
            "output_tokens": 20,
            "output_tokens_details": {"thinking_tokens": 12},
        },
    }


def events(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same answer as the events of a stream, with a ping in it."""
    usage = {**message["usage"], "output_tokens": 1, "output_tokens_details": None}
    begun = {**message, "content": [], "stop_reason": None, "usage": usage}
    found: list[dict[str, Any]] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for index, block in enumerate(message["content"]):
        opened, deltas = _pieces(block)
        found.append({"type": "content_block_start", "index": index, "content_block": opened})
        found += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        found.append({"type": "content_block_stop", "index": index})
    ended = {name: message.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")}
    output = {name: message["usage"][name] for name in ("output_tokens", "output_tokens_details")}
    return [*found, {"type": "message_delta", "delta": ended, "usage": output}, {"type": "message_stop"}]


def _pieces(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if block["type"] == "text":
        cited = [{"type": "citations_delta", "citation": citation} for citation in block.get("citations") or ()]
        halved = [{"type": "text_delta", "text": text} for text in (block["text"][:3], block["text"][3:])]
        return {"type": "text", "text": ""}, [*cited, *halved]
    if block["type"] == "thinking":
        said = {"type": "thinking_delta", "thinking": block["thinking"]}
        return {**block, "thinking": "", "signature": ""}, [
            said,
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    if block.get("input"):
        text = json.dumps(block["input"])
        pieces = ("", text[:4], text[4:])
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return dict(block), []
