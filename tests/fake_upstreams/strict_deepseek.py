"""DeepSeek, as strict as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fake_upstreams.strict import Body, Rule
from fake_upstreams.strict_family import BASE, FAMILY, StrictFamily, forced, json_arguments, messages, only_parts

GUIDE = "https://api-docs.deepseek.com/guides/thinking_mode"


def thinks(body: Body) -> bool:
    """Whether the model thinks: unless told otherwise, but for the two retired names."""
    by_default = "disabled" if body["model"] in ("deepseek-chat", "deepseek-coder") else "enabled"
    said: str = (body.get("thinking") or {}).get("type", by_default)
    return said == "enabled"


def free_choice(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    if forced(body) and thinks(body):
        yield "Thinking mode does not support this tool_choice"


def thoughts(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    for place, message in enumerate(messages(body)):
        if thinks(body) and message.get("tool_calls") and not message.get("reasoning_content"):
            yield f"messages[{place}]: The `reasoning_content` in the thinking mode must be passed back to the API."


def forms(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    if (body.get("response_format") or {}).get("type") not in (None, "text", "json_object"):
        yield "This response_format type is unavailable now"


def efforts(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    if body.get("reasoning_effort") not in (None, "minimal", "low", "medium", "high", "xhigh", "max"):
        yield f"unknown variant `{body['reasoning_effort']}`"


USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 3,
    "total_tokens": 15,
    "prompt_cache_hit_tokens": 4,
    "prompt_cache_miss_tokens": 8,
    "completion_tokens_details": {"reasoning_tokens": 2},
}


class StrictDeepSeek(StrictFamily):
    """DeepSeek's server."""

    prefix = ""
    rules = (
        *FAMILY,
        Rule("json_arguments", BASE, json_arguments),
        Rule("known_parts", "recordings deepseek-error-3f3df47dc3, deepseek-error-9817f52447", only_parts("text")),
        Rule("free_choice", "recording deepseek-error-cb998d941f", free_choice),
        Rule("thoughts", GUIDE, thoughts),
        Rule("forms", "https://api-docs.deepseek.com/api/create-chat-completion (`response_format`)", forms),
        Rule("efforts", GUIDE, efforts),
    )
    # The counts are DeepSeek's own: recording deepseek-chat-80d3433447.
    usage = USAGE

    def stream(self, head: Mapping[str, Any]) -> list[Any]:
        """Usage in the chunk with the finish reason, thoughts beside `content: null`, comments between."""
        *chunks, last, usage, done = super().stream(head)
        thought = {"role": "assistant", "content": None, "reasoning_content": "Hm."}
        first = {**head, "choices": [{"index": 0, "delta": thought, "finish_reason": None}]}
        return [b": keep-alive\n\n", first, *chunks[1:], {**last, "usage": usage["usage"]}, done]
