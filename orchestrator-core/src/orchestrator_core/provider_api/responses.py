"""What a provider, or core by folding its events, answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator_core.provider_api.events import FinishReason
from orchestrator_core.provider_api.info import ModelInfo
from orchestrator_core.provider_api.messages import Json, Message, ProviderMetadata
from orchestrator_core.provider_api.native import NativeEvent
from orchestrator_core.provider_api.report import Adjustment
from orchestrator_core.provider_api.usage import Usage


@dataclass(slots=True)
class Choice:
    """One alternative of an answer.

    Attributes:
        index: From 0.
        message: The assistant's message.
        finish_reason: Why it ended; None where it was cut off.
        native_finish_reason: The same in the provider's own word.
        logprobs: `{"content": [...], "refusal": [...]}` as OpenAI's API has it, where the provider gave any.
        provider_metadata: What else the provider said of this alternative, see `ChatEvent`.
    """

    index: int
    message: Message
    finish_reason: FinishReason | None = None
    native_finish_reason: str | None = None
    logprobs: Mapping[str, Json] | None = None
    provider_metadata: ProviderMetadata | None = None


@dataclass(slots=True)
class ChatResponse:
    """A whole answer, folded from its events.

    Attributes:
        choices: The alternatives, by index; the first continues a conversation.
        model: The model that answered, as the provider names it.
        id: The provider's id of the answer.
        created: Seconds since the epoch, as the provider says.
        usage: What it used, where the provider said so.
        adjustments: What of the request was mapped, downgraded or dropped.
        native: The upstream's body, where it was not streamed and the dialects agree.
        complete: Whether every choice has its end.
        provider_metadata: What else the provider said of the answer as a whole, see `ChatEvent`.
    """

    choices: Sequence[Choice]
    model: str | None = None
    id: str | None = None
    created: int | None = None
    usage: Usage | None = None
    adjustments: Sequence[Adjustment] = ()
    native: NativeEvent | None = None
    complete: bool = True
    provider_metadata: ProviderMetadata | None = None

    @property
    def message(self) -> Message:
        """The message of the first choice."""
        return self.choices[0].message


@dataclass(slots=True)
class EmbeddingResponse:
    """Vectors, in the order of the input.

    Attributes:
        vectors: One for each input.
        model: The model, as the provider names it.
        usage: What it used, where the provider said so.
        adjustments: What of the request was mapped, downgraded or dropped.
        native: The upstream's body, where the dialects agree.
    """

    vectors: Sequence[Sequence[float]]
    model: str | None = None
    usage: Usage | None = None
    adjustments: Sequence[Adjustment] = ()
    native: NativeEvent | None = None


@dataclass(slots=True)
class HealthReport:
    """Whether the provider answers.

    Attributes:
        healthy: Whether a call would have a chance.
        detail: Why not, without a credential.
        models: The models that the provider lists now; empty where it has no list.
        reached: Whether it answered where it is not healthy: a key that it does not take for its list, or a limit of
            looks, says nothing of calls, and the provider keeps its place.
    """

    healthy: bool
    detail: str | None = None
    models: Sequence[ModelInfo] = field(default_factory=tuple)
    reached: bool = False


@dataclass(slots=True)
class Summary:
    """A summary of a part of a conversation.

    Attributes:
        text: The summary.
        model: The model that wrote it.
        usage: What it used.
    """

    text: str
    model: str | None = None
    usage: Usage | None = None
