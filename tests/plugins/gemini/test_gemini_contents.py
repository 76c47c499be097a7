"""The conversation as Gemini gets it, and what is said about it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_upstreams.gemini_calls import said
from fake_upstreams.strict_gemini import StrictGemini
from orchestrator_core.provider_api import (
    AdjustmentReport,
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UnsupportedParameter,
    text_message,
)
from orchestrator_gemini.contents import NO_RESULT, NOTHING, UNSIGNED, ContentsCompiler

HELLO = text_message("user", "Hello")
PNG = ImagePart(data="aW1n", media_type="image/png")


def compiled(
    *messages: Message, generation: float = 3.8, strict: bool = False
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """The contents, which break no rule, and the subjects and actions of the report."""
    report = AdjustmentReport(strict=strict)
    contents = ContentsCompiler("gemini", generation, report).compile(messages)
    vendor = StrictGemini()
    vendor.issued |= {"c2ln", "c2lnMg=="}
    rules = [rule for rule in vendor.rules if generation >= 3 or rule.name != "signatures"]
    body, headers = {"contents": contents}, {"x-goog-api-key": "k"}
    assert [problem for rule in rules for problem in rule.check(body, headers)] == []
    return contents, [(each.subject, each.action) for each in report.adjustments]


def model(*parts: Part) -> Message:
    return said("assistant", *parts)


def result(id_: str, content: Any, **fields: Any) -> Message:
    return said("tool", ToolResultPart(tool_call_id=id_, content=content, **fields))


def signed(signature: str, **more: Any) -> dict[str, Any]:
    return {"gemini": {"thoughtSignature": signature, **more}}


def responses(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [part["functionResponse"] for part in content["parts"]]


def test_roles() -> None:
    contents, report = compiled(HELLO, model(TextPart(text="Hi")), text_message("user", "And?"))
    assert contents == [
        {"role": "user", "parts": [{"text": "Hello"}]},
        {"role": "model", "parts": [{"text": "Hi"}]},
        {"role": "user", "parts": [{"text": "And?"}]},
    ]
    assert report == []


def test_messages_of_one_side_become_one() -> None:
    contents, report = compiled(
        HELLO, text_message("user", "there"), model(TextPart(text="a")), model(TextPart(text="b"))
    )
    assert [[part["text"] for part in content["parts"]] for content in contents] == [["Hello", "there"], ["a", "b"]]
    assert report == []


def test_system_prompts_stand_apart() -> None:
    report = AdjustmentReport(strict=False)
    compiler = ContentsCompiler("gemini", 3, report)
    system = (text_message("system", "Be brief."), HELLO, text_message("system", "Be kind."), said("system", PNG))
    assert compiler.system(system) == [{"text": "Be brief."}, {"text": "Be kind."}]
    assert [(each.subject, each.action) for each in report.adjustments] == [("system", "mapped"), ("image", "dropped")]
    assert compiler.compile(system) == [{"role": "user", "parts": [{"text": "Hello"}]}]


@pytest.mark.parametrize("messages", [(), (text_message("user", ""),), (text_message("system", "Begin."),)])
def test_a_conversation_without_a_user(messages: Sequence[Message]) -> None:
    contents, report = compiled(*messages)
    assert contents == [{"role": "user", "parts": [{"text": NOTHING}]}]
    assert set(report) == {("message", "mapped")}


def test_the_model_may_have_begun() -> None:
    contents, report = compiled(model(TextPart(text="How can I help?")), HELLO)
    assert [content["role"] for content in contents] == ["user", "model", "user"]
    assert report == [("message", "mapped")]


def test_parallel_calls_and_their_results() -> None:
    calls = [ToolCallPart(id=f"toolu_{n}", name="add", arguments=f'{{"n":{n}}}') for n in (1, 2)]
    contents, report = compiled(HELLO, model(*calls), result("toolu_2", "four"), result("toolu_1", '{"sum": 2}'))
    assert contents[1]["parts"] == [
        {"functionCall": {"name": "add", "args": {"n": 1}, "id": "toolu_1"}, "thoughtSignature": UNSIGNED},
        {"functionCall": {"name": "add", "args": {"n": 2}, "id": "toolu_2"}},
    ]
    assert responses(contents[2]) == [
        {"name": "add", "response": {"result": "four"}, "id": "toolu_2"},
        {"name": "add", "response": {"sum": 2}, "id": "toolu_1"},
    ]
    assert report == []


def test_parallel_calls_of_one_id_are_told_apart() -> None:
    calls = [ToolCallPart(id="a", name="add", arguments=f'{{"n": {number}}}') for number in (1, 2)]
    contents, report = compiled(HELLO, model(*calls), result("a", "one"), result("a", "two"))
    ids = [part["functionCall"]["id"] for part in contents[1]["parts"]]
    assert len(set(ids)) == 2
    assert [(each["id"], each["response"]) for each in responses(contents[2])] == [
        (ids[0], {"result": "one"}),
        (ids[1], {"result": "two"}),
    ]
    assert report == []


def test_what_is_said_after_results_is_a_content_of_its_own() -> None:
    call = ToolCallPart(id="a", name="add")
    contents, report = compiled(HELLO, model(call), HELLO, result("a", "1"))
    assert [content["role"] for content in contents] == ["user", "model", "user", "user"]
    assert contents[3]["parts"] == [{"text": "Hello"}]
    assert report == []


def test_own_calls_go_back_as_they_came() -> None:
    first = ToolCallPart(id="call_made", name="add", provider_metadata=signed("c2ln"))
    second = ToolCallPart(id="x1", name="add", provider_metadata={"gemini": {"id": "x1"}})
    contents, report = compiled(HELLO, model(first, second), result("call_made", "1"), result("x1", "2"))
    assert contents[1]["parts"] == [
        {"functionCall": {"name": "add", "args": {}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "add", "args": {}, "id": "x1"}},
    ]
    assert [each.get("id") for each in responses(contents[2])] == [None, "x1"]
    assert report == []


def test_models_before_the_third_generation_need_no_signature() -> None:
    contents, _ = compiled(HELLO, model(ToolCallPart(id="a", name="add")), result("a", "1"), generation=2.5)
    assert contents[1]["parts"] == [{"functionCall": {"name": "add", "args": {}, "id": "a"}}]


def test_a_call_without_a_result() -> None:
    contents, report = compiled(HELLO, model(ToolCallPart(id="a", name="add")), text_message("user", "Well?"))
    assert responses(contents[2]) == [{"name": "add", "response": {"error": NO_RESULT}, "id": "a"}]
    assert report == [("tool_call", "mapped")]
    compiled(HELLO, model(ToolCallPart(id="a", name="add")))


def test_results_without_a_call() -> None:
    call = ToolCallPart(id="a", name="add")
    contents, report = compiled(HELLO, result("b", "lost"), model(call), result("a", "1"), result("a", "again"))
    assert contents[0]["parts"] == [{"text": "Hello"}, {"text": "[result of b] lost"}]
    assert responses(contents[2])[0]["response"] == {"result": "1"}
    assert contents[3]["parts"] == [{"text": "[result of a] again"}]
    assert report == [("tool_result", "mapped")]


@pytest.mark.parametrize(
    ("content", "fields", "response"),
    [
        ("plain", {}, {"result": "plain"}),
        ("{}", {}, {}),
        ("[1]", {}, {"result": "[1]"}),
        ("007", {}, {"result": "007"}),
        ('{"a": NaN}', {}, {"result": '{"a": NaN}'}),
        ('{"a": 1', {}, {"result": '{"a": 1'}),
        ("broken", {"is_error": True}, {"error": "broken"}),
        ('{"code": 1}', {"is_error": True}, {"error": {"code": 1}}),
        ((TextPart(text="a"), TextPart(text="b")), {}, {"result": "ab"}),
    ],
)
def test_results(content: Any, fields: dict[str, Any], response: dict[str, Any]) -> None:
    contents, report = compiled(HELLO, model(ToolCallPart(id="a", name="f")), result("a", content, **fields))
    assert responses(contents[2])[0]["response"] == response
    assert report == []


@pytest.mark.parametrize("generation", [2.5, 3])
def test_images_in_results(generation: float) -> None:
    seen = result("a", (TextPart(text="see"), PNG))
    contents, report = compiled(HELLO, model(ToolCallPart(id="a", name="f")), seen, generation=generation)
    data = {"inlineData": {"mimeType": "image/png", "data": "aW1n"}}
    if generation >= 3:
        assert responses(contents[2])[0] == {"name": "f", "response": {"result": "see"}, "id": "a", "parts": [data]}
        assert report == []
    else:
        assert contents[3]["parts"] == [{"text": "Attached to the result of f:"}, data]
        assert report == [("tool_result", "mapped")]


@pytest.mark.parametrize("arguments", ["[1]", '{"city": "Par', "x"])
def test_arguments_that_are_no_object(arguments: str) -> None:
    contents, report = compiled(HELLO, model(ToolCallPart(id="a", name="f", arguments=arguments)), result("a", ""))
    assert contents[1]["parts"][0]["functionCall"]["args"] == {"unparsed": arguments}
    assert report == [("tool_call", "mapped")]


def test_signatures_go_back_where_they_were() -> None:
    contents, report = compiled(
        HELLO,
        model(
            ReasoningPart(text="So.", provider_metadata=signed("c2ln")),
            TextPart(text="It "),
            TextPart(text="rains.", provider_metadata=signed("c2lnMg==")),
            TextPart(text="", provider_metadata=signed("c2ln")),
        ),
    )
    assert contents[1]["parts"] == [
        {"text": "So.", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "It "},
        {"text": "rains.", "thoughtSignature": "c2lnMg=="},
        {"text": "", "thoughtSignature": "c2ln"},
    ]
    assert report == []


def test_what_others_signed_stays_behind() -> None:
    foreign = {"anthropic": {"signature": "eA=="}}
    contents, report = compiled(
        HELLO,
        model(
            ReasoningPart(text="Hm", provider_metadata=foreign),
            OpaquePart(provider_metadata=foreign),
            TextPart(text="Yes", provider_metadata=foreign),
        ),
        strict=True,
    )
    assert contents[1]["parts"] == [{"text": "Yes"}]
    assert report == [("reasoning", "dropped"), ("opaque", "dropped")]


def test_server_tools_go_back_and_what_is_about_an_answer_does_not() -> None:
    part = {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "c2ln"}
    code = OpaquePart(provider_metadata={"gemini": {"part": part}})
    about = OpaquePart(provider_metadata={"gemini": {"groundingMetadata": {"x": 1}}})
    contents, report = compiled(HELLO, model(code, TextPart(text="1"), about))
    assert contents[1]["parts"] == [part, {"text": "1"}]
    assert report == []


def test_empty_answers_are_left_out_and_refusals_are_text() -> None:
    contents, report = compiled(HELLO, model(), model(TextPart(text="")), model(RefusalPart(text="No.")))
    assert contents[1:] == [{"role": "model", "parts": [{"text": "No."}]}]
    assert report == [("message", "mapped")]


def test_a_user_who_says_nothing_keeps_the_turn() -> None:
    answered, silent = model(TextPart(text="Hi")), text_message("user", "")
    contents, report = compiled(HELLO, answered, silent, strict=True)
    assert [(content["role"], content["parts"]) for content in contents[1:]] == [
        ("model", [{"text": "Hi"}]),
        ("user", [{"text": NOTHING}]),
    ]
    assert report == [("message", "mapped")]
    contents, _ = compiled(HELLO, answered, silent, model(TextPart(text="Well?")), HELLO)
    assert [content["role"] for content in contents] == ["user", "model", "user", "model", "user"]
    contents, _ = compiled(HELLO, answered, silent, HELLO)
    assert contents[-1]["parts"] == [{"text": "Hello"}]


@pytest.mark.parametrize(
    ("metadata", "kind"), [(None, "opaque"), ({"openai.chat": {"part": {"type": "strange"}}}, "strange")]
)
def test_what_nobody_can_read_is_reported_where_the_user_said_it(metadata: Any, kind: str) -> None:
    unread = said("user", TextPart(text="See"), OpaquePart(provider_metadata=metadata))
    contents, report = compiled(unread)
    assert contents == [{"role": "user", "parts": [{"text": "See"}]}]
    assert report == [(kind, "dropped")]
    with pytest.raises(UnsupportedParameter):
        compiled(unread, strict=True)


def test_notes_that_a_client_changed_do_no_harm() -> None:
    spoilt = [OpaquePart(provider_metadata={"gemini": {"part": part}}) for part in (None, "text", 1, [])]
    call = ToolCallPart(id="c", name="f", arguments="{}", provider_metadata={"gemini": {"functionCall": "x"}})
    contents, _ = compiled(HELLO, model(*spoilt, call), result("c", "1"))
    assert [list(part) for part in contents[1]["parts"]] == [["functionCall", "thoughtSignature"]]


def test_what_came_with_a_call_goes_back_in_it() -> None:
    noted = {"gemini": {"functionCall": {"new": 1}, "id": "c", "thoughtSignature": "c2ln"}}
    call = ToolCallPart(id="c", name="f", arguments="{}", provider_metadata=noted)
    contents, _ = compiled(HELLO, model(call), result("c", "1"))
    assert contents[1]["parts"][0]["functionCall"] == {"new": 1, "name": "f", "args": {}, "id": "c"}


@pytest.mark.parametrize(
    ("part", "wire"),
    [
        (PNG, {"inlineData": {"mimeType": "image/png", "data": "aW1n"}}),
        (ImagePart(data="aW1n"), {"inlineData": {"mimeType": "image/png", "data": "aW1n"}}),
        (
            ImagePart(url="https://a.example/cat.jpg?x=1"),
            {"fileUri": "https://a.example/cat.jpg?x=1", "mimeType": "image/jpeg"},
        ),
        (ImagePart(url="https://a.example/cat"), {"fileUri": "https://a.example/cat"}),
        (FilePart(data="cGRm", filename="a.pdf"), {"inlineData": {"mimeType": "application/pdf", "data": "cGRm"}}),
        (FilePart(data="bXAz", media_type="audio/mpeg"), {"inlineData": {"mimeType": "audio/mp3", "data": "bXAz"}}),
        (FilePart(data="bXA0", media_type="video/mp4"), {"inlineData": {"mimeType": "video/mp4", "data": "bXA0"}}),
        (FilePart(url="gs://b/a.mp4", media_type="video/mp4"), {"fileUri": "gs://b/a.mp4", "mimeType": "video/mp4"}),
        (
            FilePart(file_id="files/abc", media_type="application/pdf"),
            {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc", "mimeType": "application/pdf"},
        ),
    ],
)
def test_media(part: Part, wire: dict[str, Any]) -> None:
    contents, report = compiled(said("user", part))
    assert contents[0]["parts"] == [wire if "inlineData" in wire else {"fileData": wire}]
    assert report == []


@pytest.mark.parametrize(
    ("message", "subject"),
    [
        (said("user", TextPart(text="a"), FilePart(file_id="file-abc")), "file"),
        (said("user", ImagePart(data="aW1n", detail="low")), "detail"),
        (Message(role="user", parts=(TextPart(text="a"),), name="Ann"), "name"),
    ],
)
def test_what_gemini_has_no_place_for(message: Message, subject: str) -> None:
    _, report = compiled(message)
    assert report == [(subject, "dropped")]
    with pytest.raises(UnsupportedParameter) as caught:
        compiled(message, strict=True)
    assert caught.value.param == subject


TEXTS = st.text('ab {}"[', max_size=4)
IDS = st.sampled_from(["a", "b", "call_1"])
NOTED = [None, signed("c2ln"), {"anthropic": {"signature": "x"}}, {"gemini": {}}]
OWN = st.sampled_from(NOTED)
OWN_CALL = st.sampled_from([*NOTED, signed("c2ln", id="a"), {"gemini": {"id": "b"}}])
RESULTS = st.builds(
    ToolResultPart,
    tool_call_id=IDS,
    content=TEXTS | st.tuples(st.builds(TextPart, text=TEXTS), st.just(PNG)),
    is_error=st.booleans(),
)
ANSWERS = st.one_of(
    st.builds(TextPart, text=TEXTS, provider_metadata=OWN),
    st.builds(ReasoningPart, text=TEXTS, provider_metadata=OWN),
    st.builds(ToolCallPart, id=IDS, name=st.sampled_from(["f", "g"]), arguments=TEXTS, provider_metadata=OWN_CALL),
    st.builds(RefusalPart, text=TEXTS),
    st.just(PNG),
)
MESSAGES = st.one_of(
    st.builds(model, ANSWERS, ANSWERS),
    st.builds(said, st.just("tool"), RESULTS),
    st.builds(said, st.just("user"), st.builds(TextPart, text=TEXTS) | st.just(PNG)),
    st.builds(text_message, st.just("system"), TEXTS),
)


@given(st.lists(MESSAGES, max_size=8), st.sampled_from([2.5, 3.8]))
def test_any_conversation_is_one_that_gemini_takes(messages: list[Message], generation: float) -> None:
    before = [message.model_dump() for message in messages]
    contents, _ = compiled(*messages, generation=generation)
    assert [message.model_dump() for message in messages] == before
    calls = [part for content in contents for part in content["parts"] if "functionCall" in part]
    assert len(calls) == sum(len(message.tool_calls) for message in messages)
    sent = repr(contents)
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolResultPart) and isinstance(part.content, str) and part.content.isalpha():
                assert repr(part.content)[1:-1] in sent, "no result gets lost"


def test_the_time_for_calls_and_results_grows_with_their_number() -> None:
    ids = [f"call_{number}" for number in range(20_000)] + ["call"] * 20_000
    calls = [ToolCallPart(id=id_, name="f", arguments="{}") for id_ in ids]
    begun = time.process_time()
    contents = ContentsCompiler("gemini", 3.8, AdjustmentReport(strict=False)).compile(
        [HELLO, model(*calls), *(result(id_, "x") for id_ in reversed(ids))]
    )
    assert len(responses(contents[-1])) == len(ids)
    assert time.process_time() - begun < 15
