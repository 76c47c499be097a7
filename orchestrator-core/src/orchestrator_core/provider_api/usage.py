"""Tokens, in buckets that do not overlap, so that no token is billed twice."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageDetails:
    """What of the buckets has a price of its own, and what is billed beside tokens.

    The counts of tokens are parts of the buckets of `Usage`. It is kept with a turn, so that its price can be computed
    again; totals of many calls leave it out.

    Attributes:
        input_audio_tokens: Of all input tokens, those of sound, cached ones among them.
        cached_audio_tokens: Of the cached input tokens, those of sound.
        output_audio_tokens: Of the output tokens, those of sound.
        output_image_tokens: Of the output tokens, those of images.
        cache_write_1h_tokens: Of the tokens written to a cache, those kept for an hour instead of some minutes.
        web_searches: Searches that the provider made and bills each.
        unpriced: What else the price depends on and no table knows: a tier of service other than the standard one, a
            tool of the provider's that it bills; None where there is no such thing. The cost is then unknown.
        estimated: Whether it is core's own estimate, all or in part, because the provider did not say it, such as where
            the answer broke off before.
    """

    input_audio_tokens: int = 0
    cached_audio_tokens: int = 0
    output_audio_tokens: int = 0
    output_image_tokens: int = 0
    cache_write_1h_tokens: int = 0
    web_searches: int = 0
    unpriced: str | None = None
    estimated: bool = False

    def __add__(self, other: UsageDetails) -> UsageDetails:
        if other is NO_DETAILS or other == NO_DETAILS:  # as of most answers
            return self
        counts = {
            each.name: getattr(self, each.name) + getattr(other, each.name)
            for each in fields(self)
            if each.name not in ("unpriced", "estimated")
        }
        return UsageDetails(
            **counts, unpriced=self.unpriced or other.unpriced, estimated=self.estimated or other.estimated
        )


NO_DETAILS: Final = UsageDetails()
"""The details of most calls: none."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. The buckets are disjoint.

    Attributes:
        input_tokens: Input that was neither read from nor written to a cache.
        cached_input_tokens: Input read from the provider's cache.
        cache_write_tokens: Input written to the provider's cache.
        output_tokens: Output without reasoning.
        reasoning_tokens: Output that was reasoning.
        details: What of them has a price of its own.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    details: UsageDetails = field(default=NO_DETAILS, compare=False)

    @property
    def total_input(self) -> int:
        """All input tokens."""
        return self.input_tokens + self.cached_input_tokens + self.cache_write_tokens

    @property
    def total_output(self) -> int:
        """All output tokens, reasoning among them."""
        return self.output_tokens + self.reasoning_tokens

    @property
    def total(self) -> int:
        """All tokens."""
        return self.total_input + self.total_output

    def buckets(self) -> dict[str, int]:
        """Return the buckets by name."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "details"}

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.output_tokens + other.output_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.details + other.details,
        )
