"""Tools that a model may call, and the form an answer must have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from orchestrator_core.provider_api.messages import Json, ProviderMetadata


class Tool(BaseModel):
    """A function that the model may ask the caller to execute.

    Attributes:
        name: The function's name.
        description: What it does, for the model.
        parameters: JSON Schema of its arguments.
        strict: Whether the arguments must follow the schema exactly.
        provider_metadata: What only one provider reads, such as cache marks.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    description: str | None = None
    parameters: Mapping[str, Json] | None = None
    strict: bool | None = None
    provider_metadata: ProviderMetadata | None = None


class NamedTool(BaseModel):
    """The choice of one tool by its name."""

    model_config = ConfigDict(frozen=True)

    name: str


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | NamedTool
"""Whether and which tools must be called."""


class ResponseFormat(BaseModel):
    """The form an answer must have.

    Attributes:
        type: `text`, any JSON object, or JSON that follows `json_schema`.
        name: A name for the schema.
        description: What the answer is, for the model.
        json_schema: JSON Schema of the answer.
        strict: Whether the answer must follow the schema exactly.
    """

    model_config = ConfigDict(frozen=True)

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    json_schema: Mapping[str, Json] | None = None
    strict: bool | None = None
