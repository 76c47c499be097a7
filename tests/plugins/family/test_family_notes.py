"""What a client says beyond the canonical form reaches the vendor that knows it; what does not is named."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from family import VENDORS
from orchestrator_core.openai_compatible.parse import AnswerParser
from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatRequest,
    Deadline,
    FilePart,
    ImagePart,
    Message,
    ProviderContext,
    ProviderSettings,
    UnsupportedParameter,
)
from orchestrator_core.server.translate.anthropic_request import read_message_request
from orchestrator_core.server.translate.openai_request import read_chat

MARK = {"type": "ephemeral"}
FUNCTION: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
USER = {"role": "user", "content": "x"}
NATIVE = ("grok", "qwen", "deepseek", "kimi")


def compiled(name: str, request: ChatRequest, model: str = "m") -> tuple[dict[str, Any], dict[str, str]]:
    """The body for a vendor, and what became of what."""
    client: Any = None
    report = AdjustmentReport(strict=request.strict)
    provider = VENDORS[name].provider(ProviderContext(name, ProviderSettings(), client))
    body = provider.compile(replace(request, model=model), report)
    assert [problem for rule in VENDORS[name].strict.rules for problem in rule.check(body, {})] == []
    return body, {change.subject: change.action for change in report.adjustments}


def read(*messages: dict[str, Any], strict: bool = False, session: bool = False, **fields: Any) -> ChatRequest:
    """A request as a client writes it; in a session the gateway keeps the history, and not the client's body."""
    request = read_chat({"messages": list(messages), **fields}, deadline=Deadline.after(5), strict=strict)
    return replace(request, native=None) if session else request


MARKED: dict[str, Any] = {
    "role": "user",
    "content": [
        {"type": "text", "text": "T", "cache_control": MARK, "foo_part": 3},
        {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "high", "foo_image": 1}},
        {"type": "strange", "strange": {}},
    ],
    "foo_message": 1,
}
MARKED_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object"}, "foo_function": 1},
    "foo_tool": 1,
    "cache_control": MARK,
}
LOST = {
    "cache_control",
    "foo_part",
    "image_url.foo_image",
    "strange",
    "foo_message",
    "function.foo_function",
    "foo_tool",
}


