"""The exact words in which each vendor is asked, and the exact report of what had to change."""

from __future__ import annotations

from typing import Any

import pytest

from fake_upstreams.openai_calls import HELLO, ask, events_of, folded
from fake_upstreams.strict_deepseek import StrictDeepSeek
from family import VENDORS
from orchestrator_core.openai_compatible import OpenAICompatibleProvider
from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatRequest,
    FilePart,
    ImagePart,
    Message,
    NamedTool,
    ProviderContext,
    ProviderQuotaExhausted,
    ProviderSettings,
    ProviderUnavailable,
    ReasoningPart,
    ResponseFormat,
    Start,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    UnsupportedParameter,
    text_message,
)

FIND = Tool(name="find", parameters={"type": "object"})
PING = Tool(name="ping")


def compiled(name: str, request: ChatRequest) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The body for a vendor, and what was changed: subject and action."""
    kind: type[OpenAICompatibleProvider] = VENDORS[name].provider
    report, client = AdjustmentReport(strict=request.strict), None
    unused: Any = client
    provider = kind(ProviderContext(name, ProviderSettings(), unused))
    body = provider.compile(request, report)
    return body, [(change.subject, change.action) for change in report.adjustments]


def asked(name: str, model: str, **fields: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """What `compiled` gives, without the model and the message that every body has."""
    body, changes = compiled(name, ask(model=model, **fields))
    assert body.pop("model") == model
    assert body.pop("messages") == [{"role": "user", "content": "Hello"}]
    for each in ("tools",):
        body.pop(each, None)
    return body, changes


DOWN, MAPPED, DROPPED = (("reasoning_effort", action) for action in ("downgraded", "mapped", "dropped"))
OFF, ON = {"thinking": {"type": "disabled"}}, {"thinking": {"type": "enabled"}}
EFFORTS: list[tuple[str, str, str, dict[str, Any], list[tuple[str, str]]]] = [
    ("mistral", "mistral-small-latest", "high", {"reasoning_effort": "high"}, []),
    ("mistral", "mistral-small-latest", "medium", {"reasoning_effort": "high"}, [DOWN]),
    ("mistral", "mistral-small-latest", "none", {"reasoning_effort": "none"}, []),
    ("grok", "grok-4.3", "medium", {"reasoning_effort": "medium"}, []),
    ("grok", "grok-4.3", "minimal", {"reasoning_effort": "low"}, [DOWN]),
    ("grok", "grok-3-mini", "high", {"reasoning_effort": "high"}, []),
    ("grok", "grok-code-fast-1", "low", {}, [DROPPED]),
    ("qwen", "qwen3.8-flash", "none", {"enable_thinking": False}, [MAPPED]),
    ("qwen", "qwen3.8-flash", "low", {"enable_thinking": True, "thinking_budget": 4096}, [MAPPED]),
    ("qwen", "qwen-plus", "high", {"enable_thinking": True}, [MAPPED]),
    ("qwen", "qwq-plus", "none", {}, [DROPPED]),
    ("deepseek", "deepseek-flash", "none", OFF, [MAPPED]),
    ("deepseek", "deepseek-flash", "low", {"reasoning_effort": "low"}, []),
    ("kimi", "kimi-k3", "low", {"reasoning_effort": "low"}, []),
    ("kimi", "kimi-k3", "medium", {"reasoning_effort": "high"}, [DOWN]),
    ("kimi", "kimi-k3", "none", {"reasoning_effort": "low"}, [DOWN]),
    ("kimi", "kimi-k3", "max", {"reasoning_effort": "max"}, []),
    ("deepseek", "deepseek-flash", "max", {"reasoning_effort": "max"}, []),
    ("mistral", "mistral-small-latest", "max", {"reasoning_effort": "high"}, [DOWN]),
    ("kimi", "kimi-k2.6", "none", OFF, [MAPPED]),
    ("kimi", "kimi-k2.6", "high", ON, [DOWN]),
    ("kimi", "kimi-k2.7-code", "high", {}, [DROPPED]),
    ("kimi", "kimi-k2-turbo-preview", "high", {}, [DROPPED]),
]


@pytest.mark.parametrize(("name", "model", "effort", "body", "changes"), EFFORTS)
def test_the_effort_is_said_in_the_vendors_words(
    name: str, model: str, effort: str, body: dict[str, Any], changes: list[tuple[str, str]]
) -> None:
    assert asked(name, model, reasoning_effort=effort) == (body, changes)
    lost = [action for _, action in changes if action != "mapped"]
    if lost:
        with pytest.raises(UnsupportedParameter) as refused:
            asked(name, model, reasoning_effort=effort, strict=True)
        assert refused.value.param == "reasoning_effort"
    else:
        assert asked(name, model, reasoning_effort=effort, strict=True) == (body, changes)


BUDGETS: list[tuple[str, str, dict[str, Any], str]] = [
    ("qwen", "qwen3.8-flash", {"enable_thinking": True, "thinking_budget": 3000}, "mapped"),
    ("grok", "grok-4.3", {"reasoning_effort": "low"}, "downgraded"),
    ("kimi", "kimi-k3", {"reasoning_effort": "low"}, "downgraded"),
    ("deepseek", "deepseek-flash", {"reasoning_effort": "low"}, "downgraded"),
]


@pytest.mark.parametrize(("name", "model", "body", "action"), BUDGETS)
def test_a_budget_of_thought_is_kept_or_reported(name: str, model: str, body: dict[str, Any], action: str) -> None:
    change = ("reasoning_budget", action)
    assert asked(name, model, reasoning_effort="low", reasoning_budget=3000) == (body, [change])
    if action != "mapped":
        with pytest.raises(UnsupportedParameter, match="reasoning_budget"):
            asked(name, model, reasoning_effort="low", reasoning_budget=3000, strict=True)


NAMED = {"type": "function", "function": {"name": "find"}}
FORCED: list[tuple[str, str, dict[str, Any], dict[str, Any], list[tuple[str, str]]]] = [
    ("mistral", "mistral-small-latest", {"tool_choice": "required"}, {"tool_choice": "any"}, []),
    ("mistral", "mistral-small-latest", {"tool_choice": NamedTool(name="find")}, {"tool_choice": NAMED}, []),
    ("grok", "grok-4.3", {"tool_choice": "required"}, {"tool_choice": "required"}, []),
    ("qwen", "qwen-plus", {"tool_choice": "required"}, {"tool_choice": "required"}, []),
    (
        "qwen",
        "qwen3.8-flash",
        {"tool_choice": "required"},
        {"tool_choice": "required", "enable_thinking": False},
        [MAPPED],
    ),
    (
        "qwen",
        "qwen3.8-flash",
        {"tool_choice": "required", "reasoning_effort": "low"},
        {"tool_choice": "required", "enable_thinking": False},
        [MAPPED, DOWN],
    ),
    (
        "qwen",
        "qwen3.8-flash",
        {"tool_choice": "required", "extra": {"enable_thinking": True}},
        {"tool_choice": "auto", "enable_thinking": True},
        [("tool_choice", "downgraded")],
    ),
    ("deepseek", "deepseek-flash", {"tool_choice": NamedTool(name="find")}, {"tool_choice": NAMED, **OFF}, [MAPPED]),
    ("deepseek", "deepseek-flash", {"tool_choice": "none"}, {"tool_choice": "none"}, []),
    ("kimi", "kimi-k2.6", {"tool_choice": "required"}, {"tool_choice": "required", **OFF}, [MAPPED]),
    ("kimi", "kimi-k3", {"tool_choice": "required"}, {"tool_choice": "required"}, []),
    (
        "kimi",
        "kimi-k3",
        {"tool_choice": NamedTool(name="find")},
        {"tool_choice": "required"},
        [("tool_choice", "mapped")],
    ),
    (
        "kimi",
        "kimi-k3",
        {"tool_choice": NamedTool(name="find"), "tools": (FIND, PING)},
        {"tool_choice": "required"},
        [("tool_choice", "downgraded")],
    ),
    ("kimi", "kimi-k2.7-code", {"tool_choice": "required"}, {"tool_choice": "auto"}, [("tool_choice", "downgraded")]),
]


@pytest.mark.parametrize(("name", "model", "fields", "body", "changes"), FORCED)
def test_a_demand_for_a_tool_is_made_as_the_model_takes_it(
    name: str, model: str, fields: dict[str, Any], body: dict[str, Any], changes: list[tuple[str, str]]
) -> None:
    assert asked(name, model, **{"tools": (FIND,), **fields}) == (body, changes)


EVERYTHING: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "max_tokens": 50,
    "stop": ("END",),
    "seed": 7,
    "n": 2,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "parallel_tool_calls": False,
    "extra": {"user": "ann", "safe_prompt": True},
}
PLAIN = {**EVERYTHING, "stop": ["END"], "user": "ann", "safe_prompt": True}
del PLAIN["extra"]
PENALTIES = ("presence_penalty", "frequency_penalty")


def but(*names: str, **fields: Any) -> dict[str, Any]:
    return {name: value for name, value in {**PLAIN, **fields}.items() if name not in names}


LEFT: list[tuple[str, str, dict[str, Any], set[str]]] = [
    ("mistral", "mistral-small-latest", but("user", "seed", random_seed=7), {"user"}),
    ("grok", "grok-4.3", but(*PENALTIES, "stop"), {*PENALTIES, "stop"}),
    ("grok", "grok-4-fast-non-reasoning", PLAIN, set()),
    ("qwen", "qwen3.8-flash", PLAIN, set()),
    ("deepseek", "deepseek-chat", PLAIN, set()),
    ("kimi", "kimi-k3", but(*PENALTIES, "temperature", "top_p", "n"), {*PENALTIES, "temperature", "top_p", "n"}),
    ("kimi", "moonshot-v1-8k", PLAIN, set()),
]


@pytest.mark.parametrize(("name", "model", "body", "dropped"), LEFT)
def test_what_a_vendor_refuses_is_left_out_and_told(
    name: str, model: str, body: dict[str, Any], dropped: set[str]
) -> None:
    found, changes = asked(name, model, **EVERYTHING)
    assert found == body
    assert set(changes) == {(subject, "dropped") for subject in dropped}
    if dropped:
        with pytest.raises(UnsupportedParameter):
            asked(name, model, **EVERYTHING, strict=True)


THOUGHT = ReasoningPart(text="Hm.")
CALL = ToolCallPart(id="call_1", name="find", arguments="{}")
RESULT = Message(role="tool", parts=(ToolResultPart(tool_call_id="call_1", content="found"),))
WIRE_CALL = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
WIRE_RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "found"}


def history(name: str, *parts: Any, model: str = "kimi-k3") -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The wire form of an answer with a call under way, and the report."""
    messages = (*HELLO, Message(role="assistant", parts=(*parts, CALL)), RESULT)
    body, changes = compiled(name, ask(messages, model=model))
    return body["messages"][1], changes


