"""OpenAI, as strict as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fake_upstreams.strict import Body, Rule
from fake_upstreams.strict_family import (
    BASE,
    FAMILY,
    StrictFamily,
    messages,
    only_parts,
    parts,
    roles,
    something_said,
    without,
)
from fake_upstreams.strict_openai_responses import RESPONSES, response, said, streamed

REASONING = r"(o\d|gpt-([5-9]|\d\d)).*"
FIXED = r"o\d.*|gpt-5(-mini|-nano)?(-\d{4}-\d\d-\d\d)?"


def short_ids(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    for message in messages(body):
        for call in message.get("tool_calls") or ():
            if len(call["id"]) > 40:
                yield f"string too long: {call['id']}"


def text_of_tools(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    for place, message in enumerate(messages(body)):
        if message["role"] in ("tool", "system") and any(part["type"] != "text" for part in parts(message)):
            yield f"messages[{place}]: only text is taken here"


KNOWN = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "refusal", "audio", "tool_calls", "function_call", "annotations"},
    "tool": {"role", "content", "tool_call_id", "name"},
    "function": {"role", "content", "name"},
}
STRANGE = ("safe_prompt", "enable_thinking", "thinking", "top_k", "random_seed", "cache_control", "search_parameters")


def strange_fields(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    for name in STRANGE:
        if name in body:
            yield f"Unrecognized request argument supplied: {name}"
    for place, message in enumerate(messages(body)):
        for name in message.keys() - KNOWN[message["role"]]:
            yield f"Unknown parameter: 'messages[{place}].{name}'"
        for call in message.get("tool_calls") or ():
            for name in call.keys() - {"id", "type", "function", "custom"}:
                yield f"Unknown parameter: 'messages[{place}].tool_calls.{name}'"
        for part in parts(message):
            if "cache_control" in part:
                yield f"Unknown parameter: 'messages[{place}].content.cache_control'"


def usage_of_streams(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    if "stream_options" in body and not body.get("stream"):
        yield "the 'stream_options' parameter is only allowed when 'stream' is enabled"


def known_roles(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    return roles(body, headers, known=("system", "developer", "user", "assistant", "tool", "function"))


def spoken_or_called(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    return something_said(body, headers, also=("audio", "function_call"))


def no_effort_with_functions(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    if "messages" not in body or body.get("reasoning_effort") in (None, "none"):
        return
    if any(tool["type"] == "function" for tool in body.get("tools") or ()) and re.match(
        r"gpt-(5\.[4-9]|6)", body["model"]
    ):
        yield (
            f"Function tools with reasoning_effort are not supported for {body['model']} in /v1/chat/completions. "
            "To use function tools, use /v1/responses or set reasoning_effort to 'none'."
        )


class StrictOpenAI(StrictFamily):
    """OpenAI's server."""

    rules = (
        Rule("known_roles", BASE, known_roles),
        *(rule for rule in FAMILY if rule.name not in ("roles", "something_said", "no_frames")),
        Rule("something_said", f"{BASE} (assistant message: `audio`, `function_call`)", spoken_or_called),
        # In place of `no_frames` too.
        Rule("strange_fields", f"{BASE}: unknown ones are refused by name", strange_fields),
        Rule("short_ids", f"{BASE}: 'expected a string with maximum length 40'", short_ids),
        Rule("text_of_tools", BASE, text_of_tools),
        Rule("usage_of_streams", f"{BASE} (`stream_options`)", usage_of_streams),
        Rule(
            "known_parts",
            f"{BASE}; recording openai-error-81d05dac6c",
            only_parts("text", "image_url", "input_audio", "file", "refusal"),
        ),
        Rule(
            "no_effort_with_functions",
            "https://github.com/openai/openai-openapi/issues/541",
            no_effort_with_functions,
        ),
        *RESPONSES,
        Rule("limits", f"{BASE} (`max_tokens`)", without(("max_tokens",), REASONING)),
        Rule(
            "fixed_sampling",
            "https://platform.openai.com/docs/guides/reasoning",
            without(("presence_penalty", "frequency_penalty"), FIXED),
        ),
    )

    def routes(self) -> Mapping[str, str]:
        return {**super().routes(), f"{self.prefix}/responses": "responses"}

    def healthy(self, operation: str, body: Body, *, stream: bool) -> Any:
        if operation != "responses":
            return super().healthy(operation, body, stream=stream)
        whole = response(said("Done."), model=body["model"])
        return streamed(whole) if stream else whole
