from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    ChatEvent,
    ChatResponse,
    Choice,
    Deadline,
    FilePart,
    Finish,
    ImagePart,
    Message,
    NativeEvent,
    NativeOnly,
    OpaquePart,
    Part,
    ReasoningDelta,
    ReasoningPart,
    RefusalDelta,
    RefusalPart,
    Start,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    Usage,
    UsageReport,
    WholePart,
)
from orchestrator_core.server.translate.openai_request import read_chat
from orchestrator_core.server.translate.openai_response import completion, message_object
from orchestrator_core.server.translate.openai_stream import ChunkWriter

SIGNED = {"acme": {"signature": "s"}}


def message(*parts: Part) -> dict[str, Any]:
    return message_object(Message(role="assistant", parts=parts))


def chunks(events: list[ChatEvent], *, include_usage: bool = False) -> list[Any]:
    writer = ChunkWriter(model="m", request_id="r", include_usage=include_usage)
    data = [chunk for event in events for chunk in writer.add(event)] + list(writer.end())
    assert data.count(b"[DONE]") == 1
    assert data.pop() == b"[DONE]"
    return [json.loads(chunk) for chunk in data]


def deltas(events: list[ChatEvent]) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(events)]


def test_content_is_null_beside_tool_calls_and_refusals() -> None:
    call = ToolCallPart(id="c", name="f", arguments="", provider_metadata=SIGNED)
    assert message(call) == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": SIGNED}
        ],
    }
    assert message(RefusalPart(text="no")) == {"role": "assistant", "content": None, "refusal": "no"}
    assert message(TextPart(text="a"), TextPart(text="b"))["content"] == "ab"
    assert message()["content"] == ""


def test_reasoning_media_and_opaque_parts() -> None:
    body = message(
        ReasoningPart(text="hm"),
        TextPart(text="a"),
        ImagePart(data="aGk=", media_type="image/webp"),
        FilePart(data="aGk=", filename="a.pdf", media_type="application/pdf"),
        OpaquePart(),
    )
    assert body["reasoning_content"] == "hm"
    assert "reasoning_details" not in body
    assert body["images"] == [{"type": "image_url", "index": 0, "image_url": {"url": "data:image/webp;base64,aGk="}}]
    assert body["files"][0]["file"] == {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}
    signed = message(ReasoningPart(text="hm", provider_metadata=SIGNED))
    assert signed["reasoning_details"] == [
        {"type": "reasoning.text", "index": 0, "text": "hm", "extra_content": SIGNED}
    ]


def test_usage_sums_the_buckets() -> None:
    used = Usage(1, 2, 4, 8, 16)
    body = completion(
        ChatResponse([Choice(0, Message(role="assistant", parts=()), "stop")], usage=used), model="m", request_id="r"
    )
    assert body["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 24,
        "total_tokens": 31,
        "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 16},
    }
    assert body["id"] == "chatcmpl-r"
    assert body["model"] == "m"


def test_unknown_usage_is_left_out() -> None:
    body = completion(ChatResponse([Choice(0, Message(role="assistant", parts=()))]), model="m", request_id="r")
    assert "usage" not in body


def test_a_stream_begins_with_the_role_and_ends_with_the_reason() -> None:
    events = [
        Start(id="i", model="n", created=5),
        TextDelta(text=""),
        TextDelta(text="a"),
        ReasoningDelta(text="hm"),
        RefusalDelta(text="no"),
        WholePart(part=ImagePart(url="https://a.test/b")),
        UsageReport(usage=Usage(1)),
        Finish(reason="length"),
    ]
    written = chunks(events)
    assert all((c["id"], c["model"], c["created"]) == ("i", "n", 5) for c in written)
    assert [c["choices"][0]["delta"] for c in written] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "a"},
        {"reasoning_content": "hm"},
        {"refusal": "no"},
        {"images": [{"type": "image_url", "index": 0, "image_url": {"url": "https://a.test/b"}}]},
        {},
    ]
    assert [c["choices"][0]["finish_reason"] for c in written] == [None] * 5 + ["length"]
    assert all("usage" not in c for c in written)


def test_usage_comes_last_and_only_where_it_was_asked_for() -> None:
    events = [Start(), UsageReport(usage=Usage(1, output_tokens=1)), TextDelta(text="a"), Finish()]
    events.append(UsageReport(usage=Usage(1, output_tokens=2)))
    written = chunks(events, include_usage=True)
    assert written[-1]["choices"] == []
    assert written[-1]["usage"]["completion_tokens"] == 2
    assert all(chunk["usage"] is None for chunk in written[:-1])