@pytest.mark.parametrize(
    ("name", "model"), [("deepseek", "deepseek-flash"), ("kimi", "kimi-k3"), ("kimi", "kimi-k2.6")]
)
def test_thoughts_go_back_with_the_calls_that_follow_them(name: str, model: str) -> None:
    own = ReasoningPart(text="Hm.", provider_metadata={name: {"field": "reasoning_content"}})
    wanted = {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [WIRE_CALL]}
    assert history(name, own, model=model) == (wanted, [])
    assert history(name, THOUGHT, model=model) == (wanted, [])


@pytest.mark.parametrize(("name", "model"), [("deepseek", "deepseek-flash"), ("kimi", "kimi-k3")])
def test_a_blank_stands_for_thoughts_of_others(name: str, model: str) -> None:
    wire, changes = history(
        name, ReasoningPart(text="Hm.", provider_metadata={"anthropic": {"signature": "x"}}), model=model
    )
    assert wire["reasoning_content"] == " "
    assert changes == [("reasoning", "dropped"), ("reasoning", "mapped")]


def test_no_thoughts_are_needed_where_thinking_is_off() -> None:
    messages = (*HELLO, Message(role="assistant", parts=(CALL,)), RESULT)
    body, changes = compiled("deepseek", ask(messages, model="deepseek-flash", reasoning_effort="none"))
    assert "reasoning_content" not in body["messages"][1]
    assert changes == [MAPPED]


