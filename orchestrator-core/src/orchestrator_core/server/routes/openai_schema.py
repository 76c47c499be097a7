"""What OpenAI's endpoints take and give, for the documentation. `translate` does the reading and the writing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field

from orchestrator_core.server.endpoint import Bodies, Described, DescribedRoot, EventStream
from orchestrator_core.server.error_schema import OpenAIError
from orchestrator_core.server.translate.openai_stream import DONE


class _Open(Described):
    """Fields that are not named here are passed on to the provider, or come from it."""

    model_config = ConfigDict(extra="allow")


class ChatMessage(_Open):
    """A message, in any form that OpenAI's API takes."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = Field(
        None, description="Text, or parts: `text`, `image_url`, `input_audio`, `file`, `refusal`."
    )
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = Field(None, description="For the role `tool`: which call this is the result of.")
    reasoning_content: str | None = Field(None, description="What the model thought, as the answer had it.")


class ChatOptions(_Open):
    """What may be asked of every provider; the rest is passed on."""

    stream: bool = False
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stop: str | list[str] | None = None
    seed: int | None = None
    n: int | None = Field(None, ge=1)
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None


class ChatCompletionRequest(ChatOptions):
    """OpenAI's `POST /chat/completions`."""

    model: str = Field(description="`provider/model`, or an alias of the configuration.")
    messages: list[ChatMessage] = Field(min_length=1)
    stream_options: dict[str, Any] | None = None


class Usage(_Open):
    """Tokens in OpenAI's sums."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletionChoice(_Open):
    """One alternative."""

    index: int
    message: ChatMessage
    finish_reason: str | None


class ChatCompletion(_Open):
    """OpenAI's chat completion."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatCompletionChoice]
    usage: Usage | None = None


class ChunkDelta(_Open):
    """What is added to the message."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class ChunkChoice(_Open):
    """A piece of one alternative."""

    index: int
    delta: ChunkDelta
    finish_reason: str | None = None


class ChatCompletionChunk(_Open):
    """OpenAI's chat completion chunk."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None


class ChatStreamEvent(DescribedRoot[ChatCompletionChunk | OpenAIError]):
    """The data of one event. An answer that is complete ends in the data `[DONE]`, which is no JSON."""


class EmbeddingsRequest(_Open):
    """OpenAI's `POST /embeddings`."""

    model: str = Field(description="`provider/model`, or an alias of the configuration.")
    input: str | list[str] | list[int] | list[list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1)


class Embedding(_Open):
    """One vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str = Field(description="Numbers, or little-endian 32-bit floats in base64.")


class EmbeddingList(_Open):
    """OpenAI's answer to `POST /embeddings`."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: dict[str, Any] | None = None


class Model(_Open):
    """A model that can be asked."""

    id: str
    object: Literal["model"]
    created: int = Field(description="Always 0: providers do not agree on what it means.")
    owned_by: str = Field(description="The provider; of an alias that of its first target.")
    alias_of: list[str] | None = Field(None, description="What an alias stands for, as far as the caller may use it.")
    strategy: str | None = Field(None, description="Who of them is asked first: `ordered`, `weighted`, `cheapest`.")


class ModelList(_Open):
    """The models of all usable providers, and the aliases."""

    object: Literal["list"]
    data: list[Model]


_QUESTION = {"role": "user", "content": "What is the capital of France?"}

_CHAT_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "question": {"model": "echo/echo-1", "messages": [_QUESTION]},
    "stream": {
        "model": "echo/echo-1",
        "messages": [{"role": "system", "content": "Answer in one word."}, _QUESTION],
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    "tools": {
        "model": "echo/echo-1",
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "description": "The weather of a city.",
                    "parameters": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}},
                        "required": ["city"],
                    },
                },
            }
        ],
    },
}
_CHAT_EXAMPLE: Mapping[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1795000000,
    "model": "gpt-6-luna",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Paris.", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 14, "completion_tokens": 2, "total_tokens": 16},
}
CHAT_STREAM_OPENING = (
    'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795000000,"model":"gpt-6-luna",'
    '"choices":[{"index":0,"delta":{"role":"assistant","content":"Paris."},"finish_reason":null}]}\n\n'
)
CHAT_STREAM_ENDING = (
    'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795000000,"model":"gpt-6-luna",'
    '"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    "data: [DONE]\n\n"
)
_EMBEDDINGS_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "texts": {"model": "echo/echo-embed", "input": ["one text", "another"]}
}
_EMBEDDINGS_EXAMPLE: Mapping[str, Any] = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.0023, -0.0093]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 2, "total_tokens": 2},
}
_MODEL_EXAMPLE: Mapping[str, Any] = {
    "id": "echo/echo-1",
    "object": "model",
    "created": 0,
    "owned_by": "echo",
}

CHAT = Bodies(
    request=ChatCompletionRequest,
    request_examples=_CHAT_EXAMPLES,
    response=ChatCompletion,
    response_example=_CHAT_EXAMPLE,
    stream=EventStream(
        event=ChatStreamEvent, opening=CHAT_STREAM_OPENING, ending=CHAT_STREAM_ENDING, mark=DONE.decode()
    ),
)
EMBEDDINGS = Bodies(
    request=EmbeddingsRequest,
    request_examples=_EMBEDDINGS_EXAMPLES,
    response=EmbeddingList,
    response_example=_EMBEDDINGS_EXAMPLE,
)
MODELS = Bodies(response=ModelList, response_example={"object": "list", "data": [_MODEL_EXAMPLE]})
MODEL = Bodies(response=Model, response_example=_MODEL_EXAMPLE)
