"""Servers that the operator names, each with the differences that its settings say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from orchestrator_core import openai_compatible
from orchestrator_core.openai_compatible import LIMITS, Dialect, Refused
from orchestrator_core.provider_api import ProviderContext, ProviderInfo, ProviderSettings

_HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
_HeaderValue = Annotated[str, Field(pattern=r"^[\t\x20-\x7E]*$")]
"""RFC 9110, 5.5 and 5.6.2."""


class CompatibleSettings(ProviderSettings):
    """An operator's settings for one server.

    Attributes:
        base_url: Where the API is, up to and without `/chat/completions`.
        token_parameter: The name of the limit on the answer's length, or `either` where the server takes both.
        unsupported_parameters: Fields that the server refuses: they are left out, and reported.
        accepted_parameters: The only fields that the server takes, where it refuses unknown ones.
        reasoning_field: Where reasoning stands in an answer; by default `reasoning_content`, then `reasoning`.
        replay_reasoning: Which earlier answers are given back with their reasoning.
        stream_usage: Whether the usage of a stream has to be asked for.
        embeddings: Whether there is `/embeddings`.
        embedding_batch: The most inputs of one call for embeddings.
        headers: Further headers. Never a credential: that is the server's key.
    """

    base_url: str
    token_parameter: Literal["max_tokens", "max_completion_tokens", "either"] = Field(default="max_tokens")
    unsupported_parameters: tuple[str, ...] = ()
    accepted_parameters: tuple[str, ...] | None = None
    reasoning_field: str | None = None
    replay_reasoning: Literal["none", "tool_turn", "all"] = "none"
    stream_usage: bool = True
    embeddings: bool = True
    embedding_batch: int | None = Field(default=None, ge=1)
    headers: Mapping[_HeaderName, _HeaderValue] = Field(default_factory=dict)

    def dialect(self) -> Dialect:
        """Return the differences as the protocol's code reads them."""
        standard = Dialect()
        return Dialect(
            base_url=self.base_url,
            limits=tuple(name for name in LIMITS if self.token_parameter in (name, "either")),
            refused=(
                Refused(
                    parameters=dict.fromkeys(self.unsupported_parameters),
                    reason="this server does not take it",
                ),
            ),
            accepted=self.accepted_parameters,
            reasoning_fields=(self.reasoning_field,) if self.reasoning_field else standard.reasoning_fields,
            replay_reasoning=self.replay_reasoning,
            stream_usage=self.stream_usage,
            embeddings=self.embeddings,
            embedding_batch=self.embedding_batch,
            headers=self.headers,
            # https://ai.google.dev/gemini-api/docs/thought-signatures: Google's own servers of this protocol have them.
            marks=("google",),
        )


class OpenAICompatibleProvider(openai_compatible.OpenAICompatibleProvider):
    """A server that speaks OpenAI's protocol; one instance for each that the operator names."""

    info = ProviderInfo(
        name="openai-compatible",
        title="OpenAI-compatible server",
        capabilities=(
            "chat",
            "function_calling",
            "vision",
            "reasoning",
            "embeddings",
            "structured_output",
        ),
        requires_key=False,
        named_servers=True,
    )
    settings_model = CompatibleSettings

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        if isinstance(context.settings, CompatibleSettings):
            self.dialect = context.settings.dialect()
