"""Canonical requests in OpenAI's words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fake_upstreams.openai_calls import ask
from orchestrator_core.openai_compatible import Dialect, Refused
from orchestrator_core.openai_compatible.compile import compile_chat
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    Adjustment,
    AdjustmentReport,
    ChatRequest,
    Deadline,
    FilePart,
    ImagePart,
    Json,
    Message,
    NamedTool,
    NativeRequest,
    OpaquePart,
    Part,
    ProviderSettings,
    ReasoningPart,
    RefusalPart,
    ResponseFormat,
    Role,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    UnsupportedParameter,
    text_message,
)
from orchestrator_core.server.translate.late import Late
from orchestrator_core.server.translate.openai_request import read_chat


def message(role: Role, *parts: Part) -> Message:
    return Message(role=role, parts=parts)


def call(id_: str, name: str = "find", **metadata: Json) -> ToolCallPart:
    return ToolCallPart(
        id=id_, name=name, arguments='{"q": 1}', provider_metadata={"tested": metadata} if metadata else None
    )


def result(id_: str, content: Any = "found", **fields: Any) -> Message:
    return message("tool", ToolResultPart(tool_call_id=id_, content=content, **fields))


def stray(id_: str, content: str = "found") -> dict[str, Json]:
    texts = (f"Result of {id_}:", content)
    return {"role": "user", "content": [{"type": "text", "text": text} for text in texts]}


def wire_call(id_: str, name: str = "find") -> dict[str, Json]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": '{"q": 1}'}}


def compiled(
    request: ChatRequest, dialect: Dialect | None = None, **settings: Any
) -> tuple[dict[str, Json], list[Adjustment]]:
    report = AdjustmentReport(strict=request.strict)
    body = compile_chat(
        request,
        dialect or Dialect(),
        provider_id="tested",
        settings=ProviderSettings(**settings),
        report=report,
    )
    return body, report.adjustments


def messages(*conversation: Message, dialect: Dialect | None = None) -> tuple[Any, list[tuple[str, str]]]:
    body, adjustments = compiled(ask(conversation), dialect)
    return body["messages"], [(adjustment.subject, adjustment.action) for adjustment in adjustments]


def test_nothing_is_sent_that_was_not_set() -> None:
    assert compiled(ask()) == ({"model": "gpt-test", "messages": [{"role": "user", "content": "Hello"}]}, [])


def test_every_parameter_arrives() -> None:
    plain: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 10,
        "seed": 7,
        "n": 2,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "reasoning_effort": "low",
        "parallel_tool_calls": False,
    }
    schema = {"type": "object", "properties": {"q": {"type": "integer"}}}
    tool = Tool(name="find", description="Finds", parameters=schema, strict=True)
    form = ResponseFormat(type="json_schema", name="thing", description="A thing", json_schema=schema, strict=True)
    body, adjustments = compiled(
        ask(
            **plain,
            stop=["a", "b"],
            tools=[tool, Tool(name="bare")],
            tool_choice=NamedTool(name="find"),
            response_format=form,
            extra={"logprobs": True, "prompt_cache_key": "k"},
        )
    )
    assert not adjustments
    del body["messages"]
    assert body == {
        "model": "gpt-test",
        **plain,
        "stop": ["a", "b"],
        "tools": [
            {
                "type": "function",
                "function": {"name": "find", "description": "Finds", "parameters": schema, "strict": True},
            },
            {"type": "function", "function": {"name": "bare"}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "find"}},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "thing", "description": "A thing", "schema": schema, "strict": True},
        },
        "logprobs": True,
        "prompt_cache_key": "k",
    }
    assert compiled(ask(response_format=ResponseFormat(type="json_object")))[0]["response_format"] == {
        "type": "json_object"
    }


def test_a_conversation_with_tools() -> None:
    wire, adjustments = messages(
        text_message("system", "Be brief."),
        Message(role="user", parts=(TextPart(text="Find it"),), name="ann"),
        message("assistant", TextPart(text="Look"), TextPart(text="ing"), call("a"), call("b")),
        result("b", (TextPart(text="fo"), TextPart(text="und"))),
        result("a", "broken", is_error=True),
        message("assistant", TextPart(text="Done")),
    )
    assert not adjustments
    assert wire == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Find it", "name": "ann"},
        {"role": "assistant", "content": "Looking", "tool_calls": [wire_call("a"), wire_call("b")]},
        {"role": "tool", "tool_call_id": "a", "content": "Error: broken"},
        {"role": "tool", "tool_call_id": "b", "content": "found"},
        {"role": "assistant", "content": "Done"},
    ]


def test_content_of_users() -> None:
    wire, adjustments = messages(
        message(
            "user",
            TextPart(text="See", provider_metadata={"tested": {"cache_control": 1}, "other": {"x": 1}}),
            ImagePart(url="https://example.org/a.png", detail="low"),
            ImagePart(data="QUJD", media_type="image/webp"),
            FilePart(data="QUJD", media_type="audio/mpeg"),
            FilePart(data="QUJD", media_type="application/pdf", filename="a.pdf"),
            FilePart(file_id="file-1"),
            FilePart(url="data:application/pdf;base64,QUJD"),
            FilePart(url="https://example.org/a.pdf"),
        ),
    )
    assert wire[0]["content"] == [
        {"type": "text", "text": "See", "cache_control": 1},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/webp;base64,QUJD"}},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"filename": "file.pdf", "file_data": "data:application/pdf;base64,QUJD"}},
    ]
    assert adjustments == [("file", "dropped")]


def test_media_that_the_vendor_does_not_take_are_reported() -> None:
    parts = (
        TextPart(text="See"),
        ImagePart(url="https://example.org/a.png"),
        FilePart(data="A", media_type="audio/wav"),
    )
    wire, adjustments = messages(message("user", *parts), dialect=Dialect(media=()))
    assert wire == [{"role": "user", "content": [{"type": "text", "text": "See"}]}]
    assert adjustments == [("image", "dropped"), ("audio", "dropped")]


def test_calls_without_results_and_results_without_calls_are_repaired() -> None:
    wire, adjustments = messages(
        result("nobody"),
        message("assistant", call("a"), call("b")),
        text_message("user", "Well?"),
        result("b"),
        result("c"),
        message("assistant", call("d")),
    )
    assert wire == [
        stray("nobody"),
        {"role": "assistant", "content": None, "tool_calls": [wire_call("a"), wire_call("b")]},
        {"role": "tool", "tool_call_id": "a", "content": "Error: no result was given"},
        {"role": "tool", "tool_call_id": "b", "content": "found"},
        {"role": "user", "content": "Well?"},
        stray("c"),
        {"role": "assistant", "content": None, "tool_calls": [wire_call("d")]},
        {"role": "tool", "tool_call_id": "d", "content": "Error: no result was given"},
    ]
    assert sorted(adjustments) == [
        ("tool_call", "mapped"),
        ("tool_result", "mapped"),
        ("tool_result", "mapped"),
    ]


def test_calls_of_one_id_get_a_result_each_and_a_result_too_many_is_reported() -> None:
    wire, adjustments = messages(
        message("assistant", call("a"), call("a")), result("a", "one"), result("a", "two"), result("a", "three")
    )
    first, second = (each["id"] for each in wire[0]["tool_calls"])
    assert first == "a"
    assert second != "a"
    assert [(each["tool_call_id"], each["content"]) for each in wire[1:3]] == [("a", "one"), (second, "two")]
    assert wire[3:] == [stray("a", "three")]
    assert adjustments == [("tool_result", "mapped")]


def test_an_image_in_a_system_prompt_is_left_out_and_reported() -> None:
    image = ImagePart(url="https://x.example/y.png")
    wire, adjustments = messages(
        message("system", TextPart(text="Be brief."), image), message("system", image), text_message("user", "Hi")
    )
    assert wire == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert adjustments == [("image", "dropped")]


def test_the_same_of_a_clients_own_prompt() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://x.example/y.png"}}
    written = {"role": "developer", "content": [{"type": "text", "text": "Be brief."}, image]}
    said = message("system", TextPart(text="Be brief."), ImagePart(url="https://x.example/y.png"))
    body, adjustments = compiled(ask([said], native=NativeRequest(OPENAI_CHAT, {"messages": [written]})))
    assert body["messages"] == [{"role": "system", "content": "Be brief."}]
    assert [(each.subject, each.action) for each in adjustments] == [("image", "dropped")]


@pytest.mark.parametrize(
    ("called", "answered", "kept"),
    [
        ({"function_call": {"name": "find", "arguments": "{}"}}, {"role": "function", "name": "find"}, True),
        ({"function_call": {"name": "find", "arguments": "{}"}}, {"role": "tool", "tool_call_id": "call_0"}, True),
        ({"function_call": {"name": "find", "arguments": "{}"}}, {"role": "function", "name": "other"}, False),
        ({"tool_calls": [wire_call("a")]}, {"role": "tool", "tool_call_id": "a"}, True),
        ({"tool_calls": [wire_call("a")]}, {"role": "tool", "tool_call_id": "b"}, False),
        ({"tool_calls": [wire_call("a")]}, {"role": "function", "name": "find"}, False),
        ({"tool_calls": [wire_call("a"), wire_call("a")]}, {"role": "tool", "tool_call_id": "a"}, False),
        ({"tool_calls": [wire_call("a"), wire_call("b")]}, {"role": "tool", "tool_call_id": "a"}, False),
    ],
)
def test_a_clients_own_calls_go_as_they_are_with_a_result_for_each(
    called: dict[str, Json], answered: dict[str, Json], kept: bool
) -> None:
    wire = [{"role": "assistant", "content": None, **called}, {"content": "found", **answered}]
    body, adjustments = compiled(read_chat({"model": "m", "messages": wire}, deadline=Deadline.after(5)))
    assert (body["messages"] == wire) is kept
    assert bool(adjustments) is not kept


def test_what_goes_as_it_is_is_not_read() -> None:
    wire = [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": None, "refusal": None, "annotations": [], "tool_calls": [wire_call("a")]},
        {"role": "tool", "tool_call_id": "a", "content": "found"},
    ]
    tools = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]
    given = {"messages": wire, "tools": tools}

    def read() -> list[Any]:
        raise AssertionError("nobody asked for it")

    asked = ask([], native=NativeRequest(OPENAI_CHAT, given))
    body, _ = compiled(
        replace(asked, messages=Late(read, len(wire)), tools=Late(read, len(tools))), Dialect(refusal_field=True)
    )
    assert body["messages"] == wire
    assert body["tools"] == tools


def test_an_empty_refusal_says_nothing() -> None:
    wire, adjustments = messages(message("assistant", RefusalPart(text="")), dialect=Dialect(refusal_field=True))
    assert wire == [{"role": "user", "content": "(nothing was said)"}]
    assert adjustments == [("message", "mapped"), ("message", "mapped")]


@pytest.mark.parametrize(
    ("metadata", "reported"),
    [
        (None, [("reasoning", "dropped")]),
        ({"other": {}}, [("reasoning", "dropped")]),
        ({"tested": {"field": "reasoning_content"}}, []),
    ],
)
def test_thoughts_that_are_not_given_back_are_reported_but_for_its_own(
    metadata: Any, reported: list[tuple[str, str]]
) -> None:
    thought = ReasoningPart(text="hm", provider_metadata=metadata)
    wire, adjustments = messages(message("assistant", thought, TextPart(text="a")), text_message("user", "b"))
    assert wire[0] == {"role": "assistant", "content": "a"}
    assert adjustments == reported


def test_ids_that_the_vendor_refuses_are_mapped_alike_on_both_sides() -> None:
    dialect = Dialect(tool_call_id="[a-zA-Z0-9]{9}", tool_call_id_length=9)
    conversation = (message("assistant", call("functions.find:0"), call("abcdefghi")), result("functions.find:0"))
    wire, _ = messages(*conversation, result("abcdefghi"), dialect=dialect)
    ids = [c["id"] for c in wire[0]["tool_calls"]]
    assert ids[1] == "abcdefghi"
    assert len(ids[0]) == 9
    assert ids[0].isalnum()
    assert [m["tool_call_id"] for m in wire[1:]] == ids
    assert messages(*conversation, result("abcdefghi"), dialect=dialect)[0] == wire


def test_images_of_a_result_follow_it() -> None:
    content = (TextPart(text="a map"), ImagePart(url="https://example.org/m.png"))
    wire, adjustments = messages(message("assistant", call("a"), call("b")), result("a", content), result("b"))
    assert [m["role"] for m in wire] == ["assistant", "tool", "tool", "user"]
    assert wire[1]["content"] == "a map"
    assert wire[3]["content"][1] == {"type": "image_url", "image_url": {"url": "https://example.org/m.png"}}
    assert adjustments == [("tool_result", "mapped")]


def test_what_an_assistant_message_cannot_hold_is_reported() -> None:
    wire, adjustments = messages(
        message("assistant"),
        message("assistant", TextPart(text="")),
        message("assistant", OpaquePart(provider_metadata={"other": {}}), TextPart(text="Hi")),
    )
    assert wire == [{"role": "assistant", "content": "Hi"}]
    assert adjustments == [("message", "mapped"), ("opaque", "dropped")]


@pytest.mark.parametrize("own_field", [True, False])
def test_refusals(own_field: bool) -> None:
    wire, _ = messages(message("assistant", RefusalPart(text="No.")), dialect=Dialect(refusal_field=own_field))
    expected = {"content": None, "refusal": "No."} if own_field else {"content": "No."}
    assert wire == [{"role": "assistant", **expected}]


THOUGHT = (
    text_message("user", "1"),
    message("assistant", ReasoningPart(text="old", provider_metadata={"tested": {}}), TextPart(text="One")),
    text_message("user", "2"),
    message("assistant", ReasoningPart(text="new", provider_metadata={"tested": {}}), call("a")),
    result("a"),
)


@pytest.mark.parametrize(("mode", "replayed"), [("none", []), ("tool_turn", ["new"]), ("all", ["old", "new"])])
def test_reasoning_is_given_back_as_the_vendor_wants_it(mode: Any, replayed: list[str]) -> None:
    wire, adjustments = messages(*THOUGHT, dialect=Dialect(replay_reasoning=mode))
    assert [m["reasoning_content"] for m in wire if "reasoning_content" in m] == replayed
    assert not adjustments


def test_what_another_model_thought_is_left_out_and_reported() -> None:
    foreign = ReasoningPart(text="hm", provider_metadata={"other": {"signature": "s"}})
    wire, adjustments = messages(
        message("assistant", foreign, TextPart(text="Hi")), dialect=Dialect(replay_reasoning="all")
    )
    assert wire == [{"role": "assistant", "content": "Hi"}]
    assert adjustments == [("reasoning", "dropped")]


def test_own_metadata_of_a_call_goes_back_and_anothers_does_not() -> None:
    foreign = ToolCallPart(id="b", name="find", arguments='{"q": 1}', provider_metadata={"other": {"x": 1}})
    own = call("a", extra_content={"google": {"thought_signature": "s"}})
    custom = ToolCallPart(id="c", name="run", arguments="ls", provider_metadata={"tested": {"type": "custom"}})
    wire, _ = messages(message("assistant", own, foreign, custom), result("a"), result("b"), result("c"))
    assert wire[0]["tool_calls"] == [
        {**wire_call("a"), "extra_content": {"google": {"thought_signature": "s"}}},
        wire_call("b"),
        {"id": "c", "type": "custom", "custom": {"name": "run", "input": "ls"}},
    ]


def test_defaults_hold_where_the_caller_sets_none() -> None:
    settings: dict[str, Any] = {"default_temperature": 0.3, "default_max_tokens": 99}
    body, _ = compiled(ask(), **settings)
    assert (body["temperature"], body["max_tokens"]) == (0.3, 99)
    body, _ = compiled(ask(temperature=0.0, max_tokens=1), **settings)
    assert (body["temperature"], body["max_tokens"]) == (0.0, 1)
    native = NativeRequest(OPENAI_CHAT, {"max_completion_tokens": 5, "temperature": 1})
    body, _ = compiled(ask(native=native), Dialect(limits=("max_completion_tokens",)), **settings)
    assert (body["temperature"], body["max_completion_tokens"]) == (1, 5)
    assert "max_tokens" not in body


def test_a_default_that_the_model_refuses_is_not_sent() -> None:
    dialect = Dialect(refused=[Refused(parameters={"temperature": None})])
    assert "temperature" not in compiled(ask(strict=True), dialect, default_temperature=0.3)[0]


SPELT = Dialect(
    limits=("max_tokens",),
    limits_of={"think-.*": ("max_completion_tokens",)},
    refused=[Refused(parameters={"temperature": 1, "stop": None}, models="think-.*", reason="it cannot")],
    renamed={"seed": "random_seed"},
    tool_choices={"required": "any"},
    named_tool_choice=False,
    stream_usage=False,
)


@pytest.mark.parametrize("native", [False, True])
def test_differences_apply_to_native_and_canonical_requests(native: bool) -> None:
    fields: dict[str, Any] = {"temperature": 0.5, "seed": 7, "max_tokens": 10, "tool_choice": "required"}
    client = NativeRequest(OPENAI_CHAT, {"messages": [], "stop": ["a"], **fields})
    request = (
        ask(model="think-1", stream=True, native=client)
        if native
        else ask(model="think-1", stream=True, stop=["a"], **fields)
    )
    body, adjustments = compiled(request, SPELT)
    del body["messages"]
    assert body == {
        "model": "think-1",
        "max_completion_tokens": 10,
        "random_seed": 7,
        "tool_choice": "any",
        "stream": True,
    }
    reported = {(adjustment.subject, adjustment.action) for adjustment in adjustments}
    lost = {("temperature", "dropped"), ("stop", "dropped")}
    assert reported == lost | ({("max_tokens", "mapped")} if native else set())


def test_the_value_that_a_model_takes_is_no_loss() -> None:
    body, adjustments = compiled(ask(model="think-1", temperature=1), SPELT)
    assert body["temperature"] == 1
    assert not adjustments


def test_a_strict_caller_is_refused_instead() -> None:
    with pytest.raises(UnsupportedParameter, match="temperature would be dropped") as caught:
        compiled(ask(model="think-1", temperature=0.5, strict=True), SPELT)
    assert caught.value.param == "temperature"


def test_one_tool_is_demanded_as_any_where_the_vendor_has_no_name_for_it() -> None:
    body, adjustments = compiled(ask(tool_choice=NamedTool(name="find")), SPELT)
    assert body["tool_choice"] == "any"
    assert [(a.subject, a.action) for a in adjustments] == [("tool_choice", "downgraded")]


def test_only_known_fields_reach_a_vendor_that_refuses_others() -> None:
    native = NativeRequest(OPENAI_CHAT, {"messages": [], "seed": 1, "safe_prompt": True, "logit_bias": {}})
    dialect = Dialect(accepted={"model", "messages", "random_seed", "safe_prompt"}, renamed={"seed": "random_seed"})
    body, adjustments = compiled(ask([], native=native), dialect)
    assert body == {"model": "gpt-test", "messages": [], "random_seed": 1, "safe_prompt": True}
    assert [a.subject for a in adjustments] == ["logit_bias"]


def test_a_request_in_another_dialect_is_compiled() -> None:
    request = ask(native=NativeRequest("anthropic.messages", {"system": "x"}))
    assert "system" not in compiled(request)[0]
    mine = ask(native=NativeRequest(OPENAI_CHAT, {"x": 1}))
    assert "x" not in compiled(mine, Dialect(native_request=False))[0]


def test_a_vendors_own_tools_stay_beside_the_functions() -> None:
    body, _ = compiled(ask(tools=[Tool(name="add")], extra={"tools": [{"type": "web_search"}]}))

    assert body["tools"] == [{"type": "function", "function": {"name": "add"}}, {"type": "web_search"}]


def test_what_a_conversation_leaves_behind_by_design_does_not_refuse_a_strict_caller() -> None:
    foreign = {"another": {"signature": "s"}}
    thought = message("assistant", ReasoningPart(text="hm", provider_metadata=foreign), TextPart(text="yes"))
    opaque = message("assistant", OpaquePart(provider_metadata=foreign), TextPart(text="no"))

    body, adjustments = compiled(ask([text_message("user", "?"), thought, opaque], strict=True))

    assert [told["content"] for told in body["messages"]] == ["?", "yes", "no"]
    assert [(adjustment.subject, adjustment.action) for adjustment in adjustments] == [
        ("reasoning", "dropped"),
        ("opaque", "dropped"),
    ]
