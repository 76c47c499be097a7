"""What a call is expected to use, before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from orchestrator_core.orchestration.estimate import asked_tokens
from orchestrator_core.orchestration.policy import USUAL_ANSWER
from orchestrator_core.provider_api import ChatRequest, EmbeddingRequest, Json, Usage

_LENGTHS: Final = frozenset({"maxtokens", "maxcompletiontokens", "maxoutputtokens", "maxnewtokens", "numpredict"})
_CHOICES: Final = frozenset({"n", "bestof", "candidatecount"})
"""What providers call the longest answer and the number of answers, in lower case without `_`."""

_CONTAINERS: Final = ("extra_body", "generation_config", "generationConfig", "options", "parameters")
"""The objects in which they look for more fields."""


def expected_usage(request: ChatRequest | EmbeddingRequest) -> tuple[Usage, Usage]:
    """Return the least and the most that a call is expected to use.

    An answer whose length is limited is taken to have that length, in whatever words the limit is said: of several the
    largest counts. One that is not takes what is left of the budget, up to the usual answer: so the last of a budget
    can be used too, and by one call at a time.
    """
    asked = asked_tokens(request)
    if isinstance(request, EmbeddingRequest):
        return Usage(input_tokens=asked), Usage(input_tokens=asked)
    limit = _largest(request.max_tokens, request.extra, _LENGTHS)
    choices = _largest(request.n, request.extra, _CHOICES) or 1
    if limit is not None:
        usage = Usage(input_tokens=asked, output_tokens=limit * choices)
        return usage, usage
    return Usage(input_tokens=asked), Usage(input_tokens=asked, output_tokens=USUAL_ANSWER * choices)


def _largest(known: int | None, extra: Mapping[str, Json], names: AbstractSet[str]) -> int | None:
    """Return the largest of a number that core reads and those that the caller gave in a provider's own words."""
    nested = (value for name in _CONTAINERS if isinstance(value := extra.get(name), Mapping))
    found = [] if known is None else [known]
    for fields in (extra, *nested):
        for name, value in fields.items():
            if isinstance(value, int) and name.replace("_", "").lower() in names:
                found.append(value)
    return max(found, default=None)
