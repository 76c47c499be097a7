"""What Anthropic's endpoints take and give, for the documentation. `translate` does the reading and the writing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field

from orchestrator_core.server.endpoint import Bodies, Described, DescribedRoot, EventStream
from orchestrator_core.server.error_schema import AnthropicError


class _Open(Described):
    """Fields that are not named here are passed on to the provider, or come from it."""

    model_config = ConfigDict(extra="allow")


class MessageParam(_Open):
    """A message, in any form that Anthropic's API takes."""

    role: Literal["user", "assistant", "system"]
    content: str | list[dict[str, Any]] = Field(
        description="Text, or blocks: `text`, `image`, `document`, `search_result`, `tool_use`, `tool_result`, "
        "`thinking`, `redacted_thinking`, and those of server tools."
    )


class ToolParam(_Open):
    """A tool; the vendor's own have a `type` and reach only a provider that knows them."""

    name: str
    description: str | None = None
    input_schema: dict[str, Any] | None = Field(None, description="JSON Schema of the tool's input.")


class CountRequest(_Open):
    """Anthropic's `POST /v1/messages/count_tokens`."""

    model: str = Field(description="`provider/model`, or an alias of the configuration.")
    messages: list[MessageParam] = Field(min_length=1)
    system: str | list[dict[str, Any]] | None = None
    tools: list[ToolParam] | None = None
    tool_choice: dict[str, Any] | None = Field(
        None, description="`auto`, `any`, `none` or `tool` as its `type`; `disable_parallel_tool_use`."
    )
    thinking: dict[str, Any] | None = Field(
        None,
        description="For other providers it becomes an effort: of `budget_tokens` below 4,096 low, below 16,384 "
        "medium, else high.",
    )
    output_config: dict[str, Any] | None = Field(None, description="`format` and `effort`.")


class MessageRequest(CountRequest):
    """Anthropic's `POST /v1/messages`."""

    max_tokens: int | None = Field(None, ge=1, description="Where it is missing, the provider's default.")
    stream: bool = False
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: dict[str, Any] | None = None


class MessageUsage(_Open):
    """Tokens in disjoint buckets; what the provider does not say is 0."""

    input_tokens: int = Field(description="Input that was neither read from nor written to a cache.")
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int = Field(description="All output, thoughts among it.")
    output_tokens_details: dict[str, Any] | None = None


class MessageAnswer(_Open):
    """Anthropic's message."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[dict[str, Any]]
    stop_reason: str | None
    stop_sequence: str | None = None
    usage: MessageUsage


class MessageEvent(_Open):
    """A piece of a message. Each has the fields of its type, as Anthropic's API has them."""

    type: Literal[
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    index: int | None = None
    message: MessageAnswer | None = None
    content_block: dict[str, Any] | None = None
    delta: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None


class MessageStreamEvent(DescribedRoot[MessageEvent | AnthropicError]):
    """The data of one event, whose name is its `type`."""


class TokenCount(Described):
    """An estimate."""

    input_tokens: int
    estimated: Literal[True] = Field(description="The gateway counted, and not the provider.")


_QUESTION = {"role": "user", "content": "What is the capital of France?"}

_MESSAGE_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "question": {"model": "echo/echo-1", "max_tokens": 1024, "messages": [_QUESTION]},
    "stream": {
        "model": "echo/echo-1",
        "max_tokens": 1024,
        "system": "Answer in one word.",
        "messages": [_QUESTION],
        "stream": True,
    },
    "tools": {
        "model": "echo/echo-1",
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
        "tools": [
            {
                "name": "weather",
                "description": "The weather of a city.",
                "input_schema": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "required": ["city"],
                },
            }
        ],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    },
}
_MESSAGE_EXAMPLE: Mapping[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "echo-1",
    "content": [{"type": "text", "text": "Paris."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 14,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 5,
    },
}
_MESSAGE_STREAM_OPENING = (
    'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    '"model":"echo-1","content":[],"stop_reason":null,"stop_sequence":null,'
    '"usage":{"input_tokens":14,"output_tokens":1}}}\n\n'
    'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    '"content_block":{"type":"text","text":""}}\n\n'
    'event: ping\ndata: {"type":"ping"}\n\n'
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    '"delta":{"type":"text_delta","text":"Paris."}}\n\n'
)
_MESSAGE_STREAM_ENDING = (
    'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    '"usage":{"output_tokens":5}}\n\n'
    'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
_COUNT_EXAMPLES: Mapping[str, Mapping[str, Any]] = {"question": {"model": "echo/echo-1", "messages": [_QUESTION]}}
_COUNT_EXAMPLE: Mapping[str, Any] = {"input_tokens": 16, "estimated": True}

MESSAGE = Bodies(
    request=MessageRequest,
    request_examples=_MESSAGE_EXAMPLES,
    response=MessageAnswer,
    response_example=_MESSAGE_EXAMPLE,
    stream=EventStream(event=MessageStreamEvent, opening=_MESSAGE_STREAM_OPENING, ending=_MESSAGE_STREAM_ENDING),
)
COUNT = Bodies(
    request=CountRequest, request_examples=_COUNT_EXAMPLES, response=TokenCount, response_example=_COUNT_EXAMPLE
)
