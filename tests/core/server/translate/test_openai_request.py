from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changed_values import JSON_VALUES, changed
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    ChatRequest,
    Deadline,
    FilePart,
    ImagePart,
    InvalidRequest,
    NamedTool,
    OpaquePart,
    ReasoningPart,
    RefusalPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)
from orchestrator_core.server.translate.openai_request import read_chat, wants_usage

USER = {"role": "user", "content": "hi"}


def read(**body: Any) -> ChatRequest:
    return read_chat({"messages": [USER], **body}, deadline=Deadline.after(10))


def parts(message: dict[str, Any]) -> tuple[Any, ...]:
    return read(messages=[message]).messages[0].parts


def content(*items: dict[str, Any]) -> tuple[Any, ...]:
    return parts({"role": "user", "content": list(items)})


@pytest.mark.parametrize(
    ("role", "canonical"), [("system", "system"), ("developer", "system"), ("user", "user"), ("assistant", "assistant")]
)
def test_roles(role: str, canonical: str) -> None:
    message = read(messages=[{"role": role, "content": "text", "name": "ann"}]).messages[0]
    assert message.role == canonical
    assert message.parts == (TextPart(text="text"),)
    assert message.name == "ann"


@pytest.mark.parametrize(
    ("item", "part"),
    [
        ({"type": "text", "text": "a"}, TextPart(text="a")),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}},
            ImagePart(data="aGk=", media_type="image/png", detail="low"),
        ),
        ({"type": "image_url", "image_url": "https://a.test/b.png"}, ImagePart(url="https://a.test/b.png")),
        ({"type": "image_url", "image_url": {"url": "data:,raw"}}, ImagePart(url="data:,raw")),
        (
            {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
            FilePart(data="aGk=", media_type="audio/mpeg"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "https://a.test/b", "format": "wav"}},
            FilePart(url="https://a.test/b", media_type="audio/wav"),
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}},
            FilePart(data="aGk=", media_type="application/pdf", filename="a.pdf"),
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "aGk="}},
            FilePart(data="aGk=", media_type="application/pdf", filename="a.pdf"),
        ),
        ({"type": "file", "file": {"file_id": "file-1"}}, FilePart(file_id="file-1")),
        ({"type": "refusal", "refusal": "no"}, RefusalPart(text="no")),
        (
            {"type": "thinking", "thinking": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            ReasoningPart(text="ab"),
        ),
        (
            {"type": "document_url", "document_url": "https://a.test/b.pdf", "document_name": "b"},
            FilePart(url="https://a.test/b.pdf", media_type="application/pdf", filename="b"),
        ),
        (
            {"type": "video_url", "video_url": {"url": "https://a.test/b.mp4?c=d"}},
            FilePart(url="https://a.test/b.mp4?c=d", media_type="video/mp4"),
        ),
        (
            {"type": "next_year", "what": 1},
            OpaquePart(provider_metadata={OPENAI_CHAT: {"part": {"type": "next_year", "what": 1}}}),
        ),
        (
            {"type": "text", "text": "a", "extra_content": {"acme": {"mark": 1}}},
            TextPart(text="a", provider_metadata={"acme": {"mark": 1}}),
        ),
    ],
)
def test_parts(item: dict[str, Any], part: object) -> None:
    assert content(item) == (part,)


def test_assistant() -> None:
    message = {
        "role": "assistant",
        "content": None,
        "reasoning_content": "hm",
        "refusal": "no",
        "audio": {"id": "audio_1"},
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "f", "arguments": '{"a":1}'},
                "extra_content": {"acme": {"signature": "s"}},
            },
            {"id": "c2", "function": {"name": "g", "arguments": {"b": 2}}},
            {"id": "c3", "type": "custom", "custom": {"name": "h", "input": "raw"}},
        ],
    }
    assert parts(message) == (
        ReasoningPart(text="hm"),
        RefusalPart(text="no"),
        OpaquePart(provider_metadata={OPENAI_CHAT: {"audio": {"id": "audio_1"}}}),
        ToolCallPart(id="c1", name="f", arguments='{"a":1}', provider_metadata={"acme": {"signature": "s"}}),
        ToolCallPart(id="c2", name="g", arguments='{"b":2}'),
        ToolCallPart(id="c3", name="h", arguments="raw", provider_metadata={OPENAI_CHAT: {"type": "custom"}}),
    )


def test_reasoning_details_win_over_the_text() -> None:
    details = [{"type": "reasoning.text", "text": "hm", "extra_content": {"acme": {"signature": "s"}}}]
    message = {"role": "assistant", "content": "a", "reasoning_content": "hm", "reasoning_details": details}
    assert parts(message) == (
        ReasoningPart(text="hm", provider_metadata={"acme": {"signature": "s"}}),
        TextPart(text="a"),
    )


