"""How long answers may be and how many there may be, in whatever words a caller says it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from orchestrator_core.orchestration.asked_fields import asked_fields, squeezed
from orchestrator_core.provider_api import ChatRequest, InvalidRequest, Json

_LENGTHS: Final = frozenset(
    (
        "maxtokens",
        "maxcompletiontokens",
        "maxoutputtokens",
        "maxnewtokens",
        "maxgenlen",
        "maxlength",
        "maxtokenstosample",
        "npredict",
        "numpredict",
    )
)
_CHOICES: Final = frozenset(("n", "bestof", "candidatecount", "ncmpl", "numreturnsequences"))
"""What providers call the longest answer and the number of answers, as `squeezed` has it."""

_NO_LIMIT: Final = frozenset((0, -1, -2))
"""Lengths that limit nothing: Ollama and llama.cpp say -1 for that and -2 for the whole window, others say 0."""

_READ_BY_CORE: Final = frozenset(("max_tokens", "max_completion_tokens", "n"))
"""Names that core reads itself where they stand outermost; null counts as not set."""

_NUMERAL: Final = re.compile(r"-?[0-9]{1,18}(\.0*)?")


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """What a request says of its answers.

    Attributes:
        tokens: The largest length that it says; None where it says none.
        limited: Whether it says a length, and nowhere that there is no limit.
        choices: The largest number of answers that it says, at least 1.
    """

    tokens: int | None
    limited: bool
    choices: int


def answer_limits(request: ChatRequest) -> AnswerLimits:
    """Read every field that limits or multiplies answers.

    Numbers count as providers read them: Gemini takes `8000`, `8000.0` and `"8000"` alike (ProtoJSON).

    Raises:
        InvalidRequest: One of them is neither a whole number of at least 1 nor, of a length, a word for no limit.
    """
    tokens, choices, limited = request.max_tokens or 0, request.n or 1, True
    for place, name, value in asked_fields(request):
        spelt = squeezed(name)
        if spelt in _CHOICES:
            if value is not None:
                choices = max(choices, _count(place, value))
        elif spelt in _LENGTHS and not (value is None and place in _READ_BY_CORE):
            length = 0 if value is None else _length(place, value)
            tokens, limited = max(tokens, length), limited and length > 0
    return AnswerLimits(tokens or None, limited and tokens > 0, choices)


def _count(place: str, value: Json) -> int:
    number = _whole(value)
    if number is None or number < 1:
        raise _invalid(place, "expected a whole number of at least 1")
    return number


def _length(place: str, value: Json) -> int:
    """Return a length; 0 where there is to be no limit."""
    number = _whole(value)
    if number in _NO_LIMIT:
        return 0
    if number is None or number < 1:
        raise _invalid(place, "expected a whole number of at least 1, or -1 for no limit")
    return number


def _whole(value: Json) -> int | None:
    if isinstance(value, str):
        return int(value.partition(".")[0]) if _NUMERAL.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if isinstance(value, int) or value.is_integer() else None


def _invalid(place: str, expected: str) -> InvalidRequest:
    return InvalidRequest(
        f"Invalid value at '{place}': {expected}, since what this credential may spend is limited.", param=place
    )
