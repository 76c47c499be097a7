"""Bodies of Anthropic's own clients, as a server takes them that refuses what Anthropic refuses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from fake_upstreams.anthropic_calls import KEY, sent
from fake_upstreams.strict_anthropic import StrictAnthropic, signed
from orchestrator_core.provider_api import Deadline, UnsupportedParameter
from orchestrator_core.server.translate.anthropic_request import read_message_request

CALLED = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
THOUGHT = {"type": "thinking", "thinking": "Hm", "signature": signed("Hm")}


@pytest.fixture
async def server() -> AsyncIterator[StrictAnthropic]:
    async with StrictAnthropic() as running:
        yield running


NATIVE_HISTORIES = {
    "a call without a result": [("user", "Hi"), ("assistant", [CALLED]), ("user", "Never mind")],
    "a result without a call": [
        ("user", "Hi"),
        ("assistant", "So?"),
        ("user", [RESULT, {"type": "text", "text": "x"}]),
    ],
    "a result that is late": [("user", "Hi"), ("assistant", [CALLED]), ("user", "Wait"), ("user", [RESULT])],
    "one id twice": [("user", "Hi"), ("assistant", [CALLED, CALLED]), ("user", [RESULT, RESULT])],
    "an empty answer": [("user", "Hi"), ("assistant", ""), ("user", "Go on")],
    "an answer at the end": [("user", "Hi"), ("assistant", "Well")],
    "a thought at the end of an answer": [("user", "Hi"), ("assistant", [THOUGHT]), ("user", "Go on")],
    "the assistant first": [("assistant", "Hello"), ("user", "Hi")],
}


@pytest.mark.parametrize("name", NATIVE_HISTORIES)
async def test_a_conversation_of_a_client_of_its_dialect_is_mended(server: StrictAnthropic, name: str) -> None:
    messages = [{"role": role, "content": content} for role, content in NATIVE_HISTORIES[name]]
    body = {"model": "m/claude-sonnet-5-5", "max_tokens": 50, "metadata": {"user_id": "u"}, "messages": messages}
    tools = {"tools": [{"name": "weather", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}]}
    request = replace(
        read_message_request({**body, **tools}, deadline=Deadline.after(5)), model="claude-sonnet-5-5", credential=KEY
    )
    asked, _ = await sent(server, request)
    assert server.asked[-1].problems == []
    assert asked["messages"] != messages
    assert (asked["metadata"], asked["tools"]) == (body["metadata"], tools["tools"])


OPTIONS = [
    ("claude-sonnet-5-5", {"temperature": 0.3}, {}, "temperature"),
    ("claude-sonnet-5-5", {"top_k": 5}, {}, "top_k"),
    ("claude-sonnet-5-5", {"tool_choice": {"type": "any"}}, {"tool_choice": {"type": "auto"}}, "tool_choice"),
    (
        "claude-sonnet-5-5",
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
        "thinking.budget_tokens",
    ),
    ("claude-sonnet-5-5", {"thinking": {"type": "disabled"}}, {"thinking": {"type": "between_tools"}}, "thinking"),
    ("claude-opus-5-5", {"thinking": {"type": "disabled"}}, {"output_config": {"effort": "low"}}, "thinking"),
    ("claude-3-5-haiku-latest", {"thinking": {"type": "enabled", "budget_tokens": 2000}}, {}, "thinking"),
    (
        "claude-opus-4-6",
        {"output_config": {"effort": "xhigh"}},
        {"output_config": {"effort": "high"}},
        "reasoning_effort",
    ),
    (
        "claude-haiku-4-5",
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "tool_choice": {"type": "tool", "name": "weather"}},
        {"tool_choice": {"type": "tool", "name": "weather"}},
        "thinking",
    ),
    ("claude-haiku-4-5", {"temperature": 0.3, "top_p": 0.5}, {"temperature": 0.3}, "top_p"),
]


@pytest.mark.parametrize(("model", "given", "taken", "subject"), OPTIONS)
async def test_options_of_a_client_of_its_dialect_are_fitted_to_the_model(
    server: StrictAnthropic, model: str, given: dict[str, Any], taken: dict[str, Any], subject: str
) -> None:
    rest = {
        "max_tokens": 3000,
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
    }
    body = {"model": f"a/{model}", **rest, **given}
    before = json.dumps(body)
    request = replace(read_message_request(body, deadline=Deadline.after(5)), model=model, credential=KEY)
    asked, response = await sent(server, request)
    assert asked == {"model": model, **rest, **taken}
    assert [each.subject for each in response.adjustments if each.action != "mapped"] == [subject]
    assert json.dumps(body) == before
    with pytest.raises(UnsupportedParameter) as refused:
        await sent(server, replace(request, strict=True))
    assert refused.value.param == subject