def test_tool_results() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}
    messages = [
        {"role": "tool", "tool_call_id": "c1", "content": "text"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "one"}], "name": "f"},
        {"role": "tool", "tool_call_id": "c3", "content": [{"type": "text", "text": "see"}, image]},
    ]
    assert [message.parts for message in read(messages=messages).messages] == [
        (ToolResultPart(tool_call_id="c1", content="text"),),
        (ToolResultPart(tool_call_id="c2", content="one", name="f"),),
        (ToolResultPart(tool_call_id="c3", content=(TextPart(text="see"), ImagePart(url="https://a.test/b.png"))),),
    ]


def test_retired_functions_are_paired() -> None:
    call = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    result = {"role": "function", "name": "f", "content": "r"}
    messages = read(messages=[USER, call, result, call, result]).messages
    ids = [message.tool_calls[0].id for message in messages if message.role == "assistant"]
    assert len(set(ids)) == 2
    assert [message.parts[0] for message in messages if message.role == "tool"] == [
        ToolResultPart(tool_call_id=call_id, content="r", name="f") for call_id in ids
    ]
    request = read(functions=[{"name": "f", "parameters": {"type": "object"}}], function_call={"name": "f"})
    assert request.tools == [Tool(name="f", parameters={"type": "object"})]
    assert request.tool_choice == NamedTool(name="f")


def test_parameters() -> None:
    body = {
        "model": "acme/m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
        "top_p": 0.5,
        "max_tokens": 7,
        "max_completion_tokens": 7,
        "stop": "END",
        "seed": 1,
        "n": 2,
        "presence_penalty": 0.1,
        "frequency_penalty": -0.1,
        "reasoning_effort": "low",
        "parallel_tool_calls": False,
        "user": "ann",
        "safe_prompt": True,
        "logit_bias": None,
    }
    request = read(**body)
    assert (request.model, request.stream, request.max_tokens, request.stop) == ("acme/m", True, 7, ("END",))
    assert (request.temperature, request.top_p, request.seed, request.n) == (0, 0.5, 1, 2)
    assert (request.presence_penalty, request.frequency_penalty) == (0.1, -0.1)
    assert (request.reasoning_effort, request.parallel_tool_calls) == ("low", False)
    assert request.extra == {"user": "ann", "safe_prompt": True}
    assert request.native is not None
    assert request.native.body == {"messages": [USER], **body}
    assert wants_usage(body)
    assert not wants_usage({})
    assert read(stop=["a", "b"]).stop == ("a", "b")
    assert read(max_tokens=5).max_tokens == 5


def test_nothing_is_set_that_was_not_sent() -> None:
    assert (
        read() == ChatRequest(model="", messages=read().messages, deadline=read().deadline, native=read().native)
        or read().extra == {}
    )
    request = read()
    names = ("temperature", "max_tokens", "stop", "n", "tool_choice", "response_format", "seed")
    assert {getattr(request, name) for name in names} == {None}
    assert request.extra == {}


@pytest.mark.parametrize(
    ("choice", "canonical"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("any", "required"),
        ({"type": "function", "function": {"name": "f"}}, NamedTool(name="f")),
        (None, None),
    ],
)
def test_tool_choice(choice: Any, canonical: Any) -> None:
    request = read(tool_choice=choice)
    assert request.tool_choice == canonical
    assert "tool_choice" not in request.extra


def test_a_tool_without_a_type_is_a_function() -> None:
    assert read(tools=[{"function": {"name": "f"}}]).tools == [Tool(name="f")]


def test_what_only_openai_has_stays_in_extra() -> None:
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}
    custom = {"type": "custom", "custom": {"name": "h"}}
    grammar = {"type": "grammar", "grammar": "x"}
    function = {"type": "function", "function": {"name": "f", "strict": True, "description": "d"}}
    request = read(tools=[function, custom], tool_choice=allowed, response_format=grammar)
    assert request.tools == [Tool(name="f", strict=True, description="d")]
    assert request.tool_choice == "required"
    assert request.response_format is None
    assert request.extra == {"tools": [custom], "tool_choice": allowed, "response_format": grammar}


