"""Tokens, in buckets that do not overlap, so that no token is billed twice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. The buckets are disjoint.

    Attributes:
        input_tokens: Input that was neither read from nor written to a cache.
        cached_input_tokens: Input read from the provider's cache.
        cache_write_tokens: Input written to the provider's cache.
        output_tokens: Output without reasoning.
        reasoning_tokens: Output that was reasoning.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

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

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.output_tokens + other.output_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )
