"""Real traffic, recorded: what is read here against what a second, small reader finds in the same bytes."""

from __future__ import annotations

import base64
import json
import os
import struct
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator_core.openai_compatible import Dialect
from orchestrator_core.openai_compatible.compile import compile_chat
from orchestrator_core.openai_compatible.embeddings import parse_embeddings
from orchestrator_core.openai_compatible.errors import error_for_answer
from orchestrator_core.openai_compatible.models import parse_models
from orchestrator_core.openai_compatible.parse import AnswerParser
from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    AdjustmentReport,
    ChatEvent,
    ChatRequest,
    ContextTooLong,
    Deadline,
    Finish,
    NativeRequest,
    ProviderAuthFailed,
    ProviderRateLimited,
    ProviderRefused,
    ProviderSettings,
    ReasoningPart,
    RefusalPart,
    Start,
)
from orchestrator_core.server.translate.fields import Fields
from orchestrator_core.server.translate.openai_messages import read_messages
from orchestrator_core.upstream.sse import EventParser
from orchestrator_openai import OpenAIProvider

FOLDER = os.environ.get("ORCHESTRATOR_RECORDINGS")
FAMILY = ("openai", "mistral", "grok", "qwen", "deepseek", "kimi", "other")
REASONS = {"function_call": "tool_calls", "model_length": "length"}

if not FOLDER:
    pytest.skip("ORCHESTRATOR_RECORDINGS names no folder of recordings", allow_module_level=True)


def records(*kinds: str) -> list[Any]:
    """The recordings of the family, as parameters of a test."""
    found = []
    for path in sorted(Path(FOLDER or "").glob("*.json")):
        provider, kind = path.name.split("-")[:2]
        if provider in FAMILY and kind in kinds:
            found.append(pytest.param(json.loads(path.read_text()), id=path.stem))
    assert found, "the folder holds no such recordings"
    return found


@dataclass
class Expected:
    """What the bytes say of one choice."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    finish: str | None = None
    calls: list[list[Any]] = field(default_factory=list)


def read(bodies: list[dict[str, Any]]) -> tuple[list[Expected], dict[str, Any] | None]:
    """Read an answer without any of the code under test."""
    choices: dict[int, Expected] = defaultdict(Expected)
    usage = None
    for body in bodies:
        usage = body.get("usage") or usage
        for wire in body["choices"]:
            usage = wire.get("usage") or usage
            choice = choices[wire.get("index") or 0]
            message = wire.get("delta") or wire.get("message") or {}
            content = message.get("content")
            for part in content if isinstance(content, list) else []:
                if part["type"] == "thinking":
                    choice.reasoning += "".join(piece["text"] for piece in part["thinking"])
                elif part["type"] == "text":
                    choice.text += part["text"]
            choice.text += content if isinstance(content, str) else ""
            choice.reasoning += message.get("reasoning_content") or message.get("reasoning") or ""
            choice.refusal += message.get("refusal") or ""
            for call in message.get("tool_calls") or []:
                function, index = call["function"], call.get("index")
                same = [
                    c
                    for c in choice.calls
                    if index is not None and c[0] == index and call.get("id") in (None, "", c[1])
                ]
                if same:
                    same[-1][3] += function.get("arguments") or ""
                else:
                    choice.calls.append([index, call.get("id"), function["name"], function.get("arguments") or ""])
            choice.finish = wire.get("finish_reason") or choice.finish
    return [choices[index] for index in sorted(choices)], usage


def parse(record: dict[str, Any]) -> tuple[list[ChatEvent], list[dict[str, Any]], list[bytes]]:
    """Run the parser over a record; also return its JSON and its raw events."""
    answer = record["response_body"]
    parser = AnswerParser(Dialect(), "tested", native=True)
    if isinstance(answer, dict):
        data = json.dumps(answer, ensure_ascii=False).encode()
        return parser.body(data), [answer], [data]
    reader = EventParser(1 << 23)
    raw = [event.data for event in reader.feed(answer.encode()) if event.data != b"[DONE]"]
    events = [event for data in raw for event in parser.chunk(data)]
    assert parser.complete(closed=True)
    return events, [json.loads(data) for data in raw], raw


def without_mark(data: bytes) -> dict[str, Any]:
    """What a client gets, without the mark of whose thought and whose fields it has."""
    body: dict[str, Any] = json.loads(data)
    for choice in body["choices"]:
        mark = (choice.get("delta") or choice["message"]).pop("extra_content")
        assert mark.keys() == {"tested"}
        assert mark["tested"].keys() <= {"field", "fields"}
        assert mark["tested"].get("field") in (None, "reasoning_content")
    return body


def assert_only_respelt(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Check what a client of OpenAI gets: the usual fields, and of the rest what there was."""
    usage = ours.get("usage")
    if usage:
        reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
        assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]
        assert usage["completion_tokens"] >= reasoning
    for choice, original in zip(ours["choices"], theirs["choices"], strict=True):
        moved: dict[str, Any] = {"delta": None, "message": None, "usage": None}
        message = choice.get("delta") or choice.get("message") or {}
        assert message.get("content") is None or isinstance(message["content"], str)
        for call in message.get("tool_calls") or []:
            assert call["id"]
            assert "message" in choice or isinstance(call["index"], int)
        assert {**original, **moved} == {**choice, **moved}
    kept = ours.keys() - {"usage", "choices"}
    assert {name: ours[name] for name in kept} == {name: theirs[name] for name in kept}
    assert theirs.keys() - {"usage", "choices"} == kept


