from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changed_values import changed
from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    ChatRequest,
    Deadline,
    FilePart,
    ImagePart,
    InvalidRequest,
    Message,
    NamedTool,
    OpaquePart,
    Part,
    ReasoningPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    text_message,
)
from orchestrator_core.server.translate.anthropic_request import read_message_request

USER = {"role": "user", "content": "hi"}
CACHED = {"cache_control": {"type": "ephemeral"}}
SCHEMA = {"type": "object", "properties": {}}


def read(**fields: Any) -> ChatRequest:
    return read_message_request({"messages": [USER], **fields}, deadline=Deadline.after(1))


def only(request: ChatRequest) -> list[str]:
    assert request.native_options is not None
    return list(request.native_options.only)


def parts(*blocks: Any, role: str = "user") -> tuple[Part, ...]:
    messages = read(messages=[{"role": role, "content": list(blocks)}]).messages
    return tuple(part for message in messages for part in message.parts)


def noted(**fields: Any) -> Any:
    return {ANTHROPIC_MESSAGES: fields}


def test_parameters() -> None:
    request = read(
        model="p/m",
        max_tokens=5,
        stop_sequences=["a"],
        temperature=0,
        top_p=0.5,
        top_k=7,
        stream=True,
        metadata={"user_id": "u"},
        enable_thinking=True,
        container=None,
    )
    assert (request.model, request.max_tokens, request.stop, request.stream) == ("p/m", 5, ("a",), True)
    assert (request.temperature, request.top_p) == (0, 0.5)
    assert request.extra == {"top_k": 7, "enable_thinking": True}
    assert only(request) == ["metadata"]


def test_system_prompts_of_both_forms() -> None:
    assert read(system="Be short.").messages[0] == text_message("system", "Be short.")
    blocks = read(system=[{"type": "text", "text": "a"}, {"type": "text", "text": "b", **CACHED}]).messages[0]
    assert blocks.role == "system"
    assert blocks.parts == (TextPart(text="a"), TextPart(text="b", provider_metadata=noted(**CACHED)))
    assert read(messages=[USER, {"role": "system", "content": "now"}]).messages[1].role == "system"


def test_images_and_documents_by_every_source() -> None:
    data = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    link = {"type": "url", "url": "https://a.test/b"}
    text = {"type": "text", "media_type": "text/plain", "data": "é"}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "aGk="}
    assert parts(
        {"type": "image", "source": data},
        {"type": "image", "source": link},
        {"type": "document", "source": pdf, "title": "t", "citations": {"enabled": True}},
        {"type": "document", "source": link},
        {"type": "document", "source": text},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {"type": "document", "source": {"type": "content", "content": "plain"}},
    ) == (
        ImagePart(data="aGk=", media_type="image/png"),
        ImagePart(url="https://a.test/b"),
        FilePart(
            data="aGk=",
            media_type="application/pdf",
            filename="t",
            provider_metadata=noted(citations={"enabled": True}),
        ),
        FilePart(url="https://a.test/b", media_type="application/pdf"),
        FilePart(data=base64.b64encode("é".encode()).decode(), media_type="text/plain"),
        FilePart(file_id="f"),
        TextPart(
            text="plain",
            provider_metadata=noted(
                block={"type": "document", "source": {"type": "content", "content": "plain"}},
            ),
        ),
    )


def test_a_search_result_is_text_for_others() -> None:
    block = {
        "type": "search_result",
        "source": "https://a.test",
        "title": "T",
        "content": [{"type": "text", "text": "found"}],
    }
    assert parts(block) == (TextPart(text="T\nhttps://a.test\nfound", provider_metadata=noted(block=block)),)


def test_what_no_part_can_say_stays_whole() -> None:
    call = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    image = {"type": "image", "source": {"type": "file", "file_id": "f"}}
    assert parts(call, found, image, role="assistant") == tuple(
        OpaquePart(provider_metadata=noted(block=block)) for block in (call, found, image)
    )