def test_mistral_is_sent_none_of_it_and_every_field_is_named() -> None:
    body, changes = compiled("mistral", read(MARKED, tools=[MARKED_TOOL]))
    assert {name for name, action in changes.items() if action == "dropped"} == LOST
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "T"},
        {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "high"}},
    ]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "x", "foo": 1},
        {"role": "user", "content": "x", "cache_control": MARK},
        {"role": "user", "content": [{"type": "text", "text": "x", "foo": 1}]},
        {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "foo"}]},
    ],
)
def test_a_strict_caller_is_refused_by_name(message: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        compiled("mistral", read(message, strict=True))
    assert refused.value.param in {"foo", "cache_control"}


def test_what_was_said_before_an_answer_is_named_and_refuses_nobody() -> None:
    result = {"role": "tool", "tool_call_id": "abc123xyz", "content": "r", "foo_result": 1}
    call = {"id": "abc123xyz", "type": "function", "function": {"name": "f", "arguments": "{}"}, "foo_call": 1}
    history = (
        {**USER, "foo": 1},
        {"role": "assistant", "content": "a", "annotations": [{}], "tool_calls": [call]},
        result,
    )
    done = {"role": "assistant", "content": "b", "annotations": [], "prefix": False}
    _, changes = compiled("mistral", read(*history, done, USER, strict=True))
    assert changes == dict.fromkeys(("foo", "annotations", "foo_call", "foo_result"), "dropped")


def test_a_mark_on_an_answer_that_is_to_be_continued_is_asked_for() -> None:
    with pytest.raises(UnsupportedParameter):
        compiled("mistral", read(USER, {"role": "assistant", "content": "a", "cache_control": MARK}, strict=True))
    body, _ = compiled("mistral", read(USER, {"role": "assistant", "content": "a", "prefix": True}, strict=True))
    assert body["messages"][-1] == {"role": "assistant", "content": "a", "prefix": True}


@pytest.mark.parametrize("session", [False, True])
@pytest.mark.parametrize("name", ["grok", "qwen", "kimi"])
def test_a_vendor_that_may_know_it_gets_all_of_it_in_a_session_too(name: str, session: bool) -> None:
    message = {**MARKED, "content": MARKED["content"][:2]}
    body, changes = compiled(name, read(message, tools=[MARKED_TOOL], strict=True, session=session))
    assert (body["messages"], body["tools"], changes) == ([message], [MARKED_TOOL], {})


def test_a_part_of_an_unknown_kind_reaches_a_vendor_in_a_session() -> None:
    client: Any = None
    provider = VENDORS["grok"].provider(ProviderContext("grok", ProviderSettings(), client))
    body = provider.compile(read(MARKED, session=True, strict=True), AdjustmentReport(strict=True))
    assert body["messages"] == [MARKED]


def test_the_responses_api_names_what_it_has_no_field_for() -> None:
    messages = (
        {**MARKED, "content": [*MARKED["content"][:2], {"type": "text", "text": "P", "prompt_cache_breakpoint": {}}]},
    )
    needed: dict[str, Any] = {"reasoning_effort": "high", "tools": [FUNCTION]}
    body, changes = compiled("openai", read(*messages, **needed), "gpt-5.6-luna")
    assert changes == dict.fromkeys(("cache_control", "foo_part", "image_url.foo_image", "foo_message"), "dropped")
    assert body["input"][0]["content"][2] == {"type": "input_text", "text": "P", "prompt_cache_breakpoint": {}}


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": [{"type": "strange"}]}],
        [{"role": "assistant", "content": ""}],
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]}],
    ],
)
def test_the_responses_api_is_never_asked_with_nothing(messages: list[dict[str, Any]]) -> None:
    needed: dict[str, Any] = {"reasoning_effort": "high", "tools": [FUNCTION]}
    body, changes = compiled("openai", read(*messages, **needed), "gpt-5.6-luna")
    said = [{"type": "input_text", "text": "(nothing was said)"}]
    assert body["input"] == [{"role": "user", "content": said}]
    assert changes["message"] == "mapped"


def test_a_result_that_no_call_waits_for_is_said_by_the_user() -> None:
    stray = {"role": "tool", "tool_call_id": "z", "content": "r"}
    for name, model, kind in (("openai", "gpt-5.6-luna", "input_text"), ("grok", "grok-4.3", "text")):
        body, changes = compiled(name, read(stray, reasoning_effort="high", tools=[FUNCTION]), model)
        said = [{"type": kind, "text": text} for text in ("Result of z:", "r")]
        assert body["input" if name == "openai" else "messages"] == [{"role": "user", "content": said}]
        assert changes["tool_result"] == "mapped"


def test_the_obfuscation_of_a_stream_is_asked_for_where_there_is_one() -> None:
    options = {"include_usage": True, "include_obfuscation": False}
    needed: dict[str, Any] = {"reasoning_effort": "high", "tools": [FUNCTION], "stream": True}
    body, changes = compiled("openai", read(USER, stream_options=options, strict=True, **needed), "gpt-5.6-luna")
    assert (body["stream_options"], changes) == ({"include_obfuscation": False}, {})
    _, changes = compiled("mistral", read(USER, stream_options={"include_obfuscation": True}, stream=True))
    assert changes == {"stream_options.include_obfuscation": "dropped"}
    body, _ = compiled("grok", read(USER, stream_options=options, stream=True, session=True))
    assert body["stream_options"] == options


# What the gateway answers for Anthropic and Gemini, as a client gives it back.
THOUGHT = {"type": "reasoning.text", "index": 0, "text": "SECRET", "extra_content": {"anthropic": {"signature": "SIG"}}}
HIDDEN = {"type": "reasoning.text", "index": 1, "text": "", "extra_content": {"anthropic": {"redacted": "RED"}}}
SIGNED = {
    "id": "abc123xyz",
    "type": "function",
    "function": {"name": "f", "arguments": "{}"},
    "extra_content": {"gemini": {"thoughtSignature": "GSIG"}},
}
OF_OTHERS = (
    USER,
    {"role": "assistant", "content": "a", "reasoning_content": "SECRET", "reasoning_details": [THOUGHT, HIDDEN]},
    USER,
    {"role": "assistant", "content": None, "tool_calls": [SIGNED]},
    {"role": "tool", "tool_call_id": "abc123xyz", "content": "r"},
)


