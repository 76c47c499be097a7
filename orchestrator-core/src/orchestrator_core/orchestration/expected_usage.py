"""What a call is expected to use, before it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from orchestrator_core.orchestration.answer_limits import answer_limits
from orchestrator_core.orchestration.estimate import asked_tokens
from orchestrator_core.orchestration.media import as_medium, asked_media, heard_tokens
from orchestrator_core.orchestration.policy import USUAL_ANSWER
from orchestrator_core.provider_api import NO_DETAILS, ChatRequest, EmbeddingRequest, Usage, UsageDetails

_MOST: Final = 2**31 - 1
"""Tokens that no call gives, whatever its caller says: providers count them in 32 bits."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a call is expected to use.

    Attributes:
        least: The least, as if the answer were text.
        most: The most, as if the answer were text.
        media: What else it may be, as `asked_media` has it.
    """

    least: Usage
    most: Usage
    media: Mapping[str | None, str] = field(default_factory=dict)

    def ways(self, usage: Usage) -> Sequence[Usage]:
        """Return a usage as text, and as each of the media."""
        return [usage, *(as_medium(usage, count) for count in self.media if count is not None)]


def expected_usage(request: ChatRequest | EmbeddingRequest) -> Expected:
    """Return what a call is expected to use.

    An answer whose length is limited is taken to have that length, in whatever words the limit is said: of several the
    largest counts. One that is not takes what is left of the budget, up to the usual answer: so the last of a budget
    can be used too, and by one call at a time.

    Raises:
        InvalidRequest: As for `answer_limits`.
    """
    asked = asked_tokens(request)
    if isinstance(request, EmbeddingRequest):
        return Expected(Usage(input_tokens=asked), Usage(input_tokens=asked))
    limits, heard = answer_limits(request), heard_tokens(request)
    details = UsageDetails(input_audio_tokens=heard) if heard else NO_DETAILS
    said = limits.tokens or 0
    usual = said if limits.limited else max(said, USUAL_ANSWER)
    least, most = (
        Usage(input_tokens=asked, output_tokens=min(length * limits.choices, _MOST), details=details)
        for length in (said, usual)
    )
    return Expected(least, most, asked_media(request))
