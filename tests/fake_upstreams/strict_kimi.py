"""Moonshot, as strict as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fake_upstreams.strict import Body, Rule
from fake_upstreams.strict_family import (
    BASE,
    FAMILY,
    StrictFamily,
    forced,
    json_arguments,
    messages,
    only_parts,
    without,
)

GUIDE = "https://platform.kimi.ai/docs/guide/use-kimi-k2-thinking-model"
EFFORTS = "https://platform.kimi.ai/docs/guide/use-thinking-effort"
OVERVIEW = "https://platform.kimi.ai/docs/api/models-overview"


def thinks(body: Body) -> bool:
    """Whether the model thinks: all but the oldest do, unless switched off."""
    if not re.fullmatch(r"kimi-(k2\.|k2-thinking|k3).*", body["model"]):
        return False
    said: str = (body.get("thinking") or {}).get("type", "enabled")
    return said == "enabled"


def free_choice(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    kind = forced(body)
    taken = ("required",) if body["model"].startswith("kimi-k3") else ()
    if kind and thinks(body) and kind not in taken:
        yield f"tool_choice '{'specified' if kind == 'named' else kind}' is incompatible with thinking enabled"


def thoughts(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    for place, message in enumerate(messages(body)):
        if thinks(body) and message.get("tool_calls") and not message.get("reasoning_content"):
            yield f"reasoning_content is missing in assistant tool call message at index {place}"


def efforts(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    effort, model = body.get("reasoning_effort"), body["model"]
    if effort is not None and (not model.startswith("kimi-k3") or effort not in ("low", "high", "max")):
        yield f"reasoning_effort: {effort}"
    if "thinking" in body and (
        model.startswith("kimi-k3") or (not thinks(body) and not model.startswith(("kimi-k2.5", "kimi-k2.6")))
    ):
        yield "thinking: this model cannot be switched"
    if "thinking" in body and effort is not None:
        yield "cannot specify both 'thinking' and 'reasoning_effort'"


class StrictKimi(StrictFamily):
    """Moonshot's server."""

    rules = (
        *FAMILY,
        Rule("json_arguments", BASE, json_arguments),
        Rule("known_parts", "https://platform.kimi.ai/docs/api/chat", only_parts("text", "image_url", "video_url")),
        Rule(
            "fixed_sampling",
            f"{OVERVIEW}: 'only 1 is allowed for this model'",
            without(("temperature", "top_p", "n", "presence_penalty", "frequency_penalty"), r"kimi-.*"),
        ),
        Rule("free_choice", f"{GUIDE}; kimi-k3 takes `required`", free_choice),
        Rule("thoughts", f"{GUIDE}", thoughts),
        Rule("efforts", EFFORTS, efforts),
    )

    def stream(self, head: Mapping[str, Any]) -> list[Any]:
        """Usage in the last choice, with `cached_tokens` at its top: recording kimi-chat_stream-b09112aad4."""
        *chunks, last, usage, done = super().stream(head)
        choice = {**last["choices"][0], "usage": {**usage["usage"], "cached_tokens": 4}}
        return [*chunks, {**last, "choices": [choice]}, done]
