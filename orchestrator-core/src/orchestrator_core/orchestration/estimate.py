"""How many tokens a call is, without a tokenizer: by what it weighs, and by what providers reported before.

What a provider really counted for what it was sent corrects the weight by a factor for each model.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from pydantic_core import to_json

from orchestrator_core.provider_api import (
    ChatRequest,
    ChatResponse,
    EmbeddingRequest,
    Json,
    ReasoningPart,
    Tool,
    Usage,
    UsageDetails,
)
from orchestrator_core.sessions.weights import ASCII_BYTES, CALL, Weight, weigh, weigh_part, weigh_text

REFUSAL_HOLDS: Final = 600.0
"""Seconds for which a refusal says that a window is smaller than known: it may have been a mishap of the provider."""

PLAUSIBLE: Final = 0.25
"""The share of a known window below which a refusal says something of one conversation, and nothing of the window."""

LEAST_WINDOW: Final = 2048
"""Tokens below which a refusal says nothing of a window that nobody knows: no model in use has a smaller one."""

_KEPT: Final = 512
_LEAST, _MOST = 0.25, 4.0
_STEP: Final = 2.0
_PACE: Final = 0.2
_WORTH: Final = 64.0
_TEXT_SHARE: Final = 0.8


def weigh_request(request: ChatRequest) -> Weight:
    """Return what a call weighs: its messages, its tools, and the schema of its answer."""
    weight, more = weigh(request.messages), weigh_fields(request)
    return weight + Weight(more) if more else weight


def weigh_fields(request: ChatRequest) -> float:
    """Return what a call weighs without its messages."""
    weight = sum(map(_weigh_tool, request.tools), 0.0)
    form = request.response_format
    if form is not None and form.json_schema is not None:
        weight += weigh_json(form.json_schema)
    return weight


def weigh_json(value: Json) -> float:
    """Return what JSON weighs that nobody here reads."""
    return len(to_json(value)) / ASCII_BYTES


def asked_tokens(request: ChatRequest | EmbeddingRequest) -> int:
    """Return about how many tokens a call sends."""
    if isinstance(request, EmbeddingRequest):
        return round(sum(weigh_text(text) if isinstance(text, str) else len(text) for text in request.input))
    return round(weigh_request(request).total)


def unsaid_usage(
    asked: int, said: ChatResponse, unread: int, told: Usage | None = None, *, whole: bool = False
) -> Usage:
    """Return about what an answer used of which its provider did not say all.

    Args:
        asked: The tokens of what was sent.
        said: As much of the answer as came.
        unread: The tokens of it that nobody took apart.
        told: What the provider said; some say at the beginning that they have written nothing yet, and some servers
            write zeros where they do not count.
        whole: Whether the answer came to its end, so that what was said of it counts all of it, where it is not zero.
    """
    parts = [part for choice in said.choices for part in choice.message.parts]
    output = math.ceil(sum(weigh_part(part).total for part in parts)) + unread
    reasoning = math.ceil(sum(weigh_text(part.text) for part in parts if isinstance(part, ReasoningPart)))
    if told is None or not told.total:
        return Usage(asked, 0, 0, output, reasoning, UsageDetails(estimated=True))
    missing = 0 if whole and told.total_output else max(0, output + reasoning - told.total_output)
    unasked = 0 if told.total_input else asked
    if not missing and not unasked:
        return told
    details = replace(told.details, estimated=True)
    return replace(
        told, input_tokens=told.input_tokens + unasked, output_tokens=told.output_tokens + missing, details=details
    )


def _weigh_tool(tool: Tool) -> float:
    schema = weigh_json(tool.parameters) if tool.parameters else 0.0
    return CALL + schema + weigh_text(tool.name) + weigh_text(tool.description or "")


@dataclass(slots=True)
class _Learned:
    """What is known of one model: its factor, and from how many calls."""

    factor: float = 1.0
    calls: int = 0


class TokenEstimates:
    """Turns weights into tokens, by a factor for each model that follows what its provider reports.

    The factor is a moving average of what was seen. A report counts as no more than twice and no less than half of
    what was expected, for a fifth after the first few, and the factor stays between a quarter and four: a vendor that
    counts wrongly now and then, or adds what nobody sent, does little harm. The models used last are remembered.

    What a model refused as too long is kept for each tenant: what one sends makes no other pay for summaries.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Know nothing yet: every factor is 1.

        Args:
            clock: Monotonic seconds.
        """
        self._clock = clock
        self._models: OrderedDict[tuple[str, str], _Learned] = OrderedDict()
        self._refused: OrderedDict[tuple[str, str, str], tuple[int, float]] = OrderedDict()

    def tokens(self, provider: str, model: str, weight: Weight) -> int:
        """Return an estimate of what a provider will count."""
        known = self._models.get((provider, model))
        return round(weight.text * (known.factor if known else 1.0) + weight.other)

    def weight(self, provider: str, model: str, tokens: float) -> float:
        """Return the weight of text that comes to so many tokens."""
        known = self._models.get((provider, model))
        return tokens / known.factor if known else tokens

    def refused(self, provider: str, model: str, *, tenant: str) -> int | None:
        """Return an estimate of the fewest tokens that a model lately refused a tenant; None where it did not."""
        tokens, until = self._refused.get((tenant, provider, model), (None, 0.0))
        return tokens if until > self._clock() else None

    def learn(self, provider: str, model: str, weight: Weight, usage: Usage, *, tenant: str) -> None:
        """Note what a provider counted for what it was sent, cached input included.

        Calls that are small, or not mostly text, say little about text and are passed over, and so are estimates.
        """
        if usage.details.estimated:
            return
        counted = usage.total_input
        if weight.text < max(_WORTH, _TEXT_SHARE * weight.total) or counted <= weight.other:
            return
        known = self._known(provider, model)
        refused = self.refused(provider, model, tenant=tenant)
        if refused is not None and counted > refused:
            del self._refused[tenant, provider, model]  # it takes more than was thought
        known.calls += 1
        seen = _within((counted - weight.other) / weight.text, known.factor / _STEP, known.factor * _STEP)
        pace = max(_PACE, 1 / known.calls)
        known.factor = _within(known.factor + pace * (seen - known.factor), _LEAST, _MOST)

    def learn_refusal(
        self, provider: str, model: str, weight: Weight, room: int | None, window: int | None = None, *, tenant: str
    ) -> None:
        """Note that a provider found something too long.

        The factor rises as far as it may in one step to say so too. What is then still missing is not in the counting:
        the window is smaller than known, and that is remembered for `REFUSAL_HOLDS`. What is far below the window, or
        below any window, is passed over: every other conversation with the model would pay for it.

        Args:
            provider: Who refused.
            model: For which model.
            weight: What was sent.
            room: The input tokens that should have had room; None where the window is not known.
            window: The model's window as it is known, whatever was refused; None where it is not.
            tenant: Whose conversation it was.
        """
        known = self._known(provider, model)
        factor = known.factor
        if room is not None and weight.text:
            needed = (room - weight.other) / weight.text
            factor = _within(max(factor, min(needed, factor * _STEP)), _LEAST, _MOST)
        tokens = round(weight.text * factor + weight.other)
        if tokens < (LEAST_WINDOW if window is None else window * PLAUSIBLE):
            return
        known.factor = factor
        if room is None or tokens < room * 0.99:
            before = self.refused(provider, model, tenant=tenant)
            fewest = tokens if before is None else min(tokens, before)
            self._refused[tenant, provider, model] = fewest, self._clock() + REFUSAL_HOLDS
            self._refused.move_to_end((tenant, provider, model))
            if len(self._refused) > _KEPT:
                self._refused.popitem(last=False)

    def _known(self, provider: str, model: str) -> _Learned:
        known = self._models.setdefault((provider, model), _Learned())
        self._models.move_to_end((provider, model))
        if len(self._models) > _KEPT:
            self._models.popitem(last=False)
        return known


def _within(value: float, least: float, most: float) -> float:
    return min(max(value, least), most)