@pytest.mark.parametrize(
    ("form", "canonical"),
    [
        ({"type": "text"}, ResponseFormat(type="text")),
        ({"type": "json_object"}, ResponseFormat(type="json_object")),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True}},
            ResponseFormat(type="json_schema", name="a", json_schema={"type": "object"}, strict=True),
        ),
    ],
)
def test_response_format(form: Any, canonical: ResponseFormat) -> None:
    assert read(response_format=form).response_format == canonical


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages.0"),
        ({"messages": [{"content": "hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages.0.role"),
        ({"messages": [USER, {"role": "user"}]}, "messages.1.content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages.0.content.0.type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "messages.0.content.0.file"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages.0.tool_call_id"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": ""}]}]}, "messages.0.tool_calls.0.id"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "function": {}}]}]},
            "messages.0.tool_calls.0.function.name",
        ),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"seed": True}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a", 5]}, "stop.1"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"tools": [{"type": "function", "function": {"name": 1}}]}, "tools.0.function.name"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"model": 5}, "model"),
    ],
)
def test_refusals_name_the_place(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**body)
    assert caught.value.param == param
    assert param in caught.value.message


FIELDS = [
    "model",
    "messages",
    "stream",
    "tools",
    "tool_choice",
    "response_format",
    "stop",
    "seed",
    "n",
    "functions",
    "function_call",
    "stream_options",
]
MESSAGE_FIELDS = [
    "role",
    "content",
    "name",
    "tool_calls",
    "tool_call_id",
    "function_call",
    "audio",
    "refusal",
    "reasoning_details",
]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES))
def test_any_body_is_read_or_refused(body: dict[str, Any]) -> None:
    try:
        wants_usage(body)
        request = read_chat(body, deadline=Deadline.after(1))
    except InvalidRequest as error:
        place = error.param
    else:
        place = "none" if request.messages else None
    assert place


@given(
    st.sampled_from(["system", "user", "assistant", "tool", "function"]),
    st.dictionaries(st.sampled_from(MESSAGE_FIELDS[1:]), JSON_VALUES),
)
def test_any_message_is_read_or_refused(role: str, message: dict[str, Any]) -> None:
    try:
        read(messages=[{**message, "role": role}])
        place = "messages.0"
    except InvalidRequest as error:
        place = error.param or ""
    assert place.startswith("messages.0")


@given(st.one_of(st.sampled_from(["user", "assistant"]), JSON_VALUES), JSON_VALUES)
def test_any_role_and_content_are_read_or_refused(role: Any, content: Any) -> None:
    try:
        read(messages=[{"role": role, "content": content}])
        place = "messages.0"
    except InvalidRequest as error:
        place = error.param or ""
    assert place.startswith("messages.0")


WELL_FORMED: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "text", "text": "a"}]},
    {"role": "developer", "content": [{"type": "image_url", "image_url": {"url": "https://a.test/b"}}], "name": "x"},
    {
        "role": "assistant",
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "assistant", "content": "a", "refusal": None, "annotations": [], "reasoning_content": "b"},
    {"role": "tool", "tool_call_id": "a", "content": "b"},
]
"""Messages that are read when somebody asks for them."""
LAST: dict[str, Any] = {"role": "function", "name": "f", "content": "b"}
"""A message of a kind that has all that are with it read at once."""


MORE = ["extra_content", "reasoning_details", "images", "function_call", "name", "type", "strict"]
ODD = ["", "custom", "web", {"openai": {}}, {"orchestrator": {}}]


def outcome(**body: Any) -> Any:
    """Return what is read of the first message and of the tools, or how it is refused."""
    try:
        request = read(**body)
    except InvalidRequest as error:
        return error.param, error.message
    return request.messages[0], list(request.tools), request.extra, request.native is None


@given(changed(WELL_FORMED, MORE, ODD))
def test_messages_that_are_read_late_can_be_read_and_are_the_same(message: dict[str, Any]) -> None:
    assert outcome(messages=[message]) == outcome(messages=[message, LAST])


TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {}, "strict": True, "x": 1}}


@given(changed([TOOL], MORE, ODD))
def test_tools_that_are_read_late_can_be_read_and_are_the_same(tool: dict[str, Any]) -> None:
    assert outcome(tools=[tool]) == outcome(tools=[tool], functions=[])


def test_fields_of_parts_tools_and_results_that_the_dialect_does_not_have_are_noted() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    tool = {"type": "function", "function": {"name": "f"}, **mark}
    user = {"role": "user", "content": [{"type": "text", "text": "x", "extra_content": {"a": {"b": 1}}, **mark}]}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "c", "content": "y", **mark}
    said = {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "z", "closed": True}],
        "tool_calls": [call],
    }
    read = read_chat({"model": "m", "messages": [user, said, result], "tools": [tool]}, deadline=Deadline.after(1))
    assert read.tools[0].provider_metadata == {OPENAI_CHAT: mark}
    assert read.messages[0].parts[0].provider_metadata == {"a": {"b": 1}, OPENAI_CHAT: mark}
    assert read.messages[1].parts[0].provider_metadata is None
    assert read.messages[2].parts[0].provider_metadata == {OPENAI_CHAT: mark}
