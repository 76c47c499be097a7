from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    ChatEvent,
    ChatResponse,
    Choice,
    Deadline,
    FilePart,
    Finish,
    FinishReason,
    ImagePart,
    Message,
    NativeEvent,
    OpaquePart,
    Part,
    ReasoningDelta,
    RefusalDelta,
    ServerSentEvent,
    Start,
    TextDelta,
    TextPart,
    ToolCallDelta,
    Usage,
    UsageReport,
    WholePart,
)
from orchestrator_core.server.translate.anthropic_request import read_message_request
from orchestrator_core.server.translate.anthropic_response import message_body
from orchestrator_core.server.translate.anthropic_stream import MessageWriter

NOTES = {"acme": {"signature": "s"}}


def whole(*events: ChatEvent) -> dict[str, Any]:
    fold = Fold()
    for event in events:
        fold.add(event)
    return message_body(fold.response(), model="m", request_id="r")


def written(*events: ChatEvent) -> list[ServerSentEvent]:
    writer = MessageWriter(model="m", request_id="r")
    return [each for event in events for each in writer.add(event)] + list(writer.end())


def streamed(*events: ChatEvent) -> list[Any]:
    return [json.loads(each.data) for each in written(*events)]


def accumulate(events: Sequence[Any]) -> dict[str, Any]:
    """Put a stream together, as its documentation says, and check its order on the way."""
    message = dict(events[0]["message"])
    content: list[dict[str, Any]] = []
    inputs: dict[int, str] = {}
    stopped: set[int] = set()
    for event in events[1:-2]:
        if event["type"] == "content_block_start":
            assert event["index"] == len(content)
            content.append(dict(event["content_block"]))
        elif event["type"] == "content_block_stop":
            assert event["index"] not in stopped
            stopped.add(event["index"])
        elif event["type"] == "content_block_delta":
            assert event["index"] not in stopped
            block, delta = content[event["index"]], event["delta"]
            match delta["type"]:
                case "text_delta":
                    block["text"] += delta["text"]
                case "thinking_delta":
                    block["thinking"] += delta["thinking"]
                case "signature_delta":
                    assert not block["signature"]
                    block["signature"] = delta["signature"]
                case "input_json_delta":
                    inputs[event["index"]] = inputs.get(event["index"], "") + delta["partial_json"]
    assert stopped == set(range(len(content)))
    for index, text in inputs.items():
        content[index]["input"] = json.loads(text or "{}")
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    return {**message, **events[-2]["delta"], "content": content, "usage": events[-2]["usage"]}


def read_back(message: dict[str, Any]) -> tuple[Part, ...]:
    body = {"messages": [{"role": "assistant", "content": message["content"]}]}
    return read_message_request(body, deadline=Deadline.after(1)).messages[0].parts


def both(*events: ChatEvent) -> list[Any]:
    """The blocks of an answer, which its stream has too."""
    body, stream = whole(*events), accumulate(streamed(*events))
    assert {**stream, "content": None} == {**body, "content": None}
    assert read_back(stream) == read_back(body)
    content: list[Any] = body["content"]
    return content


def test_media_and_opaque_parts() -> None:
    content = both(
        Start(),
        WholePart(part=ImagePart(data="aGk=")),
        WholePart(part=FilePart(url="https://a.test/b.pdf", filename="b.pdf")),
        WholePart(part=OpaquePart(provider_metadata=NOTES)),
        WholePart(part=OpaquePart(provider_metadata={ANTHROPIC_MESSAGES: {"block": {"type": "new", "a": 1}}})),
        Finish(),
    )
    assert content[0] == {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    assert content[1]["title"] == "b.pdf"
    assert content[2]["type"] == "redacted_thinking"
    assert content[3] == {"type": "new", "a": 1}
    assert read_back({"content": content})[2] == OpaquePart(provider_metadata=NOTES)


def test_the_dialects_own_notes_are_fields() -> None:
    content = both(
        Start(),
        ReasoningDelta(text="hm", provider_metadata={ANTHROPIC_MESSAGES: {"signature": "s"}}),
        ReasoningDelta(block=1, provider_metadata={ANTHROPIC_MESSAGES: {"redacted": "d"}}),
        ToolCallDelta(id="c", name="f", provider_metadata={ANTHROPIC_MESSAGES: {"caller": {"type": "direct"}}}),
        Finish(reason="tool_calls"),
    )
    assert content == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {}, "caller": {"type": "direct"}},
    ]


