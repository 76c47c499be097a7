"""The forms of errors, for the documentation."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator_core.server.endpoint import Described
from orchestrator_core.server.errors import Surface


class Problem(Described):
    """An error as RFC 9457 has it."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    param: str | None = None
    provider: str | None = None
    session_id: str | None = None
    turn_id: str | None = None
    scope: str | None = Field(default=None, description="Of 429: whose limit fired.")
    limit: float | None = Field(default=None, description="Of 429: how much it is.")


class ConnectorError(Described):
    """An error of a connector."""

    success: Literal[False]
    error: str
    error_type: str
    request_id: str


class OpenAIErrorDetail(Described):
    """What OpenAI's API says of an error."""

    message: str
    type: str | None
    param: str | None
    code: str | None


class OpenAIError(Described):
    """An error as OpenAI's API has it."""

    error: OpenAIErrorDetail


class AnthropicErrorDetail(Described):
    """What Anthropic's API says of an error."""

    type: str
    message: str


class AnthropicError(Described):
    """An error as Anthropic's API has it."""

    type: Literal["error"]
    error: AnthropicErrorDetail
    request_id: str


ERROR_MODELS: dict[Surface, type[BaseModel]] = {
    Surface.API: Problem,
    Surface.PLAIN: Problem,
    Surface.CONNECTOR: ConnectorError,
    Surface.OPENAI: OpenAIError,
    Surface.ANTHROPIC: AnthropicError,
}
"""The form on each surface."""
