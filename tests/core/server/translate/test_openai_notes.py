"""What only a provider reads, through OpenAI's messages and back: whole, streamed, and after a client's edits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
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
    InvalidRequest,
    Logprobs,
    Message,
    OpaquePart,
    Part,
    ReasoningDelta,
    ReasoningPart,
    Start,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    UsageReport,
    WholePart,
)
from orchestrator_core.provider_api import Usage as Tokens
from orchestrator_core.server.translate.openai_request import read_chat
from orchestrator_core.server.translate.openai_response import completion, message_object
from orchestrator_core.server.translate.openai_stream import ChunkWriter

SIGNED = {"acme": {"signature": "s"}}
SEARCH = OpaquePart(provider_metadata={"acme": {"block": {"type": "server_tool_use", "id": "1"}}})
TOKEN = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}


def written(*parts: Part) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(json.dumps(message_object(Message(role="assistant", parts=parts))))
    return body


def read(message: dict[str, Any]) -> tuple[Part, ...]:
    body = {"model": "m", "messages": [{"role": "user", "content": "?"}, message]}
    return read_chat(body, deadline=Deadline(5)).messages[1].parts


def cited(start: int, end: int) -> dict[str, Any]:
    return {"type": "url_citation", "url_citation": {"start_index": start, "end_index": end, "url": "https://x.test"}}


def accumulate(into: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add a delta as the SDKs do: texts grow, objects merge, entries of lists merge by their index."""
    for name, value in delta.items():
        before = into.get(name)
        if before is None or name in ("index", "type", "role", "id"):
            into[name] = value
        elif isinstance(before, str):
            into[name] = before + value
        elif isinstance(before, dict):
            accumulate(before, value)
        elif isinstance(before, list):
            for each in value:
                if each["index"] < len(before):
                    accumulate(before[each["index"]], each)
                else:
                    before.append(each)


def streamed(events: Sequence[ChatEvent], *, include_usage: bool = False) -> tuple[dict[str, Any], list[Any]]:
    fold = Fold()
    writer = ChunkWriter(model="m", request_id="r", include_usage=include_usage, folded=fold.response)
    message: dict[str, Any] = {}
    chunks: list[Any] = []
    for event in events:
        fold.add(event)
        chunks += [json.loads(data) for data in writer.add(event)]
    chunks += [json.loads(data) for data in writer.end() if data != b"[DONE]"]
    for chunk in chunks:
        for choice in chunk["choices"]:
            accumulate(message, choice["delta"])
    return message, chunks


def test_notes_on_text_and_opaque_parts_come_back_where_they_were() -> None:
    parts = (
        SEARCH,
        TextPart(text="Paris", provider_metadata={"acme": {"citations": [1]}}),
        TextPart(text=" it is."),
        OpaquePart(provider_metadata={"acme": {"part": {"executableCode": {}}}}),
        ToolCallPart(id="1", name="f", arguments="{}", provider_metadata=SIGNED),
        TextPart(text=""),
    )
    message = written(*parts)
    assert message["content"] == "Paris it is."
    assert read(message) == parts


def test_a_plain_answer_has_no_notes() -> None:
    parts = (ReasoningPart(text="hm"), TextPart(text="a"), ToolCallPart(id="1", name="f", arguments="{}"))
    assert written(*parts).keys() == {"role", "content", "refusal", "reasoning_content", "tool_calls"}


def test_thoughts_between_calls_keep_their_place() -> None:
    parts = (
        ReasoningPart(text="first", provider_metadata=SIGNED),
        TextPart(text="let me see"),
        ReasoningPart(text="second", provider_metadata=SIGNED),
        ToolCallPart(id="1", name="f", arguments="{}"),
    )
    assert read(written(*parts)) == parts


def test_a_changed_text_loses_its_notes_and_nothing_else() -> None:
    message = written(SEARCH, TextPart(text="Paris", provider_metadata=SIGNED))
    message["content"] = "Paris, France"
    assert read(message) == (SEARCH, TextPart(text="Paris, France"))


def test_a_client_may_send_the_content_as_parts() -> None:
    message = written(SEARCH, TextPart(text="Paris", provider_metadata=SIGNED))
    message["content"] = [{"type": "text", "text": "Paris", "cache_control": {"type": "ephemeral"}}]
    _, text = read(message)
    assert text.provider_metadata == {**SIGNED, OPENAI_CHAT: {"cache_control": {"type": "ephemeral"}}}


def test_media_come_back_with_their_notes() -> None:
    parts = (
        TextPart(text="Here:"),
        ImagePart(data="AA==", media_type="image/png", provider_metadata=SIGNED),
        FilePart(data="AA==", media_type="audio/wav"),
    )
    message = written(*parts)
    assert message["images"][0]["image_url"]["url"] == "data:image/png;base64,AA=="
    assert read(message) == parts


def test_citations_stand_at_their_place_in_the_whole_text() -> None:
    message = written(
        TextPart(text="Paris. "),
        TextPart(text="Rome.", provider_metadata={OPENAI_CHAT: {"annotations": [cited(0, 4)]}, "acme": {"n": 1}}),
    )
    assert message["annotations"] == [cited(7, 11)]
    assert message["extra_content"]["acme"] == {"fields": ["annotations"]}
    assert "annotations" not in json.dumps(message["extra_content"]["orchestrator"])


