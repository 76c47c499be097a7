"""What was asked is what is sent: every piece of a conversation and every parameter, once, or its loss is reported."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import pytest

from orchestrator_core.provider_api import ResponseFormat
from orchestrator_core.testing.bench import Bench, Heard
from orchestrator_core.testing.conversation import TOLD, TOOLS_TOLD, everything
from orchestrator_core.testing.judge import contains, lost, require, strings
from orchestrator_core.testing.scenes import PLAIN, TOOLS
from orchestrator_core.testing.suite import Suite, proves

VALUES: Final[dict[str, Any]] = {
    "temperature": 0.123,
    "top_p": 0.877,
    "max_tokens": 4321,
    "stop": ("KIT-STOP",),
    "seed": 424242,
    "presence_penalty": 0.213,
    "frequency_penalty": 0.317,
}
"""Parameters with values that nothing else in a request has."""

KINDS: Final[dict[str, dict[str, Any]]] = {
    "n": {"n": 2},
    "reasoning_effort": {"reasoning_effort": "high"},
    "response_format": {"response_format": ResponseFormat(type="json_object")},
    "parallel_tool_calls": {"parallel_tool_calls": False, "tools": TOOLS},
}
"""Parameters whose values may be other words in the vendor's wire: that they change the request is all one can say."""

EXTRA: Final = {"kit_extra_field": "KIT-EXTRA"}


class FidelityChecks(Suite):
    """What reaches the upstream of what a caller said."""

    @proves("chat")
    def test_every_piece_of_a_conversation_is_sent_once_or_reported(self) -> None:
        """Each text, call, result, image and file is in the request exactly once; what is not, is in the report."""
        self.fake()

        async def work(bench: Bench) -> None:
            heard = await bench.hear(PLAIN, messages=everything(), tools=self.tools(TOOLS_TOLD))
            reported = lost(heard.response.adjustments)
            sent = "\n".join(strings(heard.request.body))
            times = Counter({token: sent.count(token) for token in TOLD})
            for token, subjects in TOLD.items():
                require(times[token] < 2, f"{token[-40:]!r} is sent {times[token]} times")
                require(
                    times[token] or reported & set(subjects),
                    f"{token[-40:]!r} is neither sent nor reported as lost"
                    + (f": report {subjects[0]!r} as dropped" if subjects else ""),
                )
            missing = {subject for token, subjects in TOLD.items() if not times[token] for subject in subjects}
            known = {subject for subjects in TOLD.values() for subject in subjects}
            wrong = reported & known - missing
            require(not wrong, f"{wrong} is reported as lost, and everything of the kind is sent")

        self.run(work)

    @proves("chat", "function_calling")
    def test_a_result_that_is_an_error_is_told_from_one_that_is_none(self) -> None:
        """Whether a call failed reaches the model, if only in words."""
        self.fake()

        async def work(bench: Bench) -> None:
            good, bad = [
                await bench.hear(PLAIN, messages=everything(failed=failed), tools=TOOLS_TOLD)
                for failed in (False, True)
            ]
            require(
                good.request.body != bad.request.body or "tool_result" in lost(bad.response.adjustments),
                "`is_error` of a result is neither in the request nor reported",
            )

        self.run(work)

    @proves("chat")
    @pytest.mark.parametrize("name", [*VALUES, *KINDS, *EXTRA])
    def test_nothing_is_dropped_in_silence(self, name: str) -> None:
        """Each parameter is sent, or its absence is reported; strictly, it is refused before anything is sent."""
        self.fake()
        fields = KINDS.get(name) or ({"extra": EXTRA} if name in EXTRA else {name: VALUES[name]})
        if "tools" in fields and "function_calling" not in self.provider.info.capabilities:
            pytest.skip(f"{self.provider.info.name} does not declare function_calling")

        async def work(bench: Bench) -> None:
            heard = await bench.hear(PLAIN, **fields)
            if name in KINDS:
                without = await bench.hear(PLAIN, tools=fields.get("tools", ()))
                sent = heard.request.body != without.request.body
            else:
                value = EXTRA.get(name) or VALUES[name]
                sent = contains(heard.request.body, value[0] if isinstance(value, tuple) else value)
            require(
                sent or name in lost(heard.adjustments),
                f"{name} is neither in the request nor reported: use AdjustmentReport.dropped",
            )
            await held_to_strictness(bench, heard, name, **fields)

        self.run(work)

    @proves("chat")
    def test_the_operators_defaults_are_sent_where_the_caller_sets_none(self) -> None:
        """`default_temperature` and `default_max_tokens` are honoured where the model takes such a parameter."""
        self.fake()

        async def work(bench: Bench) -> None:
            default, own = await bench.hear(PLAIN), await bench.hear(PLAIN, temperature=0.877, max_tokens=8765)
            for name, value, set_ in (("temperature", 0.123, 0.877), ("max_tokens", 4321, 8765)):
                refused = name in lost(own.response.adjustments)
                require(
                    contains(default.request.body, value) or refused,
                    f"the operator's default_{name} is not sent: see ChatRequest and ProviderSettings",
                )
                require(
                    contains(own.request.body, set_) or (refused and not contains(own.request.body, value)),
                    f"the operator's default_{name} is sent although the caller set {name}",
                )

        self.run(work, settings={**self.settings, "default_temperature": 0.123, "default_max_tokens": 4321})


async def held_to_strictness(bench: Bench, lenient: Heard, name: str, **fields: Any) -> None:
    """Require that a strict caller is refused what a lenient one loses, before anything is sent, and nothing else.

    Args:
        bench: The provider at work.
        lenient: What came of the same request otherwise.
        name: The parameter.
        fields: The fields of the request.
    """
    __tracebackhide__ = True
    missed = lost(lenient.adjustments)
    strict = await bench.hear(PLAIN, **fields, strict=True)
    refused = type(strict.error).__name__ == "UnsupportedParameter" and getattr(strict.error, "param", None) in missed
    if missed:
        require(refused, f"strictly, {name} would be lost, and came {strict.error!r}: pass request.strict on")
        require(not strict.requests, f"{name} is refused after the request was sent")
    else:
        require(
            type(strict.error).__name__ != "UnsupportedParameter",
            f"strictly, {name} is refused although it is sent otherwise",
        )
