"""What the strict servers of OpenAI's protocol have in common: the wire, and rules that all of the family have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fake_upstreams.strict import Body, Rule, StrictVendor

BASE = "https://platform.openai.com/docs/api-reference/chat/create"
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def messages(body: Body) -> list[dict[str, Any]]:
    """The messages of a chat request; none of one for embeddings."""
    found = body.get("messages", [])
    assert isinstance(found, list)
    return found


def parts(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The content of a message as parts."""
    content = message.get("content")
    return content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []


def roles(
    body: Body, _: Mapping[str, str], *, known: Sequence[str] = ("system", "user", "assistant", "tool")
) -> Iterator[str]:
    """Every role is known."""
    if "messages" in body and not body["messages"]:
        yield "messages is empty"
    for place, message in enumerate(messages(body)):
        if message.get("role") not in known:
            yield f"messages[{place}]: unknown role {message.get('role')}"


def pairs(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    """Every call has its result right after it, and every result its call."""
    waiting: set[str] = set()
    for place, message in enumerate(messages(body)):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                yield f"messages[{place}]: no call {message.get('tool_call_id')} right before it"
            waiting.discard(message.get("tool_call_id", ""))
            continue
        if waiting:
            yield f"messages[{place}]: no results for {sorted(waiting)}"
        waiting = {call["id"] for call in message.get("tool_calls") or ()}
    if waiting:
        yield f"no results for {sorted(waiting)}"


def something_said(body: Body, _: Mapping[str, str], *, also: Sequence[str] = ()) -> Iterator[str]:
    """An answer in the history has a text or calls, or one of some other fields."""
    for place, message in enumerate(messages(body)):
        said = message.get("content") is not None or any(message.get(name) for name in ("refusal", "tool_calls", *also))
        if message["role"] == "assistant" and not said:
            yield f"messages[{place}]: neither content nor tool_calls"
        if message["role"] in ("user", "system", "tool") and message.get("content") is None:
            yield f"messages[{place}]: no content"


def calls_are_whole(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    """A call in the history has an id, a name and arguments."""
    for place, message in enumerate(messages(body)):
        for call in message.get("tool_calls") or ():
            function = call.get("function") or call.get("custom") or {}
            if not call.get("id") or not function.get("name"):
                yield f"messages[{place}]: a call without id or name"
            if "function" in call and not isinstance(function.get("arguments"), str):
                yield f"messages[{place}]: arguments are no text"


def systems_are_text(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    """System prompts are text."""
    for place, message in enumerate(messages(body)):
        if message["role"] in ("system", "developer") and any(part["type"] != "text" for part in parts(message)):
            yield f"messages[{place}]: only text is taken here"


FRAMES = ("refusal", "extra_content", "reasoning_details", "images", "files")


def no_frames(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    """What OpenAI alone has, and what the gateway itself writes for its clients, is in no message."""
    for place, message in enumerate(messages(body)):
        for name in FRAMES:
            if name in message:
                yield f"messages[{place}].{name}: unknown"


def json_arguments(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    """The arguments of a call in the history are JSON."""
    for place, message in enumerate(messages(body)):
        for call in message.get("tool_calls") or ():
            try:
                json.loads(call["function"]["arguments"])
            except ValueError:
                yield f"messages[{place}]: arguments are no JSON"


def only_parts(*kinds: str) -> Any:
    """Make a check of the kinds of parts that contents may have."""

    def check(body: Body, _: Mapping[str, str]) -> Iterator[str]:
        for place, message in enumerate(messages(body)):
            for part in parts(message):
                if part["type"] not in kinds:
                    yield f"messages[{place}]: unknown variant {part['type']}, expected one of {kinds}"

    return check


def only_fields(*names: str) -> Any:
    """Make a check of the fields that a request may have."""

    def check(body: Body, _: Mapping[str, str]) -> Iterator[str]:
        for name in body.keys() - set(names):
            yield f"extra fields not permitted: {name}"

    return check


def without(names: Sequence[str], models: str) -> Any:
    """Make a check that some models get none of some fields."""

    def check(body: Body, _: Mapping[str, str]) -> Iterator[str]:
        if re.fullmatch(models, body["model"]):
            for name in names:
                if body.get(name) is not None:
                    yield f"{body['model']} does not support {name}"

    return check


def forced(body: Body) -> str | None:
    """How a call is demanded: `required`, `named`, or not at all."""
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        return "named"
    return "required" if choice in ("required", "any") else None


FAMILY = (
    Rule("roles", BASE, roles),
    Rule("pairs", f"{BASE} (`messages`), recording deepseek-error-1d05c76877", pairs),
    Rule("something_said", BASE, something_said),
    Rule("systems_are_text", f"{BASE} (system message)", systems_are_text),
    Rule("calls_are_whole", BASE, calls_are_whole),
    Rule("no_frames", "https://api-docs.deepseek.com/api/create-chat-completion (assistant message)", no_frames),
)


class StrictFamily(StrictVendor):
    """A server of OpenAI's protocol."""

    rules: Sequence[Rule] = FAMILY
    prefix = "/v1"
    usage: Mapping[str, Any] = USAGE

    def routes(self) -> Mapping[str, str]:
        return {f"{self.prefix}/chat/completions": "chat", f"{self.prefix}/embeddings": "embeddings"}

    def base_url(self, origin: str) -> str:
        return origin + self.prefix

    def refusal(self, problems: Sequence[str]) -> tuple[int, Any]:
        error = {"message": "; ".join(problems), "type": "invalid_request_error", "param": None, "code": None}
        return 400, {"error": error}

    def healthy(self, operation: str, body: Body, *, stream: bool) -> Any:
        if operation == "embeddings":
            rows = body["input"] if isinstance(body["input"], list) else [body["input"]]
            data = [{"object": "embedding", "index": i, "embedding": [float(i), 0.5]} for i in range(len(rows))]
            usage = {"prompt_tokens": len(rows), "total_tokens": len(rows)}
            return {"object": "list", "data": data, "model": body["model"], "usage": usage}
        head = {"id": "answer-1", "created": 1, "model": body["model"]}
        if not stream:
            choice = {"index": 0, "message": {"role": "assistant", "content": "Done."}, "finish_reason": "stop"}
            return {**head, "object": "chat.completion", "choices": [choice], "usage": dict(self.usage)}
        return self.stream(head)

    def stream(self, head: Mapping[str, Any]) -> list[Any]:
        """The healthy answer in pieces, with usage in a last chunk without choices."""
        deltas: list[tuple[dict[str, Any], str | None]] = [
            ({"role": "assistant", "content": ""}, None),
            ({"content": "Done."}, None),
            ({}, "stop"),
        ]
        chunks: list[Any] = [
            {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]} for delta, reason in deltas
        ]
        return [*chunks, {**head, "choices": [], "usage": dict(self.usage)}, b"data: [DONE]\n\n"]