def test_tool_calls_begin_with_id_and_name_and_have_arguments() -> None:
    events = [
        Start(),
        ToolCallDelta(index=3, id="a", name="f", provider_metadata=SIGNED),
        ToolCallDelta(index=3, arguments="{"),
        ToolCallDelta(index=7, id="b", name="g"),
        ToolCallDelta(index=3, arguments="}"),
        Finish(reason="tool_calls"),
    ]
    assert deltas(events)[1:] == [
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "a",
                    "type": "function",
                    "function": {"arguments": "", "name": "f"},
                    "extra_content": SIGNED,
                }
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]},
        {"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"arguments": "", "name": "g"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
    ]


def test_calls_of_custom_tools_are_written_as_such() -> None:
    custom = {"openai": {"type": "custom"}}
    call = {"id": "a", "type": "custom", "custom": {"name": "f", "input": "raw"}, "extra_content": custom}
    part = ToolCallPart(id="a", name="f", arguments="raw", provider_metadata=custom)
    assert message(part)["tool_calls"] == [call]
    events = [
        ToolCallDelta(id="a", name="f", provider_metadata=custom),
        ToolCallDelta(arguments="ra"),
        ToolCallDelta(arguments="w"),
        Finish(reason="tool_calls"),
    ]
    begun = {"index": 0, **call, "custom": {"name": "f", "input": ""}}
    pieces = [{"index": 0, "custom": {"input": piece}} for piece in ("ra", "w")]
    assert [delta["tool_calls"] for delta in deltas(events) if "tool_calls" in delta] == [
        [begun],
        *([piece] for piece in pieces),
    ]


def test_half_a_surrogate_pair_breaks_nothing() -> None:
    assert deltas([Start(), TextDelta(text="\ud83d"), Finish()])[1] == {"content": "?"}


def test_alternatives_have_a_role_each() -> None:
    events = [Start(), TextDelta(1, text="b"), TextDelta(0, text="a"), Finish(0), Finish(1)]
    roles = [c["choices"][0]["index"] for c in chunks(events) if "role" in c["choices"][0]["delta"]]
    assert roles == [1, 0]


def native(data: bytes, event: ChatEvent) -> ChatEvent:
    event.native = NativeEvent(OPENAI_CHAT, data)
    return event


def relay(events: list[ChatEvent], *, include_usage: bool) -> list[bytes]:
    writer = ChunkWriter(model="m", request_id="r", include_usage=include_usage)
    return [chunk for event in events for chunk in writer.add(event)] + list(writer.end())


def test_native_events_go_through_as_they_came() -> None:
    first, second, usage = b'{"x": 1 }', b'{"choices":[{}],"usage":{}}', b'{"choices":[],"usage":{"a":1}}'
    events = [
        native(first, Start()),
        TextDelta(text="read from the first"),
        native(second, UsageReport(usage=Usage(1))),
        Finish(),
        native(usage, UsageReport(usage=Usage(2))),
        native(b'{"z":1}', NativeOnly()),
    ]
    assert relay(events, include_usage=True) == [first, second, usage, b'{"z":1}', b"[DONE]"]
    assert relay(events, include_usage=False) == [first, second, b'{"z":1}', b"[DONE]"]


def test_native_events_of_another_dialect_are_translated() -> None:
    event = TextDelta(text="a", native=NativeEvent("acme", b"raw"))
    assert deltas([Start(), event])[-1] == {"content": "a"}


pieces = st.text(min_size=1, max_size=5)
answers = st.lists(
    st.one_of(
        pieces.map(lambda text: TextDelta(text=text)),
        pieces.map(lambda text: ReasoningDelta(text=text)),
        pieces.map(lambda text: RefusalDelta(text=text)),
        st.integers(0, 3).map(lambda i: ToolCallDelta(index=i, id=f"c{i}", name=f"f{i}", arguments="{")),
    ),
    min_size=1,
    max_size=12,
)


@given(answers)
def test_stream_and_body_say_the_same(events: list[ChatEvent]) -> None:
    """Every answer reads the same from its chunks as from its body, and comes back as the same message."""
    whole = [Start(), *events, Finish()]
    fold = Fold()
    for event in whole:
        fold.add(event)
    body = completion(fold.response(), model="m", request_id="r")["choices"][0]["message"]
    text: dict[str, str] = {}
    calls: dict[int, str] = {}
    for delta in deltas(whole):
        for key in ("content", "reasoning_content", "refusal"):
            text[key] = text.get(key, "") + (delta.get(key) or "")
        for call in delta.get("tool_calls", ()):
            index = call["index"]
            calls[index] = calls.get(index, "") + call["function"]["arguments"]
    for key, value in text.items():
        assert value == (body.get(key) or "")
    assert [calls[index] for index in sorted(calls)] == [c["function"]["arguments"] for c in body.get("tool_calls", ())]
    back = read_chat({"messages": [body]}, deadline=Deadline.after(1)).messages[0]
    assert message_object(back) == body