def test_mistral_gets_its_thoughts_back_in_the_content() -> None:
    wire, changes = history("mistral", THOUGHT, TextPart(text="Let me see."), model="magistral-medium-latest")
    (call,) = wire.pop("tool_calls")
    assert len(call["id"]) == 9
    assert wire == {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
            {"type": "text", "text": "Let me see."},
        ],
    }
    assert changes == []


def test_mistral_takes_documents_and_pictures_in_results() -> None:
    said = Message(
        role="user",
        parts=(
            FilePart(url="https://x.example/a.pdf", filename="a.pdf"),
            FilePart(data="JVBERg==", media_type="application/pdf"),
        ),
    )
    shown = ToolResultPart(
        tool_call_id="call_1", content=(TextPart(text="see"), ImagePart(url="https://x.example/y.png"))
    )
    messages = (said, Message(role="assistant", parts=(CALL,)), Message(role="tool", parts=(shown,)))
    body, changes = compiled("mistral", ask(messages, model="mistral-small-latest"))
    assert body["messages"][0]["content"] == [
        {"type": "document_url", "document_url": "https://x.example/a.pdf", "document_name": "a.pdf"},
        {"type": "document_url", "document_url": "data:application/pdf;base64,JVBERg=="},
    ]
    assert body["messages"][2]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "https://x.example/y.png"}},
    ]
    assert changes == []


