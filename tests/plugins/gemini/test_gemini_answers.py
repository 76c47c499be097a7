"""What Gemini answers, as events and as the answer that they make."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from fake_upstreams.gemini_calls import fold
from fake_upstreams.strict_gemini import gemini_answer
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    ChatResponse,
    FilePart,
    ImagePart,
    OpaquePart,
    ProviderBadResponse,
    ProviderError,
    ProviderFailed,
    ProviderUnavailable,
    ReasoningPart,
    RefusalPart,
    Start,
    TextPart,
    ToolCallPart,
    Usage,
    UsageDetails,
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
    last["candidates"][0] |= {"groundingMetadata": {}}
    about = {"groundingMetadata": first["candidates"][0]["groundingMetadata"]}
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
        (5, "stop"),
        (6, "content_filter"),
        (9, "content_filter"),
        (10, "stop"),
        (11, "content_filter"),
        (12, "stop"),
        (99, "stop"),
        ("LANGUAGE", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("SPII", "content_filter"),
        ("IMAGE_PROHIBITED_CONTENT", "content_filter"),
        ("IMAGE_RECITATION", "content_filter"),
        ("IMAGE_OTHER", "stop"),
        ("NO_IMAGE", "stop"),
        ("ESCALATION", "content_filter"),
        ("PUP_LIMITED_DISABLED", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("CONTINUATION", "length"),
        ("SOMETHING_NEW", "stop"),
        (["a list"], "stop"),
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


def chunks_about(*about: Any, text: str = "ab") -> ChatResponse:
    """An answer in as many chunks, each with what it says about the candidate."""
    chunks = [gemini_answer([{"text": each}], None) for each in text[: len(about) - 1]]
    chunks.append(gemini_answer([{"text": text[len(about) - 1 :]}]))
    for chunk, fields in zip(chunks, about, strict=True):
        chunk["candidates"][0] |= fields
    return read(*chunks)


def web(name: str) -> Any:
    return {"web": {"uri": f"https://{name}.example", "title": name}}


def support(text: str, end: int, *indices: int, start: int | None = None) -> Any:
    begun = {} if start is None else {"startIndex": start}
    return {"segment": {**begun, "endIndex": end, "text": text}, "groundingChunkIndices": list(indices)}


def cited(name: str, start: int, end: int) -> Any:
    place = {"start_index": start, "end_index": end, "url": f"https://{name}.example", "title": name}
    return {"type": "url_citation", "url_citation": place}


def test_what_several_chunks_say_is_put_together() -> None:
    first = {"groundingMetadata": {"groundingChunks": [web("a")], "webSearchQueries": ["q"]}}
    first |= {"citationMetadata": {"citations": [{"uri": "https://c.example", "endIndex": 1}]}}
    last = {"groundingMetadata": {"groundingChunks": [web("b")], "searchEntryPoint": {"renderedContent": "x"}}}
    last |= {"citationMetadata": {"citations": [{"uri": "https://d.example", "startIndex": 1, "endIndex": 2}]}}
    text, about = chunks_about(first, last).message.parts
    assert about.provider_metadata == {
        "gemini": {
            "groundingMetadata": {
                "groundingChunks": [web("a"), web("b")],
                "webSearchQueries": ["q"],
                "searchEntryPoint": {"renderedContent": "x"},
            },
            "citationMetadata": {
                "citations": [
                    {"uri": "https://c.example", "endIndex": 1},
                    {"uri": "https://d.example", "startIndex": 1, "endIndex": 2},
                ]
            },
        }
    }
    places = [
        (each["url_citation"]["url"], each["url_citation"]["start_index"], each["url_citation"]["end_index"])
        for each in (text.provider_metadata or {})[OPENAI_CHAT]["annotations"]
    ]
    assert places == [("https://c.example", 0, 1), ("https://d.example", 1, 2)]


def test_what_a_chunk_repeats_is_there_once() -> None:
    first = {"groundingMetadata": {"groundingChunks": [web("a")], "groundingSupports": [support("a", 1, 0)]}}
    more = [support("a", 1, 0), support("b", 2, 1, start=1)]
    last = {"groundingMetadata": {"groundingChunks": [web("a"), web("b")], "groundingSupports": more}}
    text, about = chunks_about(first, last).message.parts
    assert about.provider_metadata == {"gemini": last}
    assert text.provider_metadata == {OPENAI_CHAT: {"annotations": [cited("a", 0, 1), cited("b", 1, 2)]}}


def test_places_are_characters_of_their_part() -> None:
    """Gemini counts bytes of all that is said, thoughts not among it."""
    parts = [{"text": "Hm", "thought": True}, {"text": "Né.", "thoughtSignature": "c2ln"}, {"text": " Où çà?"}]
    body = gemini_answer(parts)
    supports = [support("Né", 3, 0), support("çà", 12, 0, 7, start=8), support("Où", 900, 0, start=800)]
    body["candidates"][0]["groundingMetadata"] = {
        "groundingChunks": [web("a")],
        "groundingSupports": [*supports, support("nowhere", 7, 0)],
    }
    _, first, second, _ = read(body).message.parts
    assert (first.provider_metadata or {})[OPENAI_CHAT] == {"annotations": [cited("a", 0, 2)]}
    assert (second.provider_metadata or {})[OPENAI_CHAT] == {"annotations": [cited("a", 4, 6), cited("a", 1, 3)]}


def test_notes_on_a_candidate_and_on_the_answer() -> None:
    def rating(category: str, probability: str) -> Any:
        return {"category": category, "probability": probability}

    first = {"safetyRatings": [rating("A", "LOW"), rating("B", "LOW")], "avgLogprobs": -0.5, "finishMessage": None}
    last = {"safetyRatings": [rating("B", "HIGH")], "avgLogprobs": -0.1, "finishMessage": "Done.", "new": [1]}
    answer = chunks_about(first, last)
    assert answer.message.parts == (TextPart(text="ab"),)
    assert answer.choices[0].provider_metadata == {
        "gemini": {
            "safetyRatings": [rating("A", "LOW"), rating("B", "HIGH")],
            "avgLogprobs": -0.1,
            "finishMessage": "Done.",
            "new": [1],
        }
    }
    body = gemini_answer([{"text": "a"}], promptTokenCount=3, trafficType="ON_DEMAND_FLEX", newTokens=4)
    body |= {"modelStatus": {"modelStage": "STABLE"}, "promptFeedback": None}
    answer = read(body)
    assert answer.provider_metadata == {
        "gemini": {
            "modelStatus": {"modelStage": "STABLE"},
            "usageMetadata": {"trafficType": "ON_DEMAND_FLEX", "newTokens": 4},
        }
    }
    assert answer.usage is not None
    assert answer.usage.details.unpriced == "trafficType ON_DEMAND_FLEX"


def test_what_of_the_usage_has_a_price_of_its_own() -> None:
    def counted(**modalities: int) -> Any:
        return [{"modality": name, "tokenCount": count} for name, count in modalities.items()]

    body = gemini_answer(
        [{"text": "a"}],
        promptTokensDetails=counted(TEXT=5, AUDIO=3),
        cacheTokensDetails=counted(AUDIO=1),
        candidatesTokensDetails=counted(IMAGE=7, AUDIO=2),
    )
    body["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["a", "b"]}
    used = read(body).usage
    assert used is not None
    assert used.details == UsageDetails(
        input_audio_tokens=3, cached_audio_tokens=1, output_audio_tokens=2, output_image_tokens=7, web_searches=2
    )
    old = read({**body, "modelVersion": "gemini-2.5-flash"}).usage
    assert old is not None
    assert old.details.web_searches == 1


def test_log_probabilities_have_openais_form() -> None:
    def token(text: str, *others: str) -> Any:
        made = {"token": text, "logprob": -0.5, "bytes": list(text.encode()), "token_id": 7}
        return {**made, "top_logprobs": [{"token": each, "logprob": 0.0, "bytes": [98]} for each in others]}

    def result(text: str) -> Any:
        chosen = [{"token": text, "logProbability": -0.5, "tokenId": 7}]
        return {"chosenCandidates": chosen, "topCandidates": [{"candidates": [{"token": "b"}]}]}

    first, last = result("a"), {**result("é"), "logProbabilitySum": -1}
    choice = chunks_about({"logprobsResult": first}, {"logprobsResult": last}).choices[0]
    assert choice.logprobs is not None
    assert choice.logprobs["content"] == [token("a", "b"), token("é", "b")]
    assert choice.provider_metadata == {"gemini": {"logprobsResult": {"logProbabilitySum": -1}}}


@pytest.mark.parametrize("value", [None, [], {}, 1, "text", [None], ["text"], {"a": None}, {"category": []}])
@pytest.mark.parametrize(
    "place",
    [
        "promptFeedback",
        "usageMetadata",
        "responseId",
        "modelVersion",
        "modelStatus",
        "candidates.0.groundingMetadata",
        "candidates.0.groundingMetadata.groundingChunks",
        "candidates.0.groundingMetadata.groundingSupports",
        "candidates.0.groundingMetadata.webSearchQueries",
        "candidates.0.citationMetadata",
        "candidates.0.urlContextMetadata",
        "candidates.0.logprobsResult",
        "candidates.0.logprobsResult.chosenCandidates",
        "candidates.0.logprobsResult.topCandidates",
        "candidates.0.safetyRatings",
        "candidates.0.finishMessage",
        "candidates.0.avgLogprobs",
        "candidates.0.something_new",
        "candidates.0.content.parts.0.something_new",
        "candidates.0.content.parts.1.something_new",
        "usageMetadata.promptTokensDetails",
        "usageMetadata.trafficType",
        "usageMetadata.promptTokenCount",
    ],
)
def test_any_value_in_a_place_beside_the_content(place: str, value: Any) -> None:
    body = gemini_answer([{"text": "a"}, {}], promptTokenCount=1)
    body["candidates"][0] |= {
        "groundingMetadata": {"groundingChunks": [web("a")], "groundingSupports": [support("a", 1, 0)]},
        "logprobsResult": {"chosenCandidates": [{"token": "a"}]},
    }
    *path, name = place.split(".")
    target: Any = body
    for step in path:
        target = target[int(step)] if isinstance(target, list) else target[step]
    target[name] = value
    answer = read(body, body)
    assert answer.message.text == "aa"
    assert answer.complete


@pytest.mark.parametrize("index", [None, 0])
def test_a_candidate_without_a_number_is_the_first(index: Any) -> None:
    body = gemini_answer([{"text": "a"}])
    body["candidates"][0]["index"] = index
    assert [choice.index for choice in read(body).choices] == [0]


def test_calls_that_come_in_pieces() -> None:
    def piece(call: Any, **beside: Any) -> Any:
        return gemini_answer([{"functionCall": call, **beside}], None)

    def given(path: str, **value: Any) -> Any:
        return {"jsonPath": path, **value}

    text = [given("$.city", stringValue="New ", willContinue=True)]
    rest = [
        given("$.city", stringValue="York"),
        given("$.days[1].at", numberValue=2),
        given("$.days[0]", nullValue="NULL_VALUE"),
        given("$['a b']['c\\'d']", boolValue=True),
        given("$.city.name", stringValue="x"),
        given("nowhere[", stringValue="y"),
        given("$.later", willContinue=True),
    ]
    answer = read(
        piece({"name": "weather", "willContinue": True, "new": 1}, thoughtSignature="c2ln"),
        piece({"partialArgs": text, "willContinue": True}),
        piece({"partialArgs": rest, "willContinue": True}),
        piece({}),
        piece({"name": "now", "id": "x1", "args": {"a": 1}, "willContinue": True}),
        piece({"name": "now", "id": "x1", "partialArgs": [given("$.b", numberValue=2)], "willContinue": False}),
        piece({}),
        piece({"name": "cut", "willContinue": True}),
        piece({"name": "at_once", "partialArgs": [given("$.a", stringValue="b")]}),
        gemini_answer([{"functionCall": {"name": "last", "willContinue": True}}]),
    )
    calls = [(call.name, json.loads(call.arguments)) for call in answer.message.tool_calls]
    assert calls == [
        (
            "weather",
            {
                "city": "New York",
                "days": [None, {"at": 2}],
                "a b": {"c'd": True},
                "$.city.name": "x",
                "nowhere[": "y",
            },
        ),
        ("now", {"a": 1, "b": 2}),
        ("cut", {}),
        ("at_once", {"a": "b"}),
        ("last", {}),
    ]
    assert answer.message.tool_calls[0].provider_metadata == signed("c2ln") | {
        "gemini": {"thoughtSignature": "c2ln", "functionCall": {"new": 1}}
    }
    assert len({call.id for call in answer.message.tool_calls}) == 5
    assert answer.choices[0].finish_reason == "tool_calls"


def test_parts_without_their_data_are_kept_as_they_are() -> None:
    odd = [{"inlineData": {"mimeType": "image/png"}}, {"inlineData": "x"}, {"new": None, "other": [None]}]
    kept = [odd[0], odd[1], {"other": [None]}]
    answer = read(gemini_answer([*odd, {"text": None}, {"functionCall": {}}]))
    assert [part.provider_metadata for part in answer.message.parts] == [{"gemini": {"part": part}} for part in kept]
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize(("reason", "refused"), [("SAFETY", True), ("STOP", False)])
def test_why_an_answer_was_stopped_is_said(reason: str, refused: bool) -> None:
    body = gemini_answer([{"text": "a"}], reason)
    body["candidates"][0]["finishMessage"] = "Because."
    answer = read(body)
    assert answer.message.parts[1:] == ((RefusalPart(text="Because."),) if refused else ())
    assert answer.choices[0].provider_metadata == {"gemini": {"finishMessage": "Because."}}


def test_why_a_prompt_was_blocked_is_said() -> None:
    feedback = {"blockReason": "OTHER", "blockReasonMessage": "Because.", "safetyRatings": [{"category": "A"}]}
    answer = read({"promptFeedback": feedback})
    assert answer.message.parts == (RefusalPart(text="Because."),)
    assert answer.provider_metadata == {"gemini": {"promptFeedback": feedback}}
    assert answer.choices[0].finish_reason == "content_filter"


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
        b'{"candidates": [{"content": "text"}]}',
        b'{"candidates": [{"content": {"parts": ["text"]}}]}',
        b'{"candidates": [{"content": {"parts": [{"text": 1}]}}]}',
        b'{"candidates": [{"content": {"parts": [{"functionCall": {"args": {}}}]}}]}',
        b'{"candidates": [{"content": {"parts": [{"functionCall": {"name": 1}}]}}]}',
        b'{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "id": 1}}]}}]}',
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