def test_thoughts_keep_their_signatures() -> None:
    read_parts = parts(
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "a", "citations": None},
        role="assistant",
    )
    assert read_parts == (
        ReasoningPart(text="hm", provider_metadata=noted(signature="s")),
        ReasoningPart(provider_metadata=noted(redacted="d")),
        TextPart(text="a"),
    )


def test_calls_and_results() -> None:
    call = {"type": "tool_use", "id": "c", "name": "f", "input": {"a": "é"}, "caller": {"type": "direct"}}
    picture = {"type": "image", "source": {"type": "url", "url": "u"}}
    results = [
        {"type": "tool_result", "tool_use_id": "c", "content": "x", "is_error": True},
        {"type": "tool_result", "tool_use_id": "d", "content": [{"type": "text", "text": "y"}], **CACHED},
        {"type": "tool_result", "tool_use_id": "e", "content": [{"type": "text", "text": "z"}, picture]},
        {"type": "tool_result", "tool_use_id": "g"},
    ]
    messages = read(
        messages=[
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [*results, {"type": "text", "text": "Go on."}]},
        ]
    ).messages
    direct = noted(caller={"type": "direct"})
    assert messages == [
        Message(
            role="assistant",
            parts=(ToolCallPart(id="c", name="f", arguments='{"a":"é"}', provider_metadata=direct),),
        ),
        Message(
            role="tool",
            parts=(
                ToolResultPart(tool_call_id="c", content="x", is_error=True),
                ToolResultPart(tool_call_id="d", content="y", provider_metadata=noted(**CACHED)),
                ToolResultPart(tool_call_id="e", content=(TextPart(text="z"), ImagePart(url="u"))),
                ToolResultPart(tool_call_id="g", content=""),
            ),
        ),
        text_message("user", "Go on."),
    ]


def test_a_result_that_refers_to_a_tool() -> None:
    reference = {"type": "tool_reference", "tool_name": "refund"}
    (result,) = parts({"type": "tool_result", "tool_use_id": "c", "content": [reference]})
    assert isinstance(result, ToolResultPart)
    said = result.content[0]
    assert isinstance(said, TextPart)
    assert "refund" in said.text
    assert said.provider_metadata == noted(block=reference)


def test_tools() -> None:
    request = read(
        tools=[
            {"name": "f", "description": "d", "input_schema": SCHEMA, "strict": True, **CACHED},
            {"type": "custom", "name": "g", "input_schema": SCHEMA},
            {"type": "web_search_20250305", "name": "web_search"},
            {"type": "mcp_toolset", "mcp_server_name": "s"},
        ]
    )
    assert request.tools == [
        Tool(name="f", description="d", parameters=SCHEMA, strict=True, provider_metadata=noted(**CACHED)),
        Tool(name="g", parameters=SCHEMA),
    ]
    assert only(request) == ["cache_control", "tools.web_search", "tools.mcp_toolset"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, (None, None)),
        ({"type": "auto"}, ("auto", None)),
        ({"type": "any", "disable_parallel_tool_use": True}, ("required", False)),
        ({"type": "auto", "disable_parallel_tool_use": False}, ("auto", None)),
        ({"type": "none"}, ("none", None)),
        ({"type": "tool", "name": "f"}, (NamedTool(name="f"), None)),
    ],
)
def test_the_choice_of_tools(choice: Any, expected: Any) -> None:
    request = read(tool_choice=choice)
    assert (request.tool_choice, request.parallel_tool_calls) == expected


@pytest.mark.parametrize("field", ["output_config", "output_format"])
def test_the_form_of_the_answer(field: str) -> None:
    form = {"type": "json_schema", "schema": SCHEMA}
    request = read(**{field: {"format": form} if field == "output_config" else form})
    assert request.response_format == ResponseFormat(type="json_schema", json_schema=SCHEMA)


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 16384}}, "high"),
        ({"output_config": {"effort": "medium"}, "thinking": {"type": "adaptive"}}, "medium"),
        ({"output_config": {"effort": "max"}}, "max"),
        ({"output_config": {"effort": "xhigh"}}, "xhigh"),
    ],
)
def test_how_much_to_think(fields: Any, effort: str | None) -> None:
    assert read(**fields).reasoning_effort == effort