def test_mistral_gets_roles_in_an_order_that_it_takes() -> None:
    messages = (
        text_message("system", "a"),
        *HELLO,
        text_message("assistant", "Hi."),
        text_message("system", "b"),
        text_message("system", "c"),
        text_message("user", "Go."),
        text_message("assistant", "Once"),
    )
    body, changes = compiled("mistral", ask(messages, model="mistral-small-latest"))
    assert [(each["role"], each["content"]) for each in body["messages"]] == [
        ("system", "a"),
        ("system", "b"),
        ("system", "c"),
        ("user", "Hello"),
        ("assistant", "Hi."),
        ("user", "Go."),
        ("assistant", "Once"),
    ]
    assert body["messages"][-1]["prefix"] is True
    assert changes == [("system", "mapped"), ("message", "mapped")]


def test_deepseek_is_told_the_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    form = ResponseFormat(type="json_schema", name="x", json_schema=schema)
    body, changes = compiled("deepseek", ask(model="deepseek-flash", response_format=form))
    assert body["response_format"] == {"type": "json_object"}
    assert '"properties": {"a": {"type": "string"}}' in body["messages"][0]["content"]
    assert changes == [("response_format", "downgraded")]
    with pytest.raises(UnsupportedParameter):
        compiled("deepseek", ask(model="deepseek-flash", response_format=form, strict=True))


@pytest.mark.parametrize("name", ["mistral", "grok", "qwen", "deepseek", "kimi"])
def test_a_call_that_was_cut_off_is_given_as_json(name: str) -> None:
    cut = ToolCallPart(id="call_2", name="find", arguments='{"q": "a')
    messages = (*HELLO, Message(role="assistant", parts=(cut,)))
    body, changes = compiled(name, ask(messages, model="x"))
    assert body["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"incomplete": "{\\"q\\": \\"a"}'
    assert changes.count(("tool_call", "mapped")) == 2, "the arguments, and the result that is missing"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_tokens_are_counted_once(connect: Any, stream: bool) -> None:
    counts = {}
    for name, vendor in VENDORS.items():
        async with vendor.strict() as server:
            answer = await folded(connect(vendor.provider, server.url), ask(model="x-1", stream=stream))
        counts[name] = answer.usage
        assert answer.usage is not None
    grok, deepseek = counts["grok"], counts["deepseek"]
    assert (grok.input_tokens, grok.cached_input_tokens, grok.output_tokens, grok.reasoning_tokens) == (8, 4, 3, 5)
    assert (deepseek.input_tokens, deepseek.cached_input_tokens) == (8, 4)
    assert (deepseek.output_tokens, deepseek.reasoning_tokens) == (1, 2)
    assert not stream or counts["kimi"].cached_input_tokens == 4


async def test_deepseek_that_has_no_room_is_asked_again(connect: Any) -> None:
    vendor = VENDORS["deepseek"]
    async with vendor.strict() as server:
        body = server.healthy("chat", {"model": "deepseek-flash"}, stream=False)
        body["choices"][0]["finish_reason"] = "insufficient_system_resource"
        server.answers.append(body)
        with pytest.raises(ProviderUnavailable) as failed:
            await folded(connect(vendor.provider, server.url), ask(model="deepseek-flash"))
    assert failed.value.retryable


async def test_an_account_without_money_is_not_asked_again(connect: Any) -> None:
    class Broke(StrictDeepSeek):
        def refusal(self, problems: Any) -> tuple[int, Any]:
            return 402, {"error": {"message": "Insufficient Balance", "type": "unknown_error", "code": "x"}}

    async with Broke() as server:
        with pytest.raises(ProviderQuotaExhausted) as failed:
            await folded(connect(VENDORS["deepseek"].provider, server.url), ask((), model="deepseek-flash"))
    assert not failed.value.retryable


@pytest.mark.parametrize("name", ["qwen", "deepseek", "kimi"])
async def test_the_report_comes_with_the_first_event(connect: Any, name: str) -> None:
    vendor = VENDORS[name]
    messages = (
        Message(role="user", parts=(TextPart(text="See"), FilePart(data="JVBERg==", media_type="application/pdf"))),
    )
    async with vendor.strict() as server:
        events = await events_of(connect(vendor.provider, server.url), ask(messages, model="x-1"))
    assert isinstance(events[0], Start)
    assert [(change.subject, change.action) for change in events[0].adjustments] == [("file", "dropped")]
