"""What Gemini answers, as events and as the answer that they make."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from fake_upstreams.gemini_calls import fold
from fake_upstreams.strict_gemini import gemini_answer
from orchestrator_core.provider_api import (
    ChatResponse,
    FilePart,
    ImagePart,
    OpaquePart,
    ProviderBadResponse,
    ProviderError,
    ProviderFailed,
    ProviderUnavailable,
    ReasoningPart,
    Start,
    TextPart,
    ToolCallPart,
    Usage,
)
from orchestrator_gemini.answer import AnswerParser


def read(*chunks: Any, whole: bool = False) -> ChatResponse:
    parser = AnswerParser("gemini")
    events = [event for chunk in chunks for event in parser.read(json.dumps(chunk).encode())]
    assert isinstance(events[0], Start)
    return fold([*events, *parser.end(whole=whole)])


def signed(signature: str) -> dict[str, Any]:
    return {"gemini": {"thoughtSignature": signature}}


def test_a_whole_answer() -> None:
    answer = read(gemini_answer([{"text": "Hello"}]), whole=True)
    assert (answer.id, answer.model, answer.complete) == ("answer-1", "gemini-3.8-flash", True)
    assert answer.message.parts == (TextPart(text="Hello"),)
    assert (answer.choices[0].finish_reason, answer.choices[0].native_finish_reason) == ("stop", "STOP")


def test_chunks_of_one_kind_make_one_part() -> None:
    answer = read(
        gemini_answer([{"text": "So", "thought": True}], None),
        gemini_answer([{"text": "...", "thought": True}, {"text": "It "}], None),
        gemini_answer([{"text": "rains."}], "STOP"),
    )
    thought = ReasoningPart(text="So...", provider_metadata={"gemini": {"thought": True}})
    assert answer.message.parts == (thought, TextPart(text="It rains."))


@pytest.mark.parametrize("last", [{"text": "", "thoughtSignature": "c2ln"}, {"thoughtSignature": "c2ln"}])
def test_signed_parts_stay_apart(last: dict[str, Any]) -> None:
    answer = read(
        gemini_answer([{"text": "a", "thoughtSignature": "bzE="}], None),
        gemini_answer([{"text": "b"}, {"text": "c"}], None),
        gemini_answer([last], "STOP"),
    )
    assert answer.message.parts == (
        TextPart(text="a", provider_metadata=signed("bzE=")),
        TextPart(text="bc"),
        TextPart(text="", provider_metadata=signed("c2ln")),
    )


def test_a_signed_thought() -> None:
    answer = read(gemini_answer([{"text": "So", "thought": True, "thoughtSignature": "c2ln"}, {"text": "Yes"}]))
    noted = {"gemini": {**signed("c2ln")["gemini"], "thought": True}}
    assert answer.message.parts[0] == ReasoningPart(text="So", provider_metadata=noted)


def test_calls() -> None:
    parts = [
        {"functionCall": {"name": "add", "args": {"b": 3, "a": 2.0}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "add", "args": {}}},
        {"functionCall": {"name": "now", "id": "x1"}},
    ]
    answer, again = read(gemini_answer(parts)), read(gemini_answer(parts))
    assert answer.choices[0].finish_reason == "tool_calls"
    first, second, third = answer.message.tool_calls
    assert (first.name, first.arguments, first.provider_metadata) == ("add", '{"b":3,"a":2.0}', signed("c2ln"))
    assert (second.arguments, second.provider_metadata) == ("{}", None)
    assert third == ToolCallPart(id="x1", name="now", arguments="{}", provider_metadata={"gemini": {"id": "x1"}})
    assert first.id != second.id
    assert answer == again, "ids are made the same way each time"


def test_ids_differ_between_answers_and_choices() -> None:
    def ids(*indexes: int, **fields: str) -> list[str]:
        chunks = [gemini_answer([{"functionCall": {"name": "f"}}], index=index) | fields for index in indexes]
        return [call.id for choice in read(*chunks).choices for call in choice.message.tool_calls]

    made = ids(0, 1) + ids(0, responseId="answer-2") + ids(0, responseId="") + ids(0, responseId="")
    assert len(set(made)) == 5


def test_calls_over_several_chunks() -> None:
    call = {"functionCall": {"name": "f", "args": {}}}
    answer = read(gemini_answer([call], None), gemini_answer([call], None), gemini_answer([{"text": ""}]))
    assert len({call.id for call in answer.message.tool_calls}) == 2
    assert answer.choices[0].finish_reason == "tool_calls"


def test_media() -> None:
    answer = read(
        gemini_answer(
            [
                {"inlineData": {"mimeType": "image/png", "data": "aQ=="}, "thoughtSignature": "c2ln"},
                {"inlineData": {"mimeType": "audio/wav", "data": "YQ=="}},
                {"inlineData": {"mimeType": "image/png", "data": "ZHJhZnQ="}, "thought": True},
            ]
        )
    )
    draft = {"inlineData": {"mimeType": "image/png", "data": "ZHJhZnQ="}, "thought": True}
    assert answer.message.parts == (
        ImagePart(data="aQ==", media_type="image/png", provider_metadata=signed("c2ln")),
        FilePart(data="YQ==", media_type="audio/wav"),
        OpaquePart(provider_metadata={"gemini": {"part": draft}}),
    )


def test_server_tools_are_no_calls_of_the_client() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "c2ln"}
    output = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}
    search = {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "id": "s1"}}
    answer = read(gemini_answer([code, output, search, {"text": "1"}]))
    assert answer.message.parts == (
        *(OpaquePart(provider_metadata={"gemini": {"part": part}}) for part in (code, output, search)),
        TextPart(text="1"),
    )
    assert answer.choices[0].finish_reason == "stop"


def test_what_is_about_an_answer_is_kept() -> None:
    first, last = gemini_answer([{"text": "a"}], None), gemini_answer([{"text": "b"}])
    first["candidates"][0]["groundingMetadata"] = {"groundingChunks": [{"web": {"uri": "https://a.example"}}]}
    last["candidates"][0] |= {"groundingMetadata": {}, "logprobsResult": {"topCandidates": []}}
    about = {"groundingMetadata": first["candidates"][0]["groundingMetadata"], "logprobsResult": {"topCandidates": []}}
    assert read(first, last).message.parts == (
        TextPart(text="ab"),
        OpaquePart(provider_metadata={"gemini": about}),
    )


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("STOP", "stop"),
        (1, "stop"),
        ("MAX_TOKENS", "length"),
        (2, "length"),
        ("SAFETY", "content_filter"),
        (3, "content_filter"),
        ("RECITATION", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        (99, "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "stop"),
        ("UNEXPECTED_TOOL_CALL", "stop"),
        ("OTHER", "stop"),
    ],
)
def test_reasons(native: Any, reason: str) -> None:
    body = gemini_answer([], native)
    del body["candidates"][0]["content"]
    assert read(body, whole=True).choices[0].finish_reason == reason


def test_a_reason_in_every_chunk() -> None:
    answer = read(gemini_answer([{"text": "a"}]), gemini_answer([{"text": "b"}], "MAX_TOKENS"))
    assert (answer.message.text, answer.choices[0].finish_reason) == ("ab", "length")


@pytest.mark.parametrize("content", [{}, {"role": "model"}, {"parts": None}, None])
def test_content_without_parts(content: Any) -> None:
    body = gemini_answer([])
    body["candidates"][0]["content"] = content
    assert read(body, whole=True).message.parts == ()


def test_a_prompt_that_is_blocked() -> None:
    answer = read({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 3}})
    (choice,) = answer.choices
    assert (choice.finish_reason, choice.native_finish_reason) == ("content_filter", "PROHIBITED_CONTENT")
    assert answer.usage == Usage(input_tokens=3)


def test_several_candidates() -> None:
    answer = read(
        gemini_answer([{"text": "a"}], None),
        gemini_answer([{"text": "b"}], "STOP", index=1),
        gemini_answer([{"text": "c"}], "MAX_TOKENS"),
    )
    assert [(choice.message.text, choice.finish_reason) for choice in answer.choices] == [
        ("ac", "length"),
        ("b", "stop"),
    ]


def test_usage_adds_up_over_chunks() -> None:
    answer = read(
        gemini_answer([{"text": "a"}], None, promptTokenCount=9, toolUsePromptTokenCount=5, thoughtsTokenCount=7),
        gemini_answer([{"text": "b"}], promptTokenCount=10, cachedContentTokenCount=4, candidatesTokenCount=2),
    )
    assert answer.usage == Usage(11, 4, 0, 2, 7)


def test_usage_without_output() -> None:
    assert read(gemini_answer([], "MAX_TOKENS", promptTokenCount=3)).usage == Usage(input_tokens=3)


@pytest.mark.parametrize(
    "chunks",
    [
        [gemini_answer([{"text": "a"}], None)],
        [{"usageMetadata": {"promptTokenCount": 1}}],
        [gemini_answer([{"text": "a"}]), gemini_answer([{"text": "b"}], None, index=1)],
    ],
)
def test_streams_that_end_early(chunks: Sequence[Any]) -> None:
    with pytest.raises(ProviderBadResponse, match="before it was complete"):
        read(*chunks)


def test_a_whole_answer_is_an_end_by_itself() -> None:
    assert read(gemini_answer([{"text": "a"}], None), whole=True).choices[0].finish_reason == "stop"
    with pytest.raises(ProviderBadResponse):
        read({"candidates": []}, whole=True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"candi',
        b"[]",
        b'"text"',
        b'{"candidates": 1}',
        b'{"candidates": [1]}',
        b'{"candidates": [{"index": {}}]}',
        b'{"responseId": 1}',
        b'{"modelVersion": {}}',
        b'{"candidates": [{"content": "text"}]}',
        b'{"candidates": [{"content": {"parts": ["text"]}}]}',
        b'{"candidates": [{"content": {"parts": [{"text": 1}]}}]}',
        b'{"candidates": [{"content": {"parts": [{"functionCall": {}}]}}]}',
        b'{"candidates": [{"content": {"parts": [{"functionCall": {"name": 1}}]}}]}',
        b'{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "id": 1}}]}}]}',
        b'{"candidates": [{"content": {"parts": [{"inlineData": {}}]}}]}',
        b'{"usageMetadata": 1}',
        b'{"usageMetadata": {"promptTokenCount": "1"}}',
        b'{"promptFeedback": 1}',
    ],
)
def test_wrong_shapes(body: bytes) -> None:
    with pytest.raises(ProviderBadResponse):
        AnswerParser("gemini").read(body)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}, ProviderUnavailable),
        ([{"error": {"code": 500, "message": "x", "status": "INTERNAL"}}], ProviderFailed),
        ({"error": {"message": "x"}}, ProviderFailed),
        ({"error": "x"}, ProviderFailed),
    ],
)
def test_errors_in_a_stream(body: Any, kind: type[ProviderError]) -> None:
    with pytest.raises(kind) as caught:
        AnswerParser("gemini").read(json.dumps(body).encode())
    assert type(caught.value) is kind