@pytest.mark.parametrize("record", records("chat", "chat_stream"))
def test_an_answer_is_read_as_its_bytes_say(record: dict[str, Any]) -> None:
    if str(record["response_body"]).startswith("event: error"):
        with pytest.raises(ProviderRefused, match="did not match schema"):
            parse(record)
        return
    events, bodies, raw = parse(record)
    expected, usage = read(bodies)
    fold = Fold()
    for event in events:
        fold.add(event)
    answer = fold.response()

    assert isinstance(events[0], Start)
    assert answer.complete
    carried = [event.native.data for event in events if event.native]
    assert len(carried) == len(raw)
    for ours, theirs in zip(carried, raw, strict=True):
        if record["provider"] in ("openai", "deepseek", "qwen", "other"):
            assert ours == theirs or without_mark(ours) == json.loads(theirs)
        elif ours != theirs:
            assert_only_respelt(json.loads(ours), json.loads(theirs))
    assert len(answer.choices) == len(expected)
    for choice, wanted in zip(answer.choices, expected, strict=True):
        parts = choice.message.parts
        assert choice.message.text == wanted.text
        assert "".join(part.text for part in parts if isinstance(part, ReasoningPart)) == wanted.reasoning
        assert "".join(part.text for part in parts if isinstance(part, RefusalPart)) == wanted.refusal
        calls = choice.message.tool_calls
        assert [(call.name, call.arguments) for call in calls] == [(call[2], call[3]) for call in wanted.calls]
        assert [call.id for call, w in zip(calls, wanted.calls, strict=True) if w[1]] == [
            w[1] for w in wanted.calls if w[1]
        ]
        assert all(call.id for call in calls)
        assert choice.native_finish_reason == wanted.finish
        word = REASONS.get(wanted.finish or "", wanted.finish)
        assert choice.finish_reason == ("tool_calls" if word == "stop" and wanted.calls else word)
    assert len([event for event in events if isinstance(event, Finish)]) == len(expected)
    if usage is None:
        assert answer.usage is None
        return
    assert answer.usage is not None
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    assert answer.usage.total_input == usage["prompt_tokens"]
    assert answer.usage.reasoning_tokens == reasoning
    assert answer.usage.total == usage["total_tokens"]
    cached = [
        (usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
        *(usage.get(name) for name in ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens")),
    ]
    assert answer.usage.cached_input_tokens == next((count for count in cached if count), 0)


@pytest.mark.parametrize("record", records("embeddings"))
def test_vectors_are_read_as_their_bytes_say(record: dict[str, Any]) -> None:
    answer = record["response_body"]
    rows = sorted(answer["data"], key=lambda row: row["index"])
    wanted = []
    for row in rows:
        raw = row["embedding"]
        if isinstance(raw, str):
            raw = [number for (number,) in struct.iter_unpack("<f", base64.b64decode(raw))]
        wanted.append(raw)
    response = parse_embeddings(json.dumps(answer).encode(), len(rows))
    assert [list(vector) for vector in response.vectors] == wanted
    assert response.usage is not None
    assert response.usage.total_input == answer["usage"]["prompt_tokens"]


@pytest.mark.parametrize("record", records("error"))
def test_an_error_keeps_its_class_and_hides_what_it_must(record: dict[str, Any]) -> None:
    answer, status = record["response_body"], record["status"]
    body = answer if isinstance(answer, str) else json.dumps(answer)
    error = error_for_answer(status, record["response_headers"], body.encode(), 0.0)
    text = json.dumps(answer)
    assert error.message
    assert error.upstream_status == status
    if status in (401, 403) or "Incorrect API key" in text:
        assert type(error) is ProviderAuthFailed
        assert "API key" not in error.message
    elif "context length" in text or "context_length_exceeded" in text:
        assert type(error) is ContextTooLong
    elif status == 429:
        assert type(error) is ProviderRateLimited
    else:
        assert type(error) is ProviderRefused
        assert error.status == status
        assert error.message in text.encode().decode("unicode_escape")


@pytest.mark.parametrize("record", [r for r in records("models") if r.values[0]["status"] == 200])
def test_a_list_of_models_is_read_whole(record: dict[str, Any]) -> None:
    answer = record["response_body"]
    if "data" not in answer:
        pytest.skip("the recording is of one model")
    assert [model.id for model in parse_models(json.dumps(answer).encode())] == [row["id"] for row in answer["data"]]


@pytest.mark.parametrize("record", [r for r in records("chat", "chat_stream") if r.values[0]["provider"] == "openai"])
def test_a_native_request_is_sent_as_it_was_recorded(record: dict[str, Any]) -> None:
    recorded = record["request_body"]
    if recorded is None:
        pytest.skip("the recording has no request")
    stream = bool(recorded.get("stream"))
    request = ChatRequest(
        model=recorded["model"],
        messages=read_messages(Fields(recorded)),
        deadline=Deadline.after(1),
        stream=stream,
        native=NativeRequest(OPENAI_CHAT, {**recorded, "model": "openai/" + recorded["model"]}),
    )
    report = AdjustmentReport(strict=True)
    body = compile_chat(
        request, OpenAIProvider.dialect, provider_id="openai", settings=ProviderSettings(), report=report
    )
    if stream:
        recorded = {**recorded, "stream_options": {**recorded.get("stream_options", {}), "include_usage": True}}
    else:
        recorded = {name: value for name, value in recorded.items() if name != "stream"}
    if "max_tokens" not in recorded or "max_tokens" in body:
        assert body == recorded
        assert not report.adjustments
