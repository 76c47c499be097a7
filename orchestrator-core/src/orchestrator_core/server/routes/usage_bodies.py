"""Usage as the API shows it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import Field

from orchestrator_core.provider_api import NO_DETAILS, Usage
from orchestrator_core.server.endpoint import Described


class TokensBody(Described):
    """Tokens, in buckets that do not overlap."""

    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int


class UsageDetailsBody(Described):
    """What of the tokens has a price of its own, and what is billed beside them; what is left out is 0."""

    input_audio_tokens: int = Field(0, description="Of all input tokens, those of sound, cached ones among them.")
    cached_audio_tokens: int = Field(0, description="Of the cached input tokens, those of sound.")
    output_audio_tokens: int = Field(0, description="Of the output tokens, those of sound.")
    output_image_tokens: int = Field(0, description="Of the output tokens, those of images.")
    cache_write_1h_tokens: int = Field(0, description="Of the tokens written to a cache, those kept for an hour.")
    web_searches: int = Field(0, description="Searches that the provider made.")
    unpriced: str | None = Field(
        None, description="What else the price depends on and no table knows; the cost is then null."
    )
    estimated: bool = Field(
        False,
        description="Whether it is the gateway's own estimate, all or in part: the provider did not say it, such as "
        "where the answer broke off because its client left.",
    )


class UsageBody(TokensBody):
    """What a call used: with the model, the provider and the price version, all that its cost was computed from."""

    details: UsageDetailsBody | None = Field(None, description="Only where there are any.")


USAGE_EXAMPLE = {
    "input_tokens": 21,
    "cached_input_tokens": 0,
    "cache_write_tokens": 0,
    "output_tokens": 10,
    "reasoning_tokens": 0,
}
"""What the example of a turn used."""


def usage_body(usage: Usage) -> dict[str, Any]:
    """Return a usage as JSON."""
    if usage.details is NO_DETAILS:  # as of most answers
        return usage.buckets()
    found = {name: value for name, value in asdict(usage.details).items() if value}
    return {**usage.buckets(), "details": found} if found else usage.buckets()
