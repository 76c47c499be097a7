"""Alibaba Cloud Model Studio, as strict as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fake_upstreams.strict import Body, Rule
from fake_upstreams.strict_family import FAMILY, StrictFamily, forced, json_arguments, messages, only_parts, parts

GUIDE = "https://www.alibabacloud.com/help/en/model-studio/deep-thinking"


def thinks(body: Body) -> bool:
    """Whether a model thinks: as it was told, or as is its way."""
    by_default = re.fullmatch(r"qwen3\.[5-9].*|qwq.*", body["model"]) is not None
    return bool(body.get("enable_thinking", by_default))


def free_choice(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    if forced(body) and thinks(body):
        yield "the tool_choice parameter does not support being set to required or object in thinking mode"


def effort(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    if "reasoning_effort" in body:
        yield "reasoning_effort: the switch here is enable_thinking"
    if "thinking_budget" in body and not thinks(body):
        yield "thinking_budget: thinking is off"


def batch(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    if isinstance(body.get("input"), list) and len(body["input"]) > 10:
        yield "batch size is invalid, it should not be larger than 10"


def sound(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    for message in messages(body):
        for part in parts(message):
            if part["type"] == "input_audio" and not re.match("data:|https?://", part["input_audio"]["data"]):
                yield "input_audio.data: expected a URL"


class StrictQwen(StrictFamily):
    """Model Studio's server, by its compatible API."""

    prefix = "/compatible-mode/v1"
    rules = (
        *FAMILY,
        Rule("json_arguments", "'function.arguments must be in JSON format' (400)", json_arguments),
        Rule("free_choice", f"{GUIDE}; the message is Model Studio's", free_choice),
        Rule("effort", GUIDE, effort),
        Rule("batch", "https://www.alibabacloud.com/help/en/model-studio/text-embedding-synchronous-api", batch),
        Rule("sound", "https://docs.litellm.ai/blog/qwen3_8_omni_flash: 'a data URL, not bare base64'", sound),
        Rule(
            "known_parts",
            "https://www.alibabacloud.com/help/en/model-studio/qwen-api-via-openai-chat-completions",
            only_parts("text", "image_url", "input_audio", "video_url", "video"),
        ),
    )
