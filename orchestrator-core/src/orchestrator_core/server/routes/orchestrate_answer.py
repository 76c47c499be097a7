"""The answer of `POST /api/orchestrate`, whole and as a stream, for the documentation."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field

from orchestrator_core.provider_api import FinishReason
from orchestrator_core.server.endpoint import Bodies, Described, DescribedRoot, EventStream
from orchestrator_core.server.error_schema import Problem
from orchestrator_core.server.routes.session_turns import AttemptBody, PortabilityBody
from orchestrator_core.server.routes.usage_bodies import USAGE_EXAMPLE, UsageBody


class ProviderNotes(Described):
    """What the provider said beyond the other fields, as its API has it. The session keeps the notes on the message."""

    message: dict[str, Any] | None = Field(
        None,
        description="`annotations` as OpenAI's API has them; in `parts` the parts of the answer in their order, each "
        "with what only its provider reads, in `extra_content`, by the provider's name: citations, grounding, the "
        "calls of its own tools.",
    )
    choice: dict[str, Any] | None = Field(
        None, description="`logprobs` as OpenAI's API has them; others in `extra_content`, by the provider's name."
    )
    answer: dict[str, Any] | None = Field(None, description="Of the answer as a whole, such as `service_tier`.")


class TurnMetadata(Described):
    """What the turn took."""

    turn_id: str
    tokens_used: int | None
    cost_estimate: float | None = Field(description="USD; null where the price is unknown.")
    was_summarized: bool = Field(description="Whether this is the first answer made with a new summary.")
    finish_reason: FinishReason | None
    usage: UsageBody | None
    attempts: list[AttemptBody]
    portability: list[PortabilityBody]
    provider: ProviderNotes | None = None


class OrchestrateAnswer(Described):
    """The answer of a turn."""

    response: str
    agent_used: str
    model_used: str
    session_id: str
    message_count: int = Field(description="The user's messages in the session.")
    timestamp: str
    execution_time: float = Field(description="Seconds.")
    metadata: TurnMetadata
    tool_calls: list[dict[str, Any]] | None = None
    reasoning: str | None = None
    refusal: str | None = None
    images: list[dict[str, Any]] | None = Field(None, description="What the model drew, as `image_url` parts.")
    files: list[dict[str, Any]] | None = Field(None, description="Other media that the model made, as `file` parts.")


class StartEvent(Described):
    """The first event: who answers, in which session."""

    type: Literal["start"]
    session_id: str
    turn_id: str
    agent_used: str
    model_used: str


class _ChoiceEvent(Described):
    choice: int = Field(0, description="Which alternative; left out for the first.")


class TextEvent(_ChoiceEvent):
    """A piece of the answer."""

    type: Literal["text"]
    text: str


class ReasoningEvent(_ChoiceEvent):
    """A piece of what the model thought."""

    type: Literal["reasoning"]
    text: str


class RefusalEvent(_ChoiceEvent):
    """A piece of the model's refusal."""

    type: Literal["refusal"]
    text: str


class ToolCallEvent(_ChoiceEvent):
    """A piece of a tool call; the pieces of one have the same index."""

    type: Literal["tool_call"]
    index: int
    id: str | None
    name: str | None
    arguments: str = Field(description="A piece of the arguments' JSON text.")


class MediaEvent(_ChoiceEvent):
    """An image or a file of the answer."""

    type: Literal["media"]
    part: dict[str, Any]


class UsageEvent(UsageBody, _ChoiceEvent):
    """The tokens so far."""

    type: Literal["usage"]


class FinishEvent(_ChoiceEvent):
    """Why the model stopped."""

    type: Literal["finish"]
    reason: FinishReason


class DoneEvent(OrchestrateAnswer):
    """The last event of an answer that is complete: all of it."""

    type: Literal["done"]


_Named = Annotated[
    StartEvent
    | TextEvent
    | ReasoningEvent
    | RefusalEvent
    | ToolCallEvent
    | MediaEvent
    | UsageEvent
    | FinishEvent
    | DoneEvent,
    Field(discriminator="type"),
]


class OrchestrateEvent(DescribedRoot[_Named | Problem]):
    """The data of one event. Its `type` is also the event's name; that of an error is `error`, and it is the last."""


_EXAMPLE: dict[str, Any] = {
    "response": "Ada Lovelace wrote it in 1843.",
    "agent_used": "mistral",
    "model_used": "mistral-small-latest",
    "session_id": "sess_019a7c3e51f20a1b2c3d4e5f60718293",
    "message_count": 1,
    "timestamp": "2026-11-21T09:30:06.000Z",
    "execution_time": 0.84,
    "metadata": {
        "turn_id": "turn_019a7c3e51f30a1b2c3d4e5f60718293",
        "tokens_used": 31,
        "cost_estimate": 0.0000065,
        "was_summarized": False,
        "finish_reason": "stop",
        "usage": USAGE_EXAMPLE,
        "attempts": [{"provider": "mistral", "model": "mistral-small-latest", "duration": 0.81, "error": None}],
        "portability": [],
    },
}

ANSWER = Bodies(
    response=OrchestrateAnswer,
    response_example=_EXAMPLE,
    stream=EventStream(
        event=OrchestrateEvent,
        opening=(
            'event: start\ndata: {"type": "start", "session_id": "sess_019a7c3e51f20a1b2c3d4e5f60718293", '
            '"turn_id": "turn_019a7c3e51f30a1b2c3d4e5f60718293", '
            '"agent_used": "mistral", "model_used": "mistral-small-latest"}\n\n'
            'event: text\ndata: {"type": "text", "text": "Ada"}\n\n'
        ),
        ending=(
            'event: finish\ndata: {"type": "finish", "reason": "stop"}\n\n'
            f"event: done\ndata: {json.dumps({'type': 'done', **_EXAMPLE})}\n\n"
        ),
    ),
)