@pytest.mark.parametrize("name", list(VENDORS))
def test_no_mark_and_no_thought_of_another_vendor_is_passed_on(name: str) -> None:
    request = read(*OF_OTHERS, strict=True)
    before = json.dumps(request.native.body) if request.native else ""
    body, changes = compiled(name, request)
    written = json.dumps(body)
    assert [mark for mark in ("SECRET", "SIG", "RED", "extra_content", "reasoning_details") if mark in written] == []
    assert changes["reasoning"] in ("dropped", "mapped")  # mapped: a blank stands for it
    assert request.native is not None
    assert json.dumps(request.native.body) == before


@pytest.mark.parametrize("name", NATIVE)
def test_thoughts_without_a_mark_and_its_own_are_given_back(name: str) -> None:
    unmarked = {"role": "assistant", "content": "a", "reasoning_content": "mine"}
    own = {**THOUGHT, "text": "mine", "extra_content": {name: {"field": "reasoning_content"}}}
    marked = {**unmarked, "reasoning_content": "mineSECRET", "reasoning_details": [own, THOUGHT]}
    body, _ = compiled(name, read(USER, unmarked, USER, marked, USER))
    assert [body["messages"][place] for place in (1, 3)] == [unmarked, unmarked]


def test_the_report_names_what_went() -> None:
    pictures = {
        "role": "assistant",
        "content": "a",
        "images": [{"type": "image_url", "image_url": {"url": "https://x"}}],
    }
    assert compiled("openai", read(USER, pictures, USER), "gpt-4o")[1] == {"images": "dropped"}
    calls = {"role": "assistant", "content": None, "tool_calls": [SIGNED]}
    result = {"role": "tool", "tool_call_id": "abc123xyz", "content": "r"}
    assert compiled("openai", read(USER, calls, result), "gpt-4o")[1] == {"extra_content": "dropped"}


def test_openai_gets_no_fields_of_other_vendors_and_all_of_its_own() -> None:
    foreign: dict[str, Any] = {
        "safe_prompt": True,
        "enable_thinking": False,
        "top_k": 3,
        "thinking": {"type": "disabled"},
    }
    own: dict[str, Any] = {"prompt_cache_key": "k", "verbosity": "low", "next_years": {"a": 1}}
    document = {"type": "document_url", "document_url": "https://a/b.pdf"}
    inline = {"type": "document_url", "document_url": "data:application/pdf;base64,AAAA", "document_name": "d.pdf"}
    text = {"type": "text", "text": "a", "next_years": 1}
    for session in (False, True):
        message = {"role": "user", "content": [{**text, "cache_control": MARK}, document, inline]}
        body, changes = compiled("openai", read(message, session=session, **foreign, **own), "gpt-4o")
        assert {name for name, action in changes.items() if action == "dropped"} >= {*foreign, "cache_control"}
        assert "file" in changes
        assert not body.keys() & foreign.keys()
        assert {name: body[name] for name in own} == own
        file = {"filename": "d.pdf", "file_data": "data:application/pdf;base64,AAAA"}
        assert body["messages"][0]["content"] == [text, {"type": "file", "file": file}]
    for name, value in foreign.items():
        with pytest.raises(UnsupportedParameter, match=name):
            compiled("openai", read(USER, strict=True, **{name: value}), "gpt-4o")


SAMPLING: dict[str, Any] = {"logprobs": True, "top_logprobs": 2, "logit_bias": {"1": 1}}


