"""What a call is expected to use, before it is made."""

from __future__ import annotations

from typing import Final

from orchestrator_core.orchestration.answer_limits import answer_limits
from orchestrator_core.orchestration.estimate import asked_tokens
from orchestrator_core.orchestration.policy import USUAL_ANSWER
from orchestrator_core.provider_api import ChatRequest, EmbeddingRequest, Usage

_MOST: Final = 2**31 - 1
"""Tokens that no call gives, whatever its caller says: providers count them in 32 bits."""


def expected_usage(request: ChatRequest | EmbeddingRequest) -> tuple[Usage, Usage]:
    """Return the least and the most that a call is expected to use.

    An answer whose length is limited is taken to have that length, in whatever words the limit is said: of several the
    largest counts. One that is not takes what is left of the budget, up to the usual answer: so the last of a budget
    can be used too, and by one call at a time.

    Raises:
        InvalidRequest: As for `answer_limits`.
    """
    asked = asked_tokens(request)
    if isinstance(request, EmbeddingRequest):
        return Usage(input_tokens=asked), Usage(input_tokens=asked)
    limits = answer_limits(request)
    said = limits.tokens or 0
    usual = said if limits.limited else max(said, USUAL_ANSWER)
    least, most = (
        Usage(input_tokens=asked, output_tokens=min(length * limits.choices, _MOST)) for length in (said, usual)
    )
    return least, most
