"""The data of the events with which `POST /api/orchestrate` streams an answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from orchestrator_core.provider_api import FinishReason
from orchestrator_core.server.endpoint import Described, DescribedRoot
from orchestrator_core.server.error_schema import Problem
from orchestrator_core.server.routes.orchestrate_schema import OrchestrateAnswer
from orchestrator_core.server.routes.usage_bodies import UsageBody


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