@pytest.mark.parametrize(
    ("model", "refused"),
    [
        ("o3", {*SAMPLING, "stop"}),
        ("o4-mini-2025-04-16", {*SAMPLING, "stop"}),
        ("o3-mini", {*SAMPLING}),
        ("gpt-5-mini", {*SAMPLING, "stop"}),
        ("gpt-5.4", set()),
        ("gpt-4o", set()),
    ],
)
def test_reasoning_models_get_no_parameters_of_sampling(model: str, refused: set[str]) -> None:
    body, changes = compiled("openai", read(USER, stop=["a"], **SAMPLING), model)
    assert changes == dict.fromkeys(refused, "dropped")
    assert body.keys() & {*SAMPLING, "stop"} == {*SAMPLING, "stop"} - refused


def test_deepseek_says_what_does_nothing_while_it_thinks() -> None:
    request = read(USER, temperature=0.5, presence_penalty=1)
    body, changes = compiled("deepseek", request, "deepseek-flash")
    assert changes == {"temperature": "downgraded", "presence_penalty": "downgraded"}
    assert (body["temperature"], body["presence_penalty"]) == (0.5, 1)
    off = read(USER, temperature=0.5, thinking={"type": "disabled"}, strict=True)
    assert compiled("deepseek", off, "deepseek-flash")[1] == {}


CUSTOM_CALL = {"id": "abc123xyz", "type": "custom", "custom": {"name": "c", "input": 'RAW"text'}}
CUSTOM = (USER, {"role": "assistant", "content": None, "tool_calls": [CUSTOM_CALL]}, OF_OTHERS[-1])


def test_calls_of_custom_tools_stay_what_they_are() -> None:
    tools = [FUNCTION, {"type": "custom", "custom": {"name": "c"}}]
    body, changes = compiled("openai", read(*CUSTOM, tools=tools, reasoning_effort="low", strict=True), "gpt-5.6-luna")
    items = body["input"][1:]
    assert [item["type"] for item in items] == ["custom_tool_call", "custom_tool_call_output"]
    assert (items[0]["input"], changes) == ('RAW"text', {})
    for session in (False, True):
        body, _ = compiled("openai", read(*CUSTOM, tools=tools, strict=True, session=session), "gpt-4o")
        assert body["messages"][1]["tool_calls"] == [CUSTOM_CALL]
    # As answers of the gateway had them before.
    old = {"id": "abc123xyz", "type": "function", "function": {"name": "c", "arguments": 'RAW"text'}}
    kept = {**CUSTOM[1], "tool_calls": [{**old, "extra_content": {"openai": {"type": "custom"}}}]}
    body, _ = compiled("openai", read(USER, kept, CUSTOM[2], tools=tools, strict=True), "gpt-4o")
    assert body["messages"][1]["tool_calls"] == [CUSTOM_CALL]


@pytest.mark.parametrize("name", ["mistral", *NATIVE])
def test_others_are_given_calls_of_custom_tools_as_functions(name: str) -> None:
    body, changes = compiled(name, read(*CUSTOM, session=True, strict=True))
    (call,) = body["messages"][1]["tool_calls"]
    assert (call["type"], json.loads(call["function"]["arguments"])) == ("function", {"input": 'RAW"text'})
    assert changes["tool_call"] == "mapped"


def test_mistral_gets_only_functions() -> None:
    custom = {"type": "custom", "custom": {"name": "c"}}
    body, changes = compiled("mistral", read(USER, tools=[FUNCTION, custom], tool_choice=custom))
    assert changes == {"tools.custom": "dropped", "tool_choice": "dropped"}
    assert ([tool["type"] for tool in body["tools"]], "tool_choice" in body) == (["function"], False)
    body, _ = compiled("mistral", read(USER, tools=[custom], tool_choice="auto"))
    assert not body.keys() & {"tools", "tool_choice"}
    with pytest.raises(UnsupportedParameter, match=r"tools\.custom"):
        compiled("mistral", read(USER, tools=[custom], strict=True))


