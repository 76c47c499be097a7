"""What the fake upstream is to say: scenes that every vendor's wire can show, and what the suite asks and expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from orchestrator_core.provider_api import (
    FinishReason,
    Message,
    ResponseFormat,
    Tool,
    Usage,
    text_message,
)

Fault = Literal[
    "refused",
    "not_found",
    "context",
    "blocked",
    "auth",
    "forbidden",
    "quota",
    "rate_limited",
    "overloaded",
    "failed",
]
"""What can be wrong at a vendor: a bad parameter, a model that does not exist, a conversation that is too long, blocked
content, a wrong key, a key without the right, no money, too many requests, overload, a failure of its own."""


TOKENS: Final = Usage(input_tokens=11, output_tokens=7)


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A tool call that the model is to make.

    Attributes:
        id: The vendor's id of the call; a wire without ids leaves it out.
        name: The function.
        arguments: A JSON object, as text.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """An answer that the fake upstream is to give, in the vendor's own wire format.

    Attributes:
        text: What the model says.
        reasoning: What it thinks; left out where the wire shows no thoughts.
        signature: Something opaque that the vendor wants back with the thought or the calls in the next request;
            left out where the wire has no such thing.
        calls: The tools that it calls, all at once.
        refusal: What it says as it refuses; left out where the wire has no mark for that.
        finish_reason: Why it ends, in OpenAI's words.
        usage: The tokens, in disjoint buckets; those that are not in `FakeUpstream.usage_buckets` are 0.
        id: The vendor's id of the answer.
        model: The model that answers.
    """

    text: str = ""
    reasoning: str = ""
    signature: str | None = None
    calls: tuple[ScriptedCall, ...] = ()
    refusal: str = ""
    finish_reason: FinishReason = "stop"
    usage: Usage = TOKENS
    id: str = "answer-kit-1"
    model: str = "kit-model"


HELLO: Final = (text_message("user", "KIT-QUESTION: how are you?"),)
PLAIN: Final = Scene(text="I am well, thanks. And you?")
UNICODE: Final = Scene(text='Grüße, 世界 \U0001f600\n\t"quoted" \\ back\u2028slash')
CALLS: Final = Scene(
    calls=(
        ScriptedCall("call_kit_1", "weather", '{"city": "Paris", "days": 3}'),
        ScriptedCall("call_kit_2", "clock", '{"zone": "CET"}'),
    ),
    finish_reason="tool_calls",
)
SAME_CALLS: Final = Scene(
    calls=(
        ScriptedCall("call_kit_3", "weather", '{"city": "Oslo"}'),
        ScriptedCall("call_kit_4", "weather", '{"city": "Oslo"}'),
    ),
    finish_reason="tool_calls",
)
BARE_CALL: Final = Scene(calls=(ScriptedCall("call_kit_5", "clock", "{}"),), finish_reason="tool_calls")
THOUGHT: Final = Scene(text="It is 42.", reasoning="KIT-THOUGHT: six times seven", signature="S0lULVNJR05BVFVSRS0x")
SIGNED_CALLS: Final = Scene(
    reasoning="KIT-THOUGHT: I have to look it up",
    signature="S0lULVNJR05BVFVSRS0y",
    calls=CALLS.calls,
    finish_reason="tool_calls",
)
REFUSAL: Final = Scene(refusal="KIT-REFUSAL: I will not do that.")
JSON_ANSWER: Final = Scene(text='{"kit_verdict": "yes"}')

TOOLS: Final = (
    Tool(
        name="weather",
        description="KIT-DESCRIPTION: the weather of a city",
        parameters={
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    ),
    Tool(name="clock", parameters={"type": "object", "properties": {"zone": {"type": "string"}}}),
)
FORMAT: Final = ResponseFormat(
    type="json_schema",
    name="verdict",
    json_schema={
        "type": "object",
        "properties": {"kit_verdict": {"type": "string"}},
        "required": ["kit_verdict"],
        "additionalProperties": False,
    },
)
PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""One transparent pixel."""


def history(*messages: Message) -> tuple[Message, ...]:
    """Return messages as they come back from a store: through JSON, so that nothing but their values survives."""
    return tuple(Message.model_validate_json(message.model_dump_json()) for message in messages)
