"""Bodies of Anthropic's own clients, as a server takes them that refuses what Anthropic refuses."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from fake_upstreams.anthropic_calls import KEY, sent
from fake_upstreams.strict_anthropic import StrictAnthropic, signed
from orchestrator_anthropic.models import traits_of
from orchestrator_anthropic.native import is_sound
from orchestrator_core.provider_api import ChatRequest, Deadline, UnsupportedParameter
from orchestrator_core.server.translate.anthropic_request import read_message_request

CALLED = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
OTHER = {**CALLED, "id": "toolu_2"}
OTHER_RESULT = {**RESULT, "tool_use_id": "toolu_2"}
THOUGHT = {"type": "thinking", "thinking": "Hm", "signature": signed("Hm")}
TEXT = {"type": "text", "text": "Well"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
SEARCHED = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
RUN = {"type": "server_tool_use", "id": "srvtoolu_2", "name": "code_execution", "input": {"code": "weather()"}}
BY_CODE = {**CALLED, "caller": {"type": "code_execution_20260120", "tool_id": "srvtoolu_2"}}
RAN = {"type": "code_execution_tool_result", "tool_use_id": "srvtoolu_2", "content": {}}


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
    "a text before a result": [("user", "Hi"), ("assistant", [CALLED]), ("user", [TEXT, RESULT])],
    "a text between results": [
        ("user", "Hi"),
        ("assistant", [CALLED, OTHER]),
        ("user", [RESULT, TEXT, OTHER_RESULT]),
    ],
    "an empty text in a result": [
        ("user", "Hi"),
        ("assistant", [CALLED]),
        ("user", [{**RESULT, "content": [{"type": "text", "text": " "}]}]),
    ],
    "an image in an answer": [("user", "Hi"), ("assistant", [TEXT, IMAGE]), ("user", "Go on")],
    "an answer that was cut off in a search": [("user", "Hi"), ("assistant", [SEARCHED, TEXT]), ("user", "Go on")],
    "an answer that ended in a search": [("user", "Hi"), ("assistant", [TEXT, SEARCHED]), ("user", "Go on")],
    "what was found without a search": [("user", "Hi"), ("assistant", [FOUND, TEXT]), ("user", "Go on")],
    "a thought of the user": [("user", [TEXT, THOUGHT]), ("assistant", "Well"), ("user", "Go on")],
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


SOUND_HISTORIES = {
    "results, then a text": [("user", "Hi"), ("assistant", [CALLED, OTHER]), ("user", [OTHER_RESULT, RESULT, TEXT])],
    "a search": [("user", "Hi"), ("assistant", [SEARCHED, FOUND, TEXT]), ("user", "Go on")],
    "a pause after a result": [("user", "Hi"), ("assistant", [SEARCHED, FOUND])],
    "a pause before a result": [("user", "Hi"), ("assistant", [TEXT, SEARCHED])],
    "a pause that ended": [("user", "Hi"), ("assistant", [SEARCHED]), ("assistant", [FOUND, TEXT]), ("user", "More")],
    "code that called": [
        ("user", "Hi"),
        ("assistant", [RUN, BY_CODE]),
        ("user", [RESULT]),
        ("assistant", [RAN, TEXT]),
        ("user", "More"),
    ],
    "code that calls": [("user", "Hi"), ("assistant", [RUN, BY_CODE]), ("user", [RESULT])],
    "an image in a result": [("user", "Hi"), ("assistant", [CALLED]), ("user", [{**RESULT, "content": [IMAGE]}])],
}


def asked_with(messages: list[dict[str, Any]], model: str, **fields: Any) -> ChatRequest:
    body = {"model": f"m/{model}", "max_tokens": 50, "messages": messages, **fields}
    return replace(read_message_request(body, deadline=Deadline.after(5)), model=model, credential=KEY)


@pytest.mark.parametrize("name", SOUND_HISTORIES)
async def test_a_conversation_that_anthropic_takes_is_kept(server: StrictAnthropic, name: str) -> None:
    messages = [{"role": role, "content": content} for role, content in SOUND_HISTORIES[name]]
    asked, response = await sent(server, asked_with(messages, "claude-sonnet-5-5"))
    assert server.asked[-1].problems == []
    assert asked["messages"] == messages
    assert response.adjustments == ()


def test_the_time_for_turns_with_calls_grows_with_their_number() -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
    for number in range(40_000):
        messages.append({"role": "assistant", "content": [{**CALLED, "id": f"call_{number}"}]})
        messages.append({"role": "user", "content": [{**RESULT, "tool_use_id": f"call_{number}"}]})
    begun = time.process_time()
    assert is_sound(messages, traits_of("claude-sonnet-5-5"))
    assert not is_sound([*messages, *messages[1:3]], traits_of("claude-sonnet-5-5"))
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("prompt", [[TEXT, IMAGE], [TEXT, {"type": "text", "text": ""}]])
async def test_a_system_prompt_is_text(server: StrictAnthropic, prompt: list[Any]) -> None:
    request = asked_with([{"role": "user", "content": "Hi"}], "claude-sonnet-5-5", system=prompt)
    asked, _ = await sent(server, request)
    assert server.asked[-1].problems == []
    assert asked["system"] == [TEXT]
    assert (asked["messages"][0]["content"][0] == IMAGE) == (IMAGE in prompt)


async def test_white_space_at_the_end_of_a_begun_answer_is_left_out(server: StrictAnthropic) -> None:
    for ending in ("Well: ", [TEXT, {"type": "text", "text": "so:\n"}]):
        messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": ending}]
        asked, _ = await sent(server, asked_with(messages, "claude-haiku-4-5"))
        assert server.asked[-1].problems == []
        assert asked["messages"][-1]["content"][-1]["text"] in ("Well:", "so:")


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