def test_notes_that_come_late_are_not_lost() -> None:
    events = [Start(), TextDelta(text="a"), TextDelta(provider_metadata=NOTES), Finish()]
    assert both(*events)[0] == {"type": "text", "text": "a", "extra_content": NOTES}
    (part,) = read_back(accumulate(streamed(*events)))
    assert part.provider_metadata == NOTES


def test_a_refusal_is_said_and_is_the_reason() -> None:
    events = [Start(), RefusalDelta(text="No."), Finish()]
    assert both(*events) == [{"type": "text", "text": "No."}]
    assert whole(*events)["stop_reason"] == "refusal"
    assert whole(*events)["stop_details"]["explanation"] == "No."


@pytest.mark.parametrize(
    ("reason", "native", "expected"),
    [
        ("stop", None, "end_turn"),
        ("stop", "stop_sequence", "stop_sequence"),
        ("stop", "pause_turn", "pause_turn"),
        ("length", "MAX_TOKENS", "max_tokens"),
        ("length", "model_context_window_exceeded", "model_context_window_exceeded"),
        ("tool_calls", None, "tool_use"),
        ("content_filter", "SAFETY", "refusal"),
    ],
)
def test_why_an_answer_ended(reason: FinishReason, native: str | None, expected: str) -> None:
    events = [Start(), TextDelta(text="a"), Finish(reason=reason, native_reason=native)]
    assert whole(*events)["stop_reason"] == expected
    assert streamed(*events)[-2]["delta"]["stop_reason"] == expected


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ("", {}),
        ('{"a": 1}', {"a": 1}),
        ('{"city": "Par', {"city": "Par"}),
        ("[1]", {"unparsed": "[1]"}),
        ("no", {"unparsed": "no"}),
    ],
)
def test_arguments_are_an_object(arguments: str, given: Any) -> None:
    call = ToolCallDelta(id="c", name="f", arguments=arguments)
    assert whole(Start(), call, Finish(reason="length"))["content"][0]["input"] == given


def test_calls_side_by_side_stay_open_until_they_are_whole() -> None:
    events = streamed(
        Start(),
        ToolCallDelta(index=0, id="a", name="f", arguments='{"x":'),
        ToolCallDelta(index=1, id="b", name="g", arguments="{}"),
        ToolCallDelta(index=0, arguments="1}"),
        ToolCallDelta(index=2, id="c", name="h"),
        Finish(reason="tool_calls"),
    )
    assert [block["input"] for block in accumulate(events)["content"]] == [{"x": 1}, {}, {}]
    order = [(event["type"][14:], event["index"]) for event in events if "index" in event]
    assert order[-4:] == [("stop", 0), ("stop", 1), ("start", 2), ("stop", 2)]


def test_calls_side_by_side_end_in_the_order_in_which_they_began() -> None:
    events = streamed(
        Start(),
        ToolCallDelta(index=5, id="a", name="f", arguments="{"),
        ToolCallDelta(index=1, id="b", name="g", arguments="{"),
        ToolCallDelta(index=1, arguments="}"),
        ToolCallDelta(index=5, arguments="}"),
        ToolCallDelta(index=3, id="c", name="h"),
        Finish(reason="tool_calls"),
    )
    assert [event["index"] for event in events if event["type"] == "content_block_stop"] == [0, 1, 2]


def test_the_time_for_calls_that_stay_open_grows_with_their_number() -> None:
    calls = [ToolCallDelta(index=index, id=f"c{index}", name="f", arguments="{") for index in range(5_000)]
    begun = time.process_time()
    events = streamed(Start(), *calls, Finish(reason="tool_calls"))
    assert sum(event["type"] == "content_block_stop" for event in events) == len(calls)
    assert time.process_time() - begun < 5


def test_an_empty_answer() -> None:
    assert both(Start(), Finish()) == []


def test_only_the_first_alternative_is_written() -> None:
    events = [Start(), TextDelta(1, text="b"), TextDelta(0, text="a"), Finish(1), Finish(0)]
    assert both(*events) == [{"type": "text", "text": "a"}]