@pytest.mark.parametrize("session", [False, True])
@pytest.mark.parametrize("name", ["mistral", "grok", "qwen", "deepseek", "kimi"])
def test_a_choice_among_some_tools_leaves_those(name: str, session: bool) -> None:
    tools = [{**FUNCTION, "function": {**FUNCTION["function"], "name": each}} for each in "fgh"]
    among = [{"type": "function", "function": {"name": "g"}}]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": among}}
    body, changes = compiled(name, read(USER, tools=tools, tool_choice=choice, session=session, strict=True))
    assert [tool["function"]["name"] for tool in body["tools"]] == ["g"]
    assert (body["tool_choice"], changes) == ("auto", {"tool_choice": "mapped"})
    required = {**choice, "allowed_tools": {"mode": "required", "tools": among}}
    body, _ = compiled("mistral", read(USER, tools=tools, tool_choice=required))
    assert body["tool_choice"] == "any"


@pytest.mark.parametrize("effort", ["none", "high"])
def test_openai_is_given_the_choice_itself(effort: str) -> None:
    among = [{"type": "function", "function": {"name": "f"}}]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": among}}
    request = read(USER, tools=[FUNCTION], tool_choice=choice, reasoning_effort=effort, session=True, strict=True)
    given = compiled("openai", request, "gpt-5.6-luna")[0]["tool_choice"]
    flat = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}
    assert given == (choice if effort == "none" else flat)


@pytest.mark.parametrize("name", ["grok", "qwen", "deepseek", "kimi"])
def test_a_text_document_is_given_as_text(name: str) -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "Said."}
    block = {"type": "document", "title": "notes.txt", "source": source}
    body = {"max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, block]}]}
    request = read_message_request(body, deadline=Deadline.after(5), strict=True)
    sent, changes = compiled(name, request)
    assert sent["messages"][0]["content"][1] == {"type": "text", "text": "notes.txt:\nSaid."}
    assert changes == {"file": "mapped"}


def test_a_turn_of_which_nothing_is_left_says_so() -> None:
    request = read(USER)
    image = Message(role="user", parts=(ImagePart(url="https://a/b.png"),))
    body, changes = compiled("deepseek", replace(request, native=None, messages=[image]))
    assert body["messages"] == [{"role": "user", "content": "(nothing was said)"}]
    assert changes == {"image": "dropped", "message": "mapped"}
    broken = Message(role="user", parts=(FilePart(data="/w==", media_type="text/plain"),))
    assert compiled("deepseek", replace(request, native=None, messages=[broken]))[1]["file"] == "dropped"


def test_fields_of_blocks_that_only_anthropic_has_are_named() -> None:
    block = {"type": "text", "text": "a", "foo_block": 1}
    body = {
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [block, {"type": "foo_kind"}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "foo_tool": 2}],
    }
    for name in ("grok", "mistral"):
        request = read_message_request(body, deadline=Deadline.after(5))
        assert compiled(name, request)[1] == dict.fromkeys(("foo_block", "foo_kind", "foo_tool"), "dropped")


CITED = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "signature": "s"},
    {"type": "text", "text": "See "},
    {"type": "reference", "reference_ids": [1]},
    {"type": "text", "text": "it"},
]


def test_mistral_gets_its_citations_back_from_a_session_and_from_a_client() -> None:
    client: Any = None
    provider = VENDORS["mistral"].provider(ProviderContext("mistral", ProviderSettings(), client))
    parser = AnswerParser(provider.dialect, "mistral", native=True)
    message = {"role": "assistant", "content": CITED}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    fold = Fold()
    events = parser.body(json.dumps(answer).encode())
    for event in events:
        fold.add(event)
    stored = replace(read(USER), messages=[*read(USER).messages, fold.response().message, *read(USER).messages])
    assert events[0].native is not None
    kept = json.loads(events[0].native.data)["choices"][0]["message"]
    for request in (stored, read(USER, kept, USER, strict=True)):
        body, changes = compiled("mistral", replace(request, native=None))
        assert (body["messages"][1], changes) == (message, {})
    changed, _ = compiled("mistral", read(USER, {**kept, "content": "Mine."}, USER))
    assert {"type": "text", "text": "Mine."} in changed["messages"][1]["content"]
    other, changes = compiled("grok", read(USER, kept, USER, strict=True))
    assert other["messages"][1] == {"role": "assistant", "content": "See it"}
    assert changes == {"extra_content": "dropped", "reasoning": "dropped"}
