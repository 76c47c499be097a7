"""What core asks of a provider: one request type for each hook, so that the contract grows by fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

from orchestrator_core.provider_api.deadline import Deadline
from orchestrator_core.provider_api.messages import Json, Message
from orchestrator_core.provider_api.native import NativeRequest
from orchestrator_core.provider_api.responses import ChatResponse
from orchestrator_core.provider_api.secret import Secret
from orchestrator_core.provider_api.tools import ResponseFormat, Tool, ToolChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """Ask whether a credential has the form of this provider's keys."""

    credential: Secret


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """Ask for an answer to a conversation. A field that is None was not set, and is not sent.

    Attributes:
        model: The model, as the provider names it.
        messages: The conversation, oldest first.
        deadline: When the call must end.
        credential: The key for this attempt; None where the provider needs none.
        stream: Whether to ask the upstream for a stream. Events are yielded either way.
        strict: Whether a parameter that would have to be left out is an error.
        tools: What the model may call.
        tool_choice: Whether and which tools must be called.
        parallel_tool_calls: Whether several calls may come at once.
        response_format: The form of the answer.
        reasoning_effort: How much to think: `none`, `minimal`, `low`, `medium`, `high`, or the provider's own word.
        reasoning_budget: The most tokens of thought, where the caller named a number; `reasoning_effort` is then the
            nearest word, for a provider that takes no number and reports the budget as mapped or downgraded.
        temperature: Sampling temperature.
        top_p: Nucleus sampling.
        max_tokens: The most tokens of the answer, reasoning among them.
        stop: Texts at which to stop.
        seed: For repeatable sampling.
        n: How many alternatives.
        presence_penalty: As OpenAI defines it.
        frequency_penalty: As OpenAI defines it.
        extra: Fields that core does not know, for the provider that does.
        native: The client's own body, where its dialect may be the provider's.
        native_options: The client's own body too, also where the conversation in it is not the one to send: a provider
            that speaks its dialect takes from it what the canonical fields say less exactly, or not at all.
        request_id: The gateway's id of the request, for logs.
    """

    model: str
    messages: Sequence[Message]
    deadline: Deadline
    credential: Secret | None = None
    stream: bool = False
    strict: bool = False
    tools: Sequence[Tool] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    reasoning_budget: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: Sequence[str] | None = None
    seed: int | None = None
    n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)
    native: NativeRequest | None = None
    native_options: NativeRequest | None = None
    request_id: str | None = None

    def addressed(self, *, model: str, credential: Secret | None) -> Self:
        """Return the same request for another model, with the key of another attempt."""
        made = object.__new__(type(self))  # every attempt makes one, and `replace` takes several times as long
        made.__dict__.update(self.__dict__, model=model, credential=credential)
        return made

    def saying(self, messages: Sequence[Message]) -> Self:
        """Return the same request with another conversation."""
        made = object.__new__(type(self))  # as every turn does
        made.__dict__.update(self.__dict__, messages=messages)
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRequest:
    """Ask for the vectors of texts.

    Attributes:
        model: The model, as the provider names it.
        input: Texts, or texts as token ids.
        deadline: When the call must end.
        credential: The key for this attempt.
        dimensions: The length of each vector, where the model can choose.
        strict: Whether a parameter that would have to be left out is an error.
        extra: Fields that core does not know.
        native: The client's own body.
        request_id: The gateway's id of the request, for logs.
    """

    model: str
    input: Sequence[str] | Sequence[Sequence[int]]
    deadline: Deadline
    credential: Secret | None = None
    dimensions: int | None = None
    strict: bool = False
    extra: Mapping[str, Json] = field(default_factory=dict)
    native: NativeRequest | None = None
    request_id: str | None = None

    def addressed(self, *, model: str, credential: Secret | None) -> Self:
        """Return the same request for another model, with the key of another attempt."""
        return replace(self, model=model, credential=credential)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRequest:
    """Ask whether the provider answers, without spending tokens."""

    deadline: Deadline
    credential: Secret | None = None


class SummaryChat(Protocol):
    """Asks the model that is to summarise; bound to a provider, a credential and a deadline, and metered."""

    async def __call__(self, messages: Sequence[Message], *, max_tokens: int | None = None) -> ChatResponse:
        """Return the answer to `messages`.

        Raises:
            GatewayError: The provider failed.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SummarizeRequest:
    """Ask for a summary of a part of a conversation.

    Attributes:
        messages: What to summarise, oldest first.
        chat: Asks the model.
        deadline: When the summary must be there.
        previous: The summary of what came before `messages`; the new one replaces it.
        max_tokens: The most tokens that the summary should have.
    """

    messages: Sequence[Message]
    chat: SummaryChat
    deadline: Deadline
    previous: str | None = None
    max_tokens: int | None = None