def test_the_dialects_own_fields_stand_in_their_place_and_others_apart() -> None:
    choice = Choice(0, Message(role="assistant", parts=(TextPart(text="Hi"),)), "stop", None)
    choice.logprobs = {"content": [TOKEN], "refusal": None}
    choice.provider_metadata = {"acme": {"stop_sequence": "x"}}
    response = ChatResponse(
        [choice], provider_metadata={OPENAI_CHAT: {"service_tier": "flex", "id": "no"}, "acme": {"container": "c"}}
    )
    body = completion(response, model="m", request_id="r")
    assert body["service_tier"] == "flex"
    assert body["id"] == "chatcmpl-r"
    assert body["extra_content"] == {"acme": {"container": "c"}}
    assert body["choices"][0]["extra_content"] == {"acme": {"stop_sequence": "x"}}
    assert body["choices"][0]["logprobs"] == {"content": [TOKEN], "refusal": None}


def test_a_stream_says_the_same_as_a_whole_answer() -> None:
    events = [
        Start(id="1", model="m", provider_metadata={OPENAI_CHAT: {"service_tier": "flex"}}),
        ReasoningDelta(text="so", block=0),
        ReasoningDelta(0, SIGNED, block=0),
        WholePart(part=SEARCH),
        TextDelta(text="Par", block=1),
        Logprobs(content=[TOKEN]),
        TextDelta(text="is", block=1),
        TextDelta(0, {"acme": {"citations": [1]}}, block=1),
        WholePart(part=ImagePart(data="AA==", media_type="image/png")),
        WholePart(part=ImagePart(data="BB==", media_type="image/png")),
        ToolCallDelta(0, SIGNED, index=0, id="c", name="f", arguments="{}"),
        Finish(0, {"acme": {"stop_sequence": "x"}}, reason="tool_calls"),
        UsageReport(0, {"acme": {"container": "c"}}, usage=Tokens(1, 0, 0, 1)),
    ]
    fold = Fold()
    for event in events:
        fold.add(event)
    message, chunks = streamed(events, include_usage=True)
    assert read(message) == fold.response().message.parts
    assert [image["image_url"]["url"][-4:] for image in message["images"]] == ["AA==", "BB=="]
    assert [chunk["choices"][0]["logprobs"] for chunk in chunks if chunk["choices"] and chunk["choices"][0]["logprobs"]]
    assert chunks[-2]["choices"][0]["extra_content"] == {"acme": {"stop_sequence": "x"}}
    assert chunks[-1]["service_tier"] == "flex"
    assert chunks[-1]["extra_content"] == {"acme": {"container": "c"}}


def test_a_stream_has_the_citations_in_its_last_chunk() -> None:
    noted = {OPENAI_CHAT: {"annotations": [cited(0, 2)]}}
    events = [Start(), TextDelta(text="Hi", block=0), TextDelta(0, noted, block=0), Finish()]
    message, chunks = streamed(events)
    assert message["annotations"] == [cited(0, 2)]
    assert chunks[-1]["choices"][0]["delta"] == {"annotations": [cited(0, 2)]}


def test_a_body_with_notes_does_not_go_through_as_it_is() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "?"}, written(SEARCH, TextPart(text="a"))]}
    request = read_chat(body, deadline=Deadline(5))
    assert request.native is None
    assert request.native_options is not None


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"type": "video"}, "type"),
        ({"type": "opaque", "extra_content": {"acme": 1}}, "extra_content.acme"),
        ({}, "type"),
    ],
)
def test_notes_that_the_gateway_did_not_write_are_refused_by_their_place(entry: dict[str, Any], place: str) -> None:
    message = {"role": "assistant", "content": "", "extra_content": {"orchestrator": {"parts": [entry]}}}
    with pytest.raises(InvalidRequest) as refused:
        read(message)
    assert refused.value.param == f"messages.1.extra_content.orchestrator.parts.0.{place}"


NOTES = st.none() | st.fixed_dictionaries({"acme": st.dictionaries(st.sampled_from("ab"), st.integers(), min_size=1)})
PART = st.one_of(
    st.builds(TextPart, text=st.text(min_size=1), provider_metadata=NOTES),
    st.builds(ReasoningPart, text=st.text(min_size=1), provider_metadata=NOTES.filter(bool)),
    st.builds(ToolCallPart, id=st.just("1"), name=st.just("f"), arguments=st.just("{}"), provider_metadata=NOTES),
    st.builds(ImagePart, data=st.just("AA=="), media_type=st.just("image/png"), provider_metadata=NOTES),
    st.builds(OpaquePart, provider_metadata=NOTES.filter(bool)),
)


@given(st.lists(PART).filter(lambda parts: any(part.provider_metadata for part in parts)))
def test_whatever_has_notes_comes_back(parts: list[Part]) -> None:
    message = written(*parts)
    back = read(message)
    if "extra_content" in message:
        assert back == tuple(parts)
    else:
        assert sorted(str(part.provider_metadata) for part in back if part.provider_metadata) == sorted(
            str(part.provider_metadata) for part in parts if part.provider_metadata
        )
