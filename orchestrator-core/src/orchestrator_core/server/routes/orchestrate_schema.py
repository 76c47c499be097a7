"""The body of `POST /api/orchestrate`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from orchestrator_core.provider_api import Json
from orchestrator_core.server.body import RequestModel
from orchestrator_core.server.metadata import Metadata

Number = Annotated[float, Field(allow_inf_nan=False)]
MAX_INTEGER = 2**63 - 1
LEAST_TIMEOUT = 0.1
"""Seconds: in less no turn is stored for certain, and all that came would be an error of the gateway's."""


class TextInput(RequestModel):
    """Text."""

    type: Literal["text"]
    text: str


class ImageInput(RequestModel):
    """An image, by `url`, or by base64 `data` with its `media_type`."""

    type: Literal["image"]
    url: str | None = None
    data: str | None = None
    media_type: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> ImageInput:
        if (self.url is None) == (self.data is None):
            raise ValueError("an image has either url or data")
        if self.data is not None and self.media_type is None:
            raise ValueError("an image with data has a media_type, such as image/png")
        return self


class ImageUrl(RequestModel):
    """Where an image is; a `data:` URL may hold it."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImageUrlInput(RequestModel):
    """An image as OpenAI's API has it."""

    type: Literal["image_url"]
    image_url: ImageUrl


InputPart = Annotated[TextInput | ImageInput | ImageUrlInput, Field(discriminator="type")]


class ToolResultInput(RequestModel):
    """What a tool call gave."""

    tool_call_id: str = Field(min_length=1)
    content: str
    is_error: bool = False


class FunctionInput(RequestModel):
    """A function that the model may call."""

    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Json] | None = Field(default=None, description="JSON Schema of the arguments.")
    strict: bool | None = None


class ToolInput(RequestModel):
    """A tool as OpenAI's API has it."""

    type: Literal["function"]
    function: FunctionInput


class NamedFunction(RequestModel):
    """The name of a function."""

    name: str = Field(min_length=1)


class NamedToolInput(RequestModel):
    """The choice of one tool, as OpenAI's API has it."""

    type: Literal["function"]
    function: NamedFunction


class JsonSchemaInput(RequestModel):
    """A schema for the answer."""

    # The field is called `schema` on the wire, which is the name of a method of pydantic's models.
    model_config = ConfigDict(populate_by_name=True)

    name: str | None = None
    description: str | None = None
    json_schema: dict[str, Json] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class ResponseFormatInput(RequestModel):
    """The form of the answer, as OpenAI's API has it."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaInput | None = None

    @model_validator(mode="after")
    def _with_schema(self) -> ResponseFormatInput:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema is there exactly where type is json_schema")
        return self


class AgentConfig(RequestModel):
    """Who answers and how. What is not set is not sent. Fields that are not listed here go to the provider."""

    model_config = ConfigDict(extra="allow")

    provider: str | None = Field(default=None, description="The configured default, or the only usable one.")
    model: str | None = Field(default=None, description="The provider's default where it is left out.")
    system_prompt: str | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=MAX_INTEGER)
    stop: str | list[str] | None = None
    tools: list[ToolInput | FunctionInput] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedToolInput | NamedFunction | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormatInput | None = None
    reasoning_effort: str | None = Field(
        default=None, description="`none`, `minimal`, `low`, `medium`, `high`, or the provider's own word."
    )
    seed: int | None = Field(default=None, ge=-MAX_INTEGER, le=MAX_INTEGER)
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    strict: bool = Field(default=False, description="Refuse instead of leaving out what the provider cannot do.")
    fallbacks: list[str] | None = Field(
        default=None, description="`provider` or `provider/model`, in order; the configured chain where left out."
    )
    timeout: Number | None = Field(default=None, ge=LEAST_TIMEOUT, description="Seconds for the whole request.")


class OrchestrateBody(RequestModel):
    """One turn: a message, or the results of tools that the last answer called."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["message"]}, {"required": ["tool_results"]}]})

    message: Annotated[str, Field(min_length=1)] | Annotated[list[InputPart], Field(min_length=1)] | None = None
    tool_results: list[ToolResultInput] | None = Field(default=None, min_length=1)
    agent_config: AgentConfig | None = None
    session_id: str | None = Field(default=None, description="The session to join; one is made where left out.")
    user_id: str | None = Field(default=None, max_length=256, description="The label of a session that is made.")
    metadata: Metadata | None = Field(default=None, description="The data of a session that is made.")
    stream: bool | None = Field(default=None, description="Whether to stream; the header Accept can say so too.")

    @model_validator(mode="after")
    def _one_kind(self) -> OrchestrateBody:
        if (self.message is None) == (self.tool_results is None):
            raise ValueError("send either message or tool_results")
        return self