@pytest.mark.parametrize(
    ("fields", "budget"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 3000}}, 3000),
        ({"thinking": {"type": "enabled", "budget_tokens": 3000}, "output_config": {"effort": "max"}}, 3000),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "disabled"}}, None),
        ({}, None),
    ],
)
def test_a_budget_of_thought_stays_a_number(fields: Any, budget: int | None) -> None:
    assert read(**fields).reasoning_budget == budget


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "tool_use", "id": "functions.f:0", "name": "f", "input": {}},
        {"type": "tool_use", "id": "c", "name": "f", "input": {}, "extra_content": {"acme": {"a": 1}}},
    ],
)
def test_traces_of_other_providers_rule_out_the_body_as_it_is(block: Any) -> None:
    moved = read(messages=[USER, {"role": "assistant", "content": [block]}])
    assert moved.native is None
    assert moved.native_options is not None
    assert read().native == read().native_options


@pytest.mark.parametrize("data", ["orchestrator.", "orchestrator.e30=", "orchestrator.WzEsMl0=", "orchestrator.é"])
def test_an_opaque_text_that_was_changed_is_refused(data: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parts({"type": "redacted_thinking", "data": data}, role="assistant")
    assert caught.value.param == "messages.0.content.0.data"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "source", "content", "name", "id", "input"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
FIELDS = [
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "stop_sequences",
    "stream",
]
KINDS = [
    "text",
    "image",
    "document",
    "search_result",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "tool_result",
    "new",
]
BLOCK_FIELDS = ["text", "source", "content", "thinking", "signature", "data", "id", "name", "input", "extra_content"]


@given(st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_any_body_is_read_or_refused(body: dict[str, Any]) -> None:
    try:
        place = "messages" if read_message_request(body, deadline=Deadline.after(1)).messages else None
    except InvalidRequest as error:
        place = error.param
    assert place


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(BLOCK_FIELDS), json_values))
def test_any_block_is_read_or_refused(kind: str, block: dict[str, Any]) -> None:
    try:
        place = "messages.0" if parts({**block, "type": kind}) is not None else ""
    except InvalidRequest as error:
        place = error.param or ""
    assert place.startswith("messages.0")


WELL_FORMED: list[dict[str, Any]] = [
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "a"}], "is_error": False},
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            {"type": "image", "source": {"type": "base64", "data": "aGk=", "media_type": "image/png"}},
        ],
    },
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "a", "signature": "Eqb"},
            {"type": "redacted_thinking", "data": "Eqb"},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"b": "c"}},
        ],
    },
]
"""Messages that are read when somebody asks for them."""
LAST: dict[str, Any] = {"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "a"}}]}
"""A message of a kind that has all that are with it read at once."""


def outcome(*messages: dict[str, Any], without: int, **fields: Any) -> Any:
    """Return what is read of a message and of what is beside it, or how it is refused."""
    try:
        request = read(messages=list(messages), **fields)
    except InvalidRequest as error:
        return error.param, error.message
    return request.messages[: len(request.messages) - without], only(request), request.native is None


@given(changed(WELL_FORMED, ["extra_content", "citations", "context"], ["", "a b", "orchestrator.x", {"openai": {}}]))
def test_messages_that_are_read_late_can_be_read_and_are_the_same(message: dict[str, Any]) -> None:
    assert outcome(message, without=0) == outcome(message, LAST, without=1)
    if message.get("role") == "user":
        system = {"system": message.get("content")}
        assert outcome(USER, without=1, **system) == outcome(USER, LAST, without=2, **system)
