"""What clients of OpenAI carry from one provider to the next is taken by each vendor, and else left as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from family import VENDORS
from orchestrator_core.openai_compatible.parse import AnswerParser
from orchestrator_core.provider_api import (
    AdjustmentReport,
    Deadline,
    ProviderContext,
    ProviderSettings,
    UnsupportedParameter,
)
from orchestrator_core.server.translate.openai_request import read_chat

NATIVE = ("openai", "grok", "qwen", "deepseek", "kimi")
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
TEXT = {"type": "text", "text": "see"}


def user(content: Any = "x", **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **fields}


def said(content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def call(id_: str = "abcdefghi", arguments: str = '{"city": "P"}') -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": "get", "arguments": arguments}}


def result(content: Any = "1", id_: str = "abcdefghi", **fields: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": content, **fields}


def compiled(name: str, *messages: dict[str, Any], strict: bool = False) -> tuple[list[Any], dict[str, str]]:
    """The messages for a vendor, which takes them, and what became of what."""
    client: Any = None
    options = {"logit_bias": {"1": 2}} if name in NATIVE else {}
    body = {"model": f"{name}/m", "messages": list(messages), **options}
    request = read_chat(body, deadline=Deadline.after(5), strict=strict)
    before = json.dumps(body)
    report = AdjustmentReport(strict=strict)
    kind = VENDORS[name].provider
    made = kind(ProviderContext(name, ProviderSettings(), client)).compile(request, report)
    assert [problem for rule in VENDORS[name].strict.rules for problem in rule.check(made, {})] == []
    assert json.dumps(body) == before
    assert {option: made.get(option) for option in options} == options
    return made["messages"], {change.subject: change.action for change in report.adjustments}


BROKEN: dict[str, tuple[list[dict[str, Any]], dict[str, str]]] = {
    "no result": ([user(), said(tool_calls=[call()]), user("never mind")], {"tool_call": "mapped"}),
    "no result at the end": ([user(), said(tool_calls=[call()])], {"tool_call": "mapped"}),
    "no call": ([user(), result(), user("so")], {"tool_result": "mapped"}),
    "one result too many": ([user(), said(tool_calls=[call()]), result(), result("2")], {"tool_result": "mapped"}),
    "a late result": ([user(), said(tool_calls=[call()]), user("wait"), result()], {}),
    "one id twice": ([user(), said(tool_calls=[call(), call()]), result("1"), result("2")], {}),
    "a long id": ([user(), said(tool_calls=[call("c" * 60)]), result(id_="c" * 60)], {}),
    "an id with spaces": ([user(), said(tool_calls=[call("a b")]), result(id_="a b")], {}),
    "a result without content": ([user(), said(tool_calls=[call()]), result(None)], {}),
    "a null answer": ([user(), said(), user()], {"message": "mapped"}),
    "nothing but a name": ([user(), said([], name="bob"), user()], {"message": "mapped"}),
    "an image from a tool": (
        [user(), said(tool_calls=[call()]), result([TEXT, PNG])],
        {"tool_result": "mapped"},
    ),
}


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("broken", BROKEN)
def test_a_history_that_would_be_refused_is_mended(name: str, broken: str) -> None:
    history, expected = BROKEN[broken]
    whole = [user("Before", name="bob"), said("Yes.", annotations=[]), *history, user("After", name="bob")]
    sent, changes = compiled(name, *whole)
    if name == "deepseek" and broken == "an image from a tool":
        expected = {"image": "dropped"}
    changes.pop("reasoning", None)  # the blank that stands for it
    assert changes == expected
    # What needs no mending is sent as the client wrote it.
    assert sent[:2] == whole[:2]
    assert sent[-1] == whole[-1]
    lost = [subject for subject, action in expected.items() if action == "dropped"]
    if lost:
        with pytest.raises(UnsupportedParameter) as refused:
            compiled(name, *whole, strict=True)
        assert refused.value.param == lost[0]
    else:
        assert compiled(name, *whole, strict=True)[0] == sent


@pytest.mark.parametrize("name", NATIVE)
def test_a_call_that_is_whole_goes_as_it_is(name: str) -> None:
    unknown = {} if name == "openai" else {"foo": 1}  # which refuses it by name
    history = [
        user([TEXT], **unknown),
        said("so", tool_calls=[{**call("b"), **unknown}, call("a")], reasoning_content="hm"),
        result([TEXT], "a", **unknown),
        result("2", "b"),
        said("Done.", annotations=[]),
        user("and?"),
    ]
    sent, changes = compiled(name, *history)
    if name == "openai":
        del history[1]["reasoning_content"]
        assert changes == {"reasoning": "dropped"}
    else:
        assert changes == {}
    assert sent == history


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("fields", [{}, {"reasoning_content": "hm"}])
def test_an_empty_answer(name: str, fields: dict[str, str]) -> None:
    sent, _ = compiled(name, user(), said("", **fields), user())
    if name == "openai":  # recording openai-chat_stream-e977f5afba
        assert sent == [user(), said(""), user()]
    elif fields and name in ("deepseek", "kimi"):
        assert sent == [user(), said("", **fields), user()]
        assert compiled(name, user(), said(None, **fields), user())[0] == sent
    else:
        assert sent == [user(), user()]


@pytest.mark.parametrize("name", ["grok", "qwen", "deepseek", "kimi"])
def test_arguments_that_were_cut_off(name: str) -> None:
    sent, changes = compiled(name, user(), said(tool_calls=[call(arguments='{"city":')]), result("e"))
    assert json.loads(sent[1]["tool_calls"][0]["function"]["arguments"]) == {"incomplete": '{"city":'}
    assert changes["tool_call"] == "mapped"


@pytest.mark.parametrize("name", ["grok", "qwen", "deepseek", "kimi"])
@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 100_000 + "]" * 100_000])
@pytest.mark.parametrize("answers", [(), (result("e"),)])
def test_arguments_too_deep_to_be_read_are_given_as_a_text(name: str, text: str, answers: tuple[Any, ...]) -> None:
    sent, changes = compiled(name, user(), said(tool_calls=[call(arguments=text)]), *answers)
    assert json.loads(sent[1]["tool_calls"][0]["function"]["arguments"]) == {"incomplete": text}
    assert changes["tool_call"] == "mapped"


TAKEN = {
    "image": (PNG, {"openai", "grok", "qwen", "kimi"}),
    "file": (PDF, {"openai"}),
    "audio": (SOUND, {"openai", "qwen"}),
}


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("kind", TAKEN)
@pytest.mark.parametrize("asked", [True, False])
def test_media_that_a_vendor_does_not_take(name: str, kind: str, *, asked: bool) -> None:
    part, takers = TAKEN[kind]
    history = [user([TEXT, part]), *([] if asked else [said("ok"), user("c")])]
    sent, changes = compiled(name, *history)
    assert changes == ({} if name in takers else {kind: "dropped"})
    if name not in takers:
        assert sent[0]["content"] in ("see", [TEXT])
        with pytest.raises(UnsupportedParameter) as refused:
            compiled(name, *history, strict=True)
        assert refused.value.param == kind
    elif (name, kind) == ("qwen", "audio"):
        assert sent[0]["content"][1]["input_audio"]["data"].startswith("data:audio/wav;base64,")
    else:
        assert sent == history


@pytest.mark.parametrize("name", [*NATIVE, "mistral"])
@pytest.mark.parametrize("answer", [said(refusal="I WONT"), said([{"type": "refusal", "refusal": "I WONT"}])])
def test_a_refusal_is_a_text_where_there_is_no_field_for_it(name: str, answer: dict[str, Any]) -> None:
    sent, changes = compiled(name, user(), answer, user())
    assert sent[1] == (answer if name == "openai" else said("I WONT"))
    assert changes == {}
    assert "refusal" not in compiled(name, user(), said("Yes.", refusal=None), user())[0][1] or name == "openai"


def answered(name: str, *, stream: bool) -> dict[str, Any]:
    """An answer with a thought, as a client of OpenAI gets it from a vendor and joins it."""
    dialect = VENDORS[name].provider.dialect
    parser = AnswerParser(dialect, name, native=True)
    if not stream:
        message = said("Yes.", reasoning_content=f"thought of {name}")
        (event, *_) = parser.body(json.dumps({"choices": [{"index": 0, "message": message}]}).encode())
        assert event.native is not None
        whole: dict[str, Any] = json.loads(event.native.data)["choices"][0]["message"]
        return whole
    joined: dict[str, Any] = {"role": "assistant"}
    deltas = [{"reasoning_content": "thought "}, {"reasoning_content": f"of {name}"}, {"content": "Yes."}]
    for delta in deltas:
        chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for event in parser.chunk(json.dumps(chunk).encode()):
            if event.native is not None:
                for field, value in json.loads(event.native.data)["choices"][0]["delta"].items():
                    assert field != "extra_content" or field not in joined, "joined texts would be wrong"
                    joined[field] = joined[field] + value if isinstance(joined.get(field), str) else value
    return joined


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", ["mistral", "grok", "qwen", "deepseek", "kimi"])
@pytest.mark.parametrize("other", [*NATIVE, "mistral"])
def test_a_thought_is_for_its_own_provider_alone(name: str, other: str, *, stream: bool) -> None:
    kept = answered(name, stream=stream)
    sent, changes = compiled(other, user(), kept, user())
    written = json.dumps(sent)
    if other != name:
        assert "thought" not in written
        assert changes == {"reasoning": "dropped"}
    else:
        assert f"thought of {name}" in written
        assert changes == {}
    assert "extra_content" not in written
    assert sent[1]["content"] == "Yes." or other == name
