"""Every vendor of the family takes what its plugin compiles, judged by a server that refuses what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_upstreams.openai_calls import ask, folded
from family import VENDORS, Vendor
from orchestrator_core.openai_compatible import OpenAICompatibleProvider
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    AdjustmentReport,
    Deadline,
    EmbeddingRequest,
    FilePart,
    ImagePart,
    Message,
    NamedTool,
    NativeRequest,
    NotSupported,
    OpaquePart,
    ProviderContext,
    ProviderSettings,
    ReasoningPart,
    RefusalPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    UpstreamClient,
    text_message,
)

FIND = Tool(name="find", description="Finds.", parameters={"type": "object", "properties": {"q": {"type": "string"}}})
PING = Tool(name="ping")
SCHEMA = ResponseFormat(type="json_schema", name="x", json_schema={"type": "object", "properties": {}}, strict=True)
DOT = "iVBORw0KGgo="


def call(id_: str, arguments: str = '{"q": "a"}', name: str = "find") -> ToolCallPart:
    return ToolCallPart(id=id_, name=name, arguments=arguments)


def result(id_: str, content: Any = "found", *, error: bool = False) -> Message:
    return Message(role="tool", parts=(ToolResultPart(tool_call_id=id_, content=content, is_error=error),))


def assistant(*parts: Any) -> Message:
    return Message(role="assistant", parts=parts)


ELSEWHERE = ReasoningPart(text="Hm.", provider_metadata={"anthropic": {"signature": "s"}})
CONVERSATION = (
    text_message("system", "Be brief."),
    Message(role="user", name="ann", parts=(TextPart(text="Look:"), ImagePart(data=DOT, media_type="image/png"))),
    assistant(ELSEWHERE, TextPart(text="Looking."), call("toolu_01AbCdEfGhIjKlMnOpQr"), call("functions.find:0")),
    result("toolu_01AbCdEfGhIjKlMnOpQr"),
    result("functions.find:0", (TextPart(text="see"), ImagePart(url="https://x.example/y.png")), error=True),
    assistant(TextPart(text="Found."), OpaquePart(provider_metadata={"gemini": {"x": 1}})),
    text_message("user", "Go on."),
    assistant(RefusalPart(text="I will not.")),
    Message(role="user", parts=(FilePart(data=DOT, media_type="application/pdf", filename="a.pdf"),)),
    assistant(),
    text_message("system", "Be kind."),
    text_message("user", "And now?"),
    assistant(call("call_cut", '{"q": "a'), call("call_lost", "", "ping")),
    result("call_cut"),
)
PLAIN = (text_message("user", "Hello"),)


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    return VENDORS[request.param]


MODELS = {
    "openai": ["gpt-5.6-luna", "gpt-4o", "gpt-5"],
    "mistral": ["mistral-small-latest", "magistral-medium-latest"],
    "grok": ["grok-4.7", "grok-4.3", "grok-3-mini", "grok-code-fast-1", "grok-4-fast-non-reasoning"],
    "qwen": ["qwen3.8-flash", "qwen3.7-plus", "qwen-plus", "qwq-plus"],
    "deepseek": ["deepseek-flash", "deepseek-v4-pro", "deepseek-chat"],
    "kimi": ["kimi-k3", "kimi-k2.6", "kimi-k2.7-code", "kimi-k2-thinking", "kimi-k2-turbo-preview"],
}
EVERY_MODEL = [(name, model) for name, models in MODELS.items() for model in models]

REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "streamed": {"stream": True},
    "everything": {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 50,
        "stop": ("END",),
        "seed": 7,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.5,
        "parallel_tool_calls": False,
        "tools": (FIND, PING),
    },
    "required": {"tools": (FIND, PING), "tool_choice": "required"},
    "named": {"tools": (FIND, PING), "tool_choice": NamedTool(name="find")},
    "named, thinking": {"tools": (FIND,), "tool_choice": NamedTool(name="find"), "reasoning_effort": "high"},
    "schema": {"response_format": SCHEMA},
    **{
        f"effort {effort}": {"reasoning_effort": effort, "tools": (FIND,)}
        for effort in ("none", "minimal", "low", "medium", "high", "xhigh")
    },
}


@pytest.mark.parametrize(("name", "model"), EVERY_MODEL)
@pytest.mark.parametrize("messages", [PLAIN, CONVERSATION], ids=["hello", "conversation"])
async def test_a_canonical_request_is_taken(connect: Any, name: str, model: str, messages: tuple[Message, ...]) -> None:
    async with VENDORS[name].strict() as server:
        provider = connect(VENDORS[name].provider, server.url)
        for fields in REQUESTS.values():
            answer = await folded(provider, ask(messages, model=model, **fields))
            assert server.asked[-1].problems == []
            assert answer.message.text == "Done."
            assert answer.usage is not None
            assert answer.usage.total == (20 if name == "grok" else 15)
    assert len(server.asked) == len(REQUESTS)


@pytest.mark.parametrize("asked", ["plain", "streamed"])
async def test_what_a_client_of_openai_says_is_taken(connect: Any, vendor: Vendor, asked: str) -> None:
    body = {
        "model": "x/y",
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Find."},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "found"},
        ],
        "max_completion_tokens": 50,
        "tools": [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "find"}},
        "stream": asked == "streamed",
    }
    messages = (
        text_message("system", "Be brief."),
        text_message("user", "Find."),
        assistant(call("call_1", "{}")),
        result("call_1"),
    )
    async with vendor.strict() as server:
        provider = connect(vendor.provider, server.url)
        request = ask(
            messages,
            model=vendor.provider.info.default_model or "",
            stream=asked == "streamed",
            tools=(FIND,),
            tool_choice=NamedTool(name="find"),
            max_tokens=50,
            native=NativeRequest(OPENAI_CHAT, body),
        )
        answer = await folded(provider, request)
    assert answer.message.text == "Done."
    assert body["messages"][0]["role"] == "developer", "the client's own body is not changed"
    assert "reasoning_content" not in body["messages"][2]


async def test_embeddings_are_asked_in_as_many_calls_as_the_vendor_takes(connect: Any, vendor: Vendor) -> None:
    request = EmbeddingRequest(
        model=vendor.provider.info.default_embedding_model or "x",
        input=[str(number) for number in range(23)],
        deadline=Deadline.after(5),
        dimensions=2,
        extra={"user": "ann"},
    )
    async with vendor.strict() as server:
        provider = connect(vendor.provider, server.url)
        if "embeddings" not in vendor.provider.info.capabilities:
            with pytest.raises(NotSupported):
                await provider.embed(request=request)
            assert not server.asked
            return
        response = await provider.embed(request=request)
    assert len(response.vectors) == 23
    assert all(asked.problems == [] for asked in server.asked)
    assert len(server.asked) == (3 if vendor.provider.info.name == "qwen" else 1)


parts_said = st.lists(
    st.one_of(
        st.builds(TextPart, text=st.sampled_from(["", "a"])),
        st.builds(RefusalPart, text=st.just("no")),
        st.builds(
            ReasoningPart,
            text=st.sampled_from(["", "hm"]),
            provider_metadata=st.sampled_from([None, {"other": {"x": 1}}]),
        ),
        st.builds(
            call,
            st.sampled_from(["call_1", "b", "functions.find:0", "é"]),
            st.sampled_from(["", "{}", '{"q"', '{"q": 1}']),
        ),
        st.just(OpaquePart()),
    ),
    max_size=4,
    unique_by=lambda part: getattr(part, "id", id(part)),
).map(lambda parts: assistant(*parts))
parts_asked = st.lists(
    st.one_of(
        st.builds(TextPart, text=st.just("a")),
        st.just(ImagePart(data=DOT, media_type="image/png")),
        st.just(FilePart(data=DOT, media_type="audio/mpeg")),
        st.just(FilePart(url="https://x.example/a.pdf")),
        st.just(FilePart(data=DOT, media_type="video/mp4")),
    ),
    min_size=1,
    max_size=3,
).map(lambda parts: Message(role="user", parts=tuple(parts)))
said = st.one_of(
    parts_said,
    parts_asked,
    st.sampled_from(["call_1", "b", "nobody"]).map(result),
    st.sampled_from([text_message("system", "s"), text_message("user", "u")]),
)
choices = st.sampled_from([None, "auto", "none", "required", NamedTool(name="find")])
efforts = st.sampled_from([None, "none", "minimal", "low", "medium", "high", "xhigh"])


def offline(kind: type[OpenAICompatibleProvider]) -> OpenAICompatibleProvider:
    """A provider that is only asked to compile."""
    client: Any = None
    typed: UpstreamClient = client
    return kind(ProviderContext(kind.info.name, ProviderSettings(), typed))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=st.lists(said, max_size=6), choice=choices, effort=efforts, index=st.integers(0, len(EVERY_MODEL) - 1))
def test_any_conversation_breaks_no_rule(history: list[Message], choice: Any, effort: Any, index: int) -> None:
    name, model = EVERY_MODEL[index]
    request = ask(
        (*history, text_message("user", "Now?")),
        model=model,
        tools=(FIND, PING),
        tool_choice=choice,
        reasoning_effort=effort,
    )
    body = offline(VENDORS[name].provider).compile(request, AdjustmentReport(strict=False))
    assert [p for rule in VENDORS[name].strict.rules for p in rule.check(body, {})] == []
