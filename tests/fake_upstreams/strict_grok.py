"""xAI, as strict as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fake_upstreams.strict import Body, Rule
from fake_upstreams.strict_family import BASE, FAMILY, StrictFamily, json_arguments, messages, only_parts, without

GUIDE = "https://docs.x.ai/docs/guides/reasoning"


USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 3,
    "total_tokens": 20,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


def never_empty(body: Body, _: Mapping[str, str]) -> Iterator[str]:
    for message in messages(body):
        if message["role"] == "assistant" and not message.get("content") and not message.get("tool_calls"):
            yield "An empty message was provided. Every message needs at least one non-empty content element."


class StrictGrok(StrictFamily):
    """xAI's server."""

    rules = (
        *FAMILY,
        Rule("json_arguments", BASE, json_arguments),
        Rule("never_empty", "https://github.com/AstrBotDevs/AstrBot/issues/6447 quotes the 400", never_empty),
        Rule("known_parts", "https://docs.x.ai/docs/api-reference", only_parts("text", "image_url")),
        Rule(
            "reasoning_models",
            f"{GUIDE}: 'adding them in the request would result in an error'",
            without(("presence_penalty", "frequency_penalty", "stop"), r"grok-(3-mini|4|code).*(?<!non-reasoning)"),
        ),
        Rule(
            "efforts",
            f"{GUIDE}; recording grok-error-2f406fca2c",
            without(("reasoning_effort",), r"grok-code.*|grok-4|grok-4-fast.*"),
        ),
    )
    # Reasoning is counted beside the completion: recording grok-chat-7f24e7410d.
    usage = USAGE

    def refusal(self, problems: Sequence[str]) -> tuple[int, Any]:
        return 400, {"code": "Client specified an invalid argument", "error": "; ".join(problems)}