def test_native_events_of_another_dialect_are_translated() -> None:
    event = TextDelta(text="a", native=NativeEvent("acme", b"raw"))
    assert accumulate(streamed(Start(), event, Finish()))["content"] == [{"type": "text", "text": "a"}]


def test_half_a_surrogate_pair_breaks_nothing() -> None:
    events = [Start(), TextDelta(text="\ud83d"), Finish()]
    assert accumulate(streamed(*events))["content"] == [{"type": "text", "text": "?"}]


Notes = dict[str, dict[str, Any]]
notes: st.SearchStrategy[Notes | None] = st.none() | st.just(NOTES) | st.just({"acme": {"b": 2}, "other": {"c": [1]}})
pieces = st.text(st.characters(codec="utf-8"), min_size=1, max_size=3)


@st.composite
def call_events(draw: st.DrawFn) -> list[ChatEvent]:
    """One or two calls whose fragments come side by side."""
    texts = [
        json.dumps(draw(st.dictionaries(pieces, st.integers(), max_size=2))) for _ in range(draw(st.integers(1, 2)))
    ]
    first = draw(st.integers(0, 1000)) * 2
    events: list[ChatEvent] = [
        ToolCallDelta(index=first + i, id=f"c{i}", name="f", provider_metadata=draw(notes)) for i in range(len(texts))
    ]
    halves = [(i, half) for i, text in enumerate(texts) for half in (text[:2], text[2:])]
    while halves:
        index, half = halves.pop(
            0 if draw(st.booleans()) else next(k for k, h in enumerate(halves) if h[0] == halves[-1][0])
        )
        events.append(ToolCallDelta(index=first + index, arguments=half))
    return events


def said(kind: type[TextDelta] | type[ReasoningDelta]) -> st.SearchStrategy[list[ChatEvent]]:
    """A piece with or without notes, or notes alone."""
    noted = notes.filter(bool)
    return st.builds(kind, text=pieces, provider_metadata=notes).map(lambda event: [event]) | st.builds(
        kind, provider_metadata=noted
    ).map(lambda event: [event])


answers = st.lists(
    st.one_of(
        said(TextDelta),
        said(ReasoningDelta),
        pieces.map(lambda text: [RefusalDelta(text=text)]),
        notes.filter(bool).map(lambda found: [WholePart(part=OpaquePart(provider_metadata=found))]),
        st.just([UsageReport()]),
        call_events(),
    ),
    max_size=8,
    unique_by=lambda events: events[0].index if isinstance(events[0], ToolCallDelta) else id(events),
)


@given(answers)
def test_stream_and_body_say_the_same(groups: list[list[ChatEvent]]) -> None:
    """Every answer reads the same from its events as from its body, and nothing that was noted is lost."""
    both(Start(), *(event for events in groups for event in events), Finish())


OF_ANSWER: dict[str, dict[str, Any]] = {
    ANTHROPIC_MESSAGES: {"stop_sequence": "END", "container": {"id": "c"}},
    "acme": {"tier": "flex"},
}
AS_FIELDS = {"stop_sequence": "END", "container": {"id": "c"}, "extra_content": {"acme": {"tier": "flex"}}}


def test_what_a_provider_says_of_an_answer_has_a_place() -> None:
    choice = Choice(0, Message(role="assistant", parts=(TextPart(text="a"),)), "stop", "stop_sequence")
    body = message_body(ChatResponse([choice], provider_metadata=OF_ANSWER), model="m", request_id="r")
    assert {name: body[name] for name in AS_FIELDS} == AS_FIELDS
    assert body["stop_reason"] == "stop_sequence"


def test_a_stream_says_it_at_its_end() -> None:
    writer = MessageWriter(model="m", request_id="r")
    events = [Start(), TextDelta(text="a"), UsageReport(0, OF_ANSWER, usage=Usage(1)), Finish()]
    data = [json.loads(item.data) for event in events for item in writer.add(event)]
    data += [json.loads(item.data) for item in writer.end()]
    [delta] = [each["delta"] for each in data if each["type"] == "message_delta"]
    assert {name: delta[name] for name in AS_FIELDS} == AS_FIELDS
