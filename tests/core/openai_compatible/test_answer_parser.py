"""Chunks and bodies in the spellings of the family."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_upstreams.openai_server import chunk, completion
from orchestrator_core.openai_compatible import Dialect
from orchestrator_core.openai_compatible.parse import AnswerParser
from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    ChatEvent,
    ChatResponse,
    Finish,
    ImagePart,
    NativeEvent,
    NativeOnly,
    OpaquePart,
    ProviderBadResponse,
    ProviderError,
    ProviderFailed,
    ProviderUnavailable,
    ReasoningDelta,
    ReasoningPart,
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


def parse(*chunks: Any, dialect: Dialect | None = None, native: bool = False) -> list[ChatEvent]:
    parser = AnswerParser(dialect or Dialect(), "tested", native=native)
    return [event for c in chunks for event in parser.chunk(json.dumps(c).encode())]


def parse_body(body: Any, dialect: Dialect | None = None) -> list[ChatEvent]:
    return AnswerParser(dialect or Dialect(), "tested").body(json.dumps(body).encode())


def folded(events: list[ChatEvent]) -> ChatResponse:
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold.response()


def fragment(index: int | None, id_: str | None, name: str | None, arguments: Any, **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    call = {"index": index, "id": id_, "function": {k: v for k, v in function.items() if v is not None}, **more}
    return chunk(tool_calls=[{k: v for k, v in call.items() if v is not None}])


def calls(*chunks: Any) -> list[tuple[str, str, str]]:
    response = folded(parse(*chunks))
    return [(call.id, call.name, call.arguments) for call in response.message.tool_calls]


def spoken(text: str) -> dict[str, Any]:
    return {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}


def spoken_chunk(text: str) -> dict[str, Any]:
    about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "service_tier": None}
    return {**about, "choices": [spoken(text)], "usage": None, "obfuscation": "aZ9"}


FACTS = st.one_of(st.none(), st.integers(), st.floats(allow_nan=False), st.text(), st.lists(st.text(), max_size=1))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
CHOICE_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "index": st.sampled_from([0, 1, None]),
        "delta": st.one_of(
            st.fixed_dictionaries({"content": TEXTS}),
            st.fixed_dictionaries({}, optional={"content": st.none() | TEXTS, "role": TEXTS, "reasoning": TEXTS}),
        ),
        "logprobs": st.none() | st.just({"content": [{"token": "a"}]}),
        "finish_reason": st.sampled_from([None, "stop", "length"]),
    },
)
PLAIN_CHUNKS = st.builds(
    lambda about, choices, more, error: {**about, "choices": choices, **more, **error},
    st.dictionaries(st.sampled_from(["id", "object", "created", "model", "x_y"]), FACTS, max_size=3),
    st.lists(st.one_of(CHOICE_FIELDS, TEXTS.map(spoken)), min_size=1, max_size=2),
    st.dictionaries(st.sampled_from(["usage", "service_tier", "obfuscation"]), FACTS, max_size=2),
    st.sampled_from([{}, {}, {"error": "x"}, {"object": "error"}]),
)


@given(PLAIN_CHUNKS, st.sampled_from([None, (",", ":")]), st.booleans(), st.sampled_from([None, None, "error"]))
def test_nothing_but_text_is_skimmed(made: dict[str, Any], separators: Any, ascii_only: bool, name: str | None) -> None:
    data = json.dumps(made, separators=separators, ensure_ascii=ascii_only).encode()
    skimming, reading = (AnswerParser(Dialect(), "tested", native=True, skim=skim) for skim in (True, False))
    for parser in (skimming, reading):
        parser.chunk(json.dumps(chunk(content="begun")).encode())
    size = skimming.skims(ServerSentEvent(data, name))
    if size is None:
        return
    said = made["choices"][0]["delta"]["content"]
    assert size == len(json.dumps(said, ensure_ascii=ascii_only).encode()) - 2
    carried = NativeEvent(OPENAI_CHAT, data)
    expected = [TextDelta(text=said, native=carried)] if said else [NativeOnly(native=carried)]
    assert reading.chunk(data, name) == expected


@pytest.mark.parametrize("text", ["", " token", 'a "quoted" word', "a\\b\n", "é 世界", '{"error": 1}'])
def test_text_after_the_first_is_skimmed(text: str) -> None:
    event = ServerSentEvent(json.dumps(spoken_chunk(text), separators=(",", ":")).encode())
    parser = AnswerParser(Dialect(), "tested", native=True, skim=True)
    assert parser.skims(event) is None
    parser.chunk(json.dumps(chunk(content="begun")).encode())
    assert parser.skims(event) == len(json.dumps(text)) - 2


PADDINGS = st.sampled_from([None, "", "aZ9", "b", 'c"', "é", 7])
ALIKE = st.builds(
    lambda text, padding, more: {**spoken_chunk(text), "obfuscation": padding, **more},
    TEXTS | st.sampled_from(["a", 'a"', "\\", "a\tb", ""]),
    PADDINGS,
    st.sampled_from([{}, {}, {"usage": {"total_tokens": 1}}, {"id": "chatcmpl-2"}, {"error": "x"}]),
)


@given(ALIKE, st.lists(ALIKE | PLAIN_CHUNKS, min_size=1, max_size=4), st.booleans(), st.randoms(use_true_random=False))
def test_an_event_like_the_last_is_skimmed_as_by_itself(
    first: dict[str, Any], others: list[dict[str, Any]], ascii_only: bool, chance: random.Random
) -> None:
    experienced = AnswerParser(Dialect(), "tested", native=True, skim=True)
    experienced.chunk(json.dumps(chunk(content="begun")).encode())
    for made in (first, *others):
        data = json.dumps(made, separators=(",", ":"), ensure_ascii=ascii_only).encode()
        if chance.random() < 0.3:  # cut, or with a byte of its own
            place = chance.randrange(len(data))
            data = data[:place] + chance.choice([b"", b'"', b"\\", b"\t", b"x"]) + data[place + chance.randrange(2) :]
        fresh = AnswerParser(Dialect(), "tested", native=True, skim=True)
        fresh.chunk(json.dumps(chunk(content="begun")).encode())
        assert experienced.skims(ServerSentEvent(data)) == fresh.skims(ServerSentEvent(data))


@pytest.mark.parametrize("data", [rb'"a\x"', rb'"a\u12"', b'"a\nb"', b'"a'])
def test_text_that_is_no_json_is_not_skimmed(data: bytes) -> None:
    parser = AnswerParser(Dialect(), "tested", native=True, skim=True)
    parser.chunk(json.dumps(chunk(content="begun")).encode())
    whole = b'{"choices":[{"index":0,"delta":{"content":' + data + b'},"finish_reason":null}]}'
    assert parser.skims(ServerSentEvent(whole)) is None


def test_a_first_chunk_without_choices_starts() -> None:
    events = parse({"id": "x", "choices": [], "prompt_filter_results": []}, native=True)
    assert [type(event) for event in events] == [Start]
    assert events[0].native is not None


def test_a_chunk_with_nothing_in_it_is_carried_or_nothing() -> None:
    assert [type(event) for event in parse(chunk(content="a"), chunk(content=""), native=True)][2:] == [NativeOnly]
    assert len(parse(chunk(content="a"), chunk(content=""))) == 2


def test_calls_in_fragments() -> None:
    assert calls(
        fragment(0, "a", "f", ""),
        fragment(0, None, None, '{"x"'),
        fragment(1, "b", "g", ""),
        fragment(0, "", None, ": 1}"),
        fragment(1, None, None, "{}"),
    ) == [("a", "f", '{"x": 1}'), ("b", "g", "{}")]


def test_calls_that_share_an_index_are_told_apart_by_their_ids() -> None:
    assert calls(fragment(0, "a", "f", "{}"), fragment(0, "b", "g", "{}")) == [("a", "f", "{}"), ("b", "g", "{}")]


@pytest.mark.parametrize("same_index", [True, False])
def test_the_time_for_calls_grows_with_their_number(same_index: bool) -> None:
    chunks = [fragment(0 if same_index else number, f"c{number}", "f", "{}") for number in range(30_000)]
    begun = time.process_time()
    assert len(calls(*chunks)) == len(chunks)
    assert time.process_time() - begun < 10


@pytest.mark.parametrize("index", [[0], {"n": 0}, "0", 1.5, None])
def test_an_index_that_is_no_number_costs_no_answer(index: Any) -> None:
    assert calls(fragment(index, "a", "f", "{"), fragment(index, "", "", "}")) == [("a", "f", "{}")]


def test_calls_without_an_index_in_one_chunk() -> None:
    both = chunk(tool_calls=[{"id": i, "function": {"name": "f", "arguments": "{}"}} for i in "ab"])
    assert calls(both) == [("a", "f", "{}"), ("b", "f", "{}")]


def test_a_name_that_comes_again_or_late() -> None:
    assert calls(fragment(0, "a", "f", "{"), fragment(0, "a", "f", "}")) == [("a", "f", "{}")]
    assert calls(fragment(0, "a", None, ""), fragment(0, None, "f", "{}")) == [("a", "f", "{}")]


def test_a_call_without_an_id_gets_one() -> None:
    first, second = parse_body(
        completion(None, tool_calls=[{"function": {"name": "f", "arguments": {"x": 1}}}] * 2, finish="tool_calls")
    )[1:3]
    assert isinstance(first, ToolCallDelta)
    assert isinstance(second, ToolCallDelta)
    assert first.id
    assert second.id
    assert first.id != second.id
    assert json.loads(first.arguments) == {"x": 1}
    assert (first.index, second.index) == (0, 1)


def test_the_form_before_tool_calls() -> None:
    function = {"name": "f", "arguments": "{}"}
    response = folded(parse(chunk(function_call=function), chunk(finish="function_call")))
    assert [(call.name, call.arguments) for call in response.message.tool_calls] == [("f", "{}")]
    assert response.choices[0].finish_reason == "tool_calls"


def test_what_must_come_back_with_a_call_is_kept() -> None:
    extra = {"google": {"thought_signature": "s"}}
    response = folded(parse(fragment(0, "a", "f", "{}", type="function", extra_content=extra)))
    assert response.message.tool_calls[0].provider_metadata == {"tested": {"extra_content": extra}}


def test_custom_tools() -> None:
    call = {"id": "a", "type": "custom", "custom": {"name": "run", "input": "ls"}}
    response = folded(parse_body(completion(None, tool_calls=[call], finish="tool_calls")))
    made = response.message.tool_calls[0]
    assert (made.name, made.arguments) == ("run", "ls")
    assert made.provider_metadata == {"tested": {"type": "custom"}}


OWN_THOUGHT = {"tested": {"field": "reasoning_content"}}


def test_content_as_a_list_with_thinking() -> None:
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True},
        {"type": "thinking", "thinking": ", well"},
        {"type": "text", "text": "Hi"},
        " there",
        {"type": "refusal", "refusal": "No."},
        {"type": "reference", "reference_ids": [1]},
    ]
    assert parse(chunk(content=content))[1:] == [
        ReasoningDelta(text="hm", provider_metadata=OWN_THOUGHT),
        ReasoningDelta(text=", well", provider_metadata=OWN_THOUGHT),
        TextDelta(text="Hi"),
        TextDelta(text=" there"),
        RefusalDelta(text="No."),
        WholePart(part=OpaquePart(provider_metadata={"tested": {"part": content[-1]}})),
    ]


@pytest.mark.parametrize("replay", ["none", "all"])
def test_reasoning_is_read_once_and_marked_as_its_own(replay: Any) -> None:
    delta = chunk(reasoning_content="a", reasoning="a", content="b")
    response = folded(parse(delta, dialect=Dialect(replay_reasoning=replay)))
    assert response.message.parts == (ReasoningPart(text="a", provider_metadata=OWN_THOUGHT), TextPart(text="b"))


def test_a_spoken_answer_is_its_transcript() -> None:
    events = parse_body(completion(None, audio={"id": "a", "data": "AAAA", "transcript": "Hi"}))
    assert TextDelta(text="Hi") in events


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("function_call", "tool_calls"),
        ("model_length", "length"),
        ("next_years_word", "stop"),
    ],
)
def test_reasons(word: str, reason: str) -> None:
    assert parse(chunk(finish=word))[-1] == Finish(reason=reason, native_reason=word)  # type: ignore[arg-type]  # the parameter is one


def test_a_demanded_call_ends_with_stop_and_is_a_call_all_the_same() -> None:
    events = parse(fragment(0, "a", "f", "{}"), chunk(finish="stop"))
    assert events[-1] == Finish(reason="tool_calls", native_reason="stop")


def test_a_second_finish_of_a_choice_is_no_event() -> None:
    events = parse(chunk(finish="stop"), chunk(finish="stop"))
    assert [type(event) for event in events] == [Start, Finish]


def test_a_whole_body_without_a_reason_is_complete() -> None:
    assert Finish(reason="stop") in parse_body(completion(finish=None))


@pytest.mark.parametrize(
    ("word", "kind"), [("error", ProviderFailed), ("insufficient_system_resource", ProviderUnavailable)]
)
def test_reasons_that_are_errors(word: str, kind: type[ProviderError]) -> None:
    with pytest.raises(kind):
        parse(chunk(content="a"), chunk(finish=word))


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}, Usage(9, 0, 0, 4, 0)),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(10, 60, 30, 30, 20),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 35,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(10, 0, 0, 5, 20),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 8}, Usage(2, 8, 0, 5, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "num_cached_tokens": 8}, Usage(2, 8, 0, 5, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 80}, Usage(0, 10, 0, 5, 0)),
        ({"prompt_tokens": None, "completion_tokens": -5, "total_tokens": "x"}, Usage()),
    ],
)
def test_usage_in_buckets(wire: dict[str, Any], expected: Usage) -> None:
    assert parse({**chunk(), "choices": [], "usage": wire})[-1] == UsageReport(usage=expected)


def test_usage_inside_a_choice() -> None:
    last = chunk(finish="stop")
    last["choices"][0]["usage"] = {"prompt_tokens": 8, "completion_tokens": 11, "total_tokens": 19, "cached_tokens": 8}
    assert parse(last)[-1] == UsageReport(usage=Usage(0, 8, 0, 11, 0))


def test_reasoning_outside_without_a_total_is_the_dialects_word() -> None:
    wire = {"prompt_tokens": 1, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 20}}
    events = parse({**chunk(), "choices": [], "usage": wire}, dialect=Dialect(reasoning_outside=True))
    assert events[-1] == UsageReport(usage=Usage(1, 0, 0, 5, 20))


def carried(*chunks: Any) -> list[Any]:
    """The bytes for clients of OpenAI, one for each chunk."""
    return [json.loads(event.native.data) for event in parse(*chunks, native=True) if event.native]


def test_a_client_of_openai_gets_an_index_and_an_id_for_every_call() -> None:
    first, second, third = carried(
        fragment(None, "a", "f", "{}"), fragment(None, None, "g", "{", x=1), fragment(None, "c", "h", {"y": 1})
    )
    calls = [body["choices"][0]["delta"]["tool_calls"][0] for body in (first, second, third)]
    assert [call["index"] for call in calls] == [0, 0, 1]
    assert calls[2]["function"]["arguments"] == '{"y":1}'
    assert calls[1]["x"] == 1
    assert carried(fragment(0, None, "f", "{}"))[0]["choices"][0]["delta"]["tool_calls"][0]["id"]


def test_a_client_of_openai_gets_content_as_text() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    parts = [thinking, {"type": "text", "text": "Hi"}]
    delta = carried({**chunk(content=parts), "p": "xx"})[0]["choices"][0]["delta"]
    assert delta == {
        "content": "Hi",
        "reasoning_content": "hm",
        "extra_content": {"tested": {"field": "reasoning_content"}},
    }
    assert carried(chunk(content=[thinking]))[0]["choices"][0]["delta"]["content"] is None


def test_a_client_of_openai_gets_openai_counts() -> None:
    last = chunk(finish="stop")
    last["choices"][0]["usage"] = {"prompt_tokens": 8, "completion_tokens": 5, "total_tokens": 13, "cached_tokens": 8}
    spelt = carried(last)[0]
    assert spelt["usage"] == {**last["choices"][0]["usage"], "prompt_tokens_details": {"cached_tokens": 8}}
    assert "usage" not in spelt["choices"][0]
    outside = {
        "prompt_tokens": 1,
        "completion_tokens": 5,
        "total_tokens": 26,
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    usage = carried({**chunk(), "choices": [], "usage": outside})[0]["usage"]
    assert (usage["completion_tokens"], usage["total_tokens"]) == (25, 26)


@pytest.mark.parametrize(
    "wrong",
    [
        {"choices": 7},
        {"choices": [7]},
        {"choices": [{"delta": 7}]},
        {"choices": [{"delta": {"content": 7}}]},
        {"choices": [{"delta": {"content": [7]}}]},
        {"choices": [{"delta": {"content": [{"type": "text", "text": 7}]}}]},
        {"choices": [{"delta": {"reasoning": 7}}]},
        {"choices": [{"delta": {"refusal": ["no"]}}]},
        {"choices": [{"delta": {"tool_calls": 7}}]},
        {"choices": [{"delta": {"tool_calls": ["f"]}}]},
        {"choices": [{"delta": {"tool_calls": [{"function": 7}]}}]},
        {"choices": [{"delta": {}, "finish_reason": ["stop"]}]},
        {"choices": [{"index": "a", "delta": {}}]},
        {"choices": [{"delta": {"tool_calls": [{"id": 7, "function": {"name": "f"}}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"id": "a", "function": {"name": ["f"]}}]}}]},
        {"choices": [], "usage": 7},
        {"choices": [], "usage": {"prompt_tokens_details": 7}},
        7,
        [],
        None,
    ],
)
def test_a_wrong_shape_is_a_bad_answer(wrong: Any) -> None:
    with pytest.raises(ProviderBadResponse):
        parse(wrong)


@pytest.mark.parametrize("wrong", [{}, {"choices": []}, {"choices": None}, {"choices": {}}, {"choices": [{}]}])
def test_a_whole_body_needs_choices(wrong: Any) -> None:
    with pytest.raises(ProviderBadResponse):
        parse_body(wrong)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "message",
                    "content",
                    "tool_calls",
                    "function",
                    "index",
                    "id",
                    "name",
                    "arguments",
                    "usage",
                    "finish_reason",
                    "error",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_no_json_whatever_raises_anything_unknown(value: Any) -> None:
    for run in (parse, parse_body):
        try:
            run(value)
        except ProviderError as error:
            assert error.message  # noqa: PT017 - an error or none: both are right


@given(st.text(max_size=60).filter(lambda text: text.isprintable()), st.integers(1, 7))
def test_text_in_pieces_is_the_text(text: str, size: int) -> None:
    pieces = [chunk(content=text[start : start + size]) for start in range(0, len(text), size)]
    assert folded(parse(*pieces, chunk(finish="stop"))).message.text == text


CITED: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}, {"type": "reference", "reference_ids": [3]}]},
    {"type": "text", "text": "See "},
    {"type": "reference", "reference_ids": [1, "2"]},
    {"type": "tool_reference", "tool": "web_search", "title": "T", "url": "https://e"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
    {"type": "image_url", "image_url": "https://e/i.png"},
    {"type": "next_years", "next_years": {}},
]
OPAQUE = [
    {"type": "thinking", "thinking": [{"type": "reference", "reference_ids": [3]}]},
    *(CITED[place] for place in (2, 3, 6)),
]


@pytest.mark.parametrize("stream", [False, True])
def test_parts_of_other_kinds_are_kept_for_both_clients(stream: bool) -> None:
    if stream:
        parser = AnswerParser(Dialect(), "tested", native=True)
        events = [event for part in CITED for event in parser.chunk(json.dumps(chunk(content=[part])).encode())]
        natives = [json.loads(event.native.data)["choices"][0]["delta"] for event in events if event.native]
    else:
        message = {"role": "assistant", "content": CITED}
        answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        events = AnswerParser(Dialect(), "tested", native=True).body(json.dumps(answer).encode())
        natives = [json.loads(event.native.data)["choices"][0]["message"] for event in events if event.native]
    whole = [event.part for event in events if isinstance(event, WholePart)]
    images = [ImagePart(data="AA", media_type="image/png"), ImagePart(url="https://e/i.png")]
    assert [part for part in whole if isinstance(part, ImagePart)] == images
    opaque = [part.provider_metadata for part in whole if isinstance(part, OpaquePart)]
    assert opaque == [{"tested": {"part": part}} for part in OPAQUE]
    kept = [part for native in natives for part in native.get("extra_content", {}).get("tested", {}).get("content", ())]
    assert [part for part in CITED if part not in kept] == ([CITED[1], *CITED[4:6]] if stream else [])
    assert "".join(native["content"] or "" for native in natives) == "See "
    assert [image for native in natives for image in native.get("images", ())] == [
        {"type": "image_url", "index": 0, "image_url": {"url": "data:image/png;base64,AA"}},
        {"type": "image_url", "index": 1, "image_url": {"url": "https://e/i.png"}},
    ]


def test_a_signature_of_a_thought_is_kept() -> None:
    signed = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "signature": "s", "closed": True}
    (_, thought) = parse(chunk(content=[signed]))
    assert thought == ReasoningDelta(
        text="hm", provider_metadata={"tested": {"field": "reasoning_content", "thinking": {"signature": "s"}}}
    )
