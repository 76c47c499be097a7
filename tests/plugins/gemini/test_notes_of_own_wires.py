"""What clients say beyond the canonical form, at the vendors with wires of their own: taken, or named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator_anthropic.compile import compile_chat as compile_anthropic
from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatRequest,
    Deadline,
    ProviderSettings,
    UnsupportedParameter,
)
from orchestrator_core.server.translate.openai_request import read_chat
from orchestrator_gemini.request import compile_chat as compile_gemini

MARK = {"type": "ephemeral"}
USER = {"role": "user", "content": "x"}
MARKED = {
    "role": "user",
    "content": [{"type": "text", "text": "T", "cache_control": MARK, "foo_part": 3}, {"type": "strange"}],
    "foo_message": 1,
}
TOOL = {"type": "function", "function": {"name": "f", "foo_function": 1}, "foo_tool": 1, "cache_control": MARK}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "foo_call": 1}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "r", "foo_result": 1}
LOST = {"foo_part", "foo_message", "foo_tool", "function.foo_function"}


def _anthropic(request: ChatRequest, report: AdjustmentReport) -> dict[str, Any]:
    return compile_anthropic(request, ProviderSettings(), "anthropic", report).body


def _gemini(request: ChatRequest, report: AdjustmentReport) -> dict[str, Any]:
    return compile_gemini(request, provider_id="gemini", settings=ProviderSettings(), report=report)


def compiled(
    compile_: Callable[[ChatRequest, AdjustmentReport], dict[str, Any]],
    *messages: Any,
    strict: bool = False,
    **more: Any,
) -> tuple[dict[str, Any], dict[str, str]]:
    body = {"model": "claude-haiku-4-5", "messages": list(messages), **more}
    report = AdjustmentReport(strict=strict)
    sent = compile_(read_chat(body, deadline=Deadline.after(5), strict=strict), report)
    return sent, {change.subject: change.action for change in report.adjustments}


def test_anthropic_takes_its_own_marks_and_names_the_rest() -> None:
    body, changes = compiled(_anthropic, MARKED, tools=[TOOL])
    assert body["messages"][0]["content"] == [{"type": "text", "text": "T", "cache_control": MARK}]
    assert body["tools"][0]["cache_control"] == MARK
    assert changes.keys() >= LOST
    assert "cache_control" not in changes


def test_gemini_names_all_of_them() -> None:
    body, changes = compiled(_gemini, MARKED, tools=[TOOL])
    assert body["contents"] == [{"role": "user", "parts": [{"text": "T"}]}]
    assert changes.keys() >= {*LOST, "strange", "cache_control"}


@pytest.mark.parametrize("compile_", [_anthropic, _gemini])
def test_strict_callers_are_refused_for_what_they_ask_now(compile_: Any) -> None:
    with pytest.raises(UnsupportedParameter, match="foo"):
        compiled(compile_, {**USER, "foo": 1}, strict=True)
    answer = {"role": "assistant", "content": "a", "tool_calls": [CALL]}
    done = {"role": "assistant", "content": "b", "foo_answer": 1}
    _, changes = compiled(compile_, {**USER, "foo": 1}, answer, RESULT, done, USER, strict=True)
    assert changes == dict.fromkeys(("foo", "foo_call", "foo_result", "foo_answer"), "dropped")
