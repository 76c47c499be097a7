"""What the connectors take and give, for the documentation. `translate` does the reading and the writing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field

from orchestrator_core.server.endpoint import Bodies, Described, DescribedRoot, EventStream
from orchestrator_core.server.error_schema import ConnectorError
from orchestrator_core.server.routes.openai_schema import (
    CHAT_STREAM_ENDING,
    CHAT_STREAM_OPENING,
    ChatCompletionChunk,
    ChatMessage,
    ChatOptions,
)
from orchestrator_core.server.translate.openai_stream import DONE


class ConnectorChatRequest(ChatOptions):
    """A conversation. Fields that are not named here go to the provider, such as Mistral's `safe_prompt`."""

    messages: list[ChatMessage] = Field(min_length=1)
    model: str | None = Field(None, description="As the provider names it; its default where left out.")


class ConnectorUsage(Described):
    """Tokens; null where the provider does not count them."""

    model_config = ConfigDict(extra="allow")

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None


class ConnectorChatAnswer(Described):
    """An answer."""

    model_config = ConfigDict(extra="allow")

    success: Literal[True]
    message: dict[str, Any] = Field(description="May be sent back as it is, as a part of the conversation.")
    usage: ConnectorUsage
    finish_reason: str | None


class ConnectorStreamEvent(DescribedRoot[ChatCompletionChunk | ConnectorError]):
    """The data of one event. An answer that is complete ends in the data `[DONE]`, which is no JSON."""


class ConnectorEmbeddingsRequest(Described):
    """Texts."""

    model_config = ConfigDict(extra="allow")

    input: str | list[str]
    model: str | None = None


class ConnectorEmbeddingsAnswer(Described):
    """Vectors, in the order of the texts."""

    success: Literal[True]
    embeddings: list[list[float]]
    model: str
    usage: dict[str, int | None]


class ConnectorModels(Described):
    """The provider's models."""

    success: Literal[True]
    models: list[dict[str, Any]]


_MESSAGE = {"role": "assistant", "content": "Paris.", "refusal": None, "model": "mistral-small-latest"}
_CHAT_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "question": {"messages": [{"role": "user", "content": "What is the capital of France?"}]},
    "options": {
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "model": "mistral-small-latest",
        "temperature": 0.2,
        "max_tokens": 100,
        "safe_prompt": True,
    },
}

CHAT = Bodies(
    request=ConnectorChatRequest,
    request_examples=_CHAT_EXAMPLES,
    response=ConnectorChatAnswer,
    response_example={
        "success": True,
        "message": _MESSAGE,
        "usage": {"prompt_tokens": 14, "completion_tokens": 2, "total_tokens": 16},
        "finish_reason": "stop",
    },
    stream=EventStream(
        event=ConnectorStreamEvent, opening=CHAT_STREAM_OPENING, ending=CHAT_STREAM_ENDING, mark=DONE.decode()
    ),
)
EMBEDDINGS = Bodies(
    request=ConnectorEmbeddingsRequest,
    request_examples={"texts": {"input": ["one text", "another"]}},
    response=ConnectorEmbeddingsAnswer,
    response_example={
        "success": True,
        "embeddings": [[0.0023, -0.0093], [0.0041, 0.0012]],
        "model": "mistral-embed",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    },
)
MODELS = Bodies(
    response=ConnectorModels,
    response_example={
        "success": True,
        "models": [{"id": "mistral-small-latest", "description": "Small, fast and cheap"}],
    },
)
