"""Real traffic, recorded: what is read here against what a second, small reader finds in the same bytes."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from fake_upstreams.gemini_calls import fold
from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatResponse,
    ProviderAuthFailed,
    ProviderRateLimited,
    ProviderRefused,
    ReasoningPart,
    Usage,
    text_message,
)
from orchestrator_core.upstream.sse import EventParser
from orchestrator_gemini.answer import AnswerParser
from orchestrator_gemini.contents import ContentsCompiler
from orchestrator_gemini.embeddings import parse_embeddings
from orchestrator_gemini.errors import error_for_answer
from orchestrator_gemini.models import parse_models

FOLDER = os.environ.get("ORCHESTRATOR_RECORDINGS")
REASONS = {
    "STOP": "stop",
    1: "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "MALFORMED_FUNCTION_CALL": "stop",
}

if not FOLDER:
    pytest.skip("ORCHESTRATOR_RECORDINGS names no folder of recordings", allow_module_level=True)


def records(kind: str) -> list[Any]:
    paths = sorted(Path(FOLDER or "").glob(f"gemini-{kind}-*.json"))
    assert paths, "the folder holds no such recordings"
    return [pytest.param(json.loads(path.read_text()), id=path.stem) for path in paths]


def pieces(body: Any) -> list[bytes]:
    """The data of a stream's events, or a whole body; some streams were recorded as the list of their chunks."""
    if isinstance(body, str):
        parser = EventParser(1 << 26)
        return [event.data for event in parser.feed(body.encode() + b"\r\n\r\n") if event.data]
    return [json.dumps(each).encode() for each in (body if isinstance(body, list) else [body])]


def read(record: dict[str, Any]) -> ChatResponse:
    parser = AnswerParser("gemini")
    events = [event for data in pieces(record["response_body"]) for event in parser.read(data)]
    return fold([*events, *parser.end(whole=record["kind"] == "chat")])


def wire_chunks(body: Any) -> list[dict[str, Any]]:
    if isinstance(body, str):
        return [json.loads(line[5:]) for line in body.splitlines() if line.startswith("data:")]
    return body if isinstance(body, list) else [body]


@pytest.mark.parametrize("record", [*records("chat"), *records("chat_stream")])
def test_answers(record: dict[str, Any]) -> None:
    texts: defaultdict[bool, str] = defaultdict(str)
    calls: list[tuple[str, Any]] = []
    others: list[dict[str, Any]] = []
    signatures: list[str] = []
    reason: Any = None
    counts: dict[str, int] = {}
    for chunk in wire_chunks(record["response_body"]):
        counts.update({name: value for name, value in chunk["usageMetadata"].items() if isinstance(value, int)})
        (candidate,) = chunk["candidates"]
        reason = candidate.get("finishReason") or reason
        for part in (candidate.get("content") or {}).get("parts") or []:
            signatures += [part["thoughtSignature"]] if "thoughtSignature" in part else []
            if "text" in part:
                texts[bool(part.get("thought"))] += part["text"]
            elif "functionCall" in part:
                calls.append((part["functionCall"]["name"], part["functionCall"].get("args", {})))
            else:
                others.append(part)
    answer = read(record)
    (choice,) = answer.choices
    parts = choice.message.parts
    kept = [(part.provider_metadata or {}).get("gemini", {}) for part in parts]
    assert choice.message.text == texts[False]
    assert "".join(part.text for part in parts if isinstance(part, ReasoningPart)) == texts[True]
    assert [(call.name, json.loads(call.arguments)) for call in choice.message.tool_calls] == calls
    assert len({call.id for call in choice.message.tool_calls}) == len(calls)
    assert [each["thoughtSignature"] for each in kept if "thoughtSignature" in each] == signatures
    assert [each["part"] for each in kept if "part" in each] == others
    assert choice.finish_reason == ("tool_calls" if calls and REASONS[reason] == "stop" else REASONS[reason])
    cached = counts.get("cachedContentTokenCount", 0)
    assert answer.usage == Usage(
        counts.get("promptTokenCount", 0) + counts.get("toolUsePromptTokenCount", 0) - cached,
        cached,
        0,
        counts.get("candidatesTokenCount", 0),
        counts.get("thoughtsTokenCount", 0),
    )


@pytest.mark.parametrize("record", [*records("chat"), *records("chat_stream")])
def test_answers_go_back_as_they_came(record: dict[str, Any]) -> None:
    answer = read(record).message
    report = AdjustmentReport(strict=True)
    contents = ContentsCompiler("gemini", 2.5, report).compile([text_message("user", "Hello"), answer])
    came: list[dict[str, Any]] = []
    for chunk in wire_chunks(record["response_body"]):
        for candidate in chunk["candidates"]:
            for part in (candidate.get("content") or {}).get("parts") or []:
                grows = part.keys() in ({"text"}, {"text", "thought"})
                if grows and came and came[-1].keys() == part.keys():
                    came[-1] = {**part, "text": came[-1]["text"] + part["text"]}
                elif part.get("text") != "" or "thoughtSignature" in part:
                    came.append(part)
    sent = [part for content in contents if content["role"] == "model" for part in content["parts"]]
    assert [_without_id(part) for part in sent] == [_without_id(part) for part in came]
    with_ids = [part["functionCall"].get("id") for part in came if "functionCall" in part]
    if any("thoughtSignature" in part or "id" in part.get("functionCall", {}) for part in came):
        assert [part["functionCall"].get("id") for part in sent if "functionCall" in part] == with_ids


def _without_id(part: dict[str, Any]) -> dict[str, Any]:
    call = part.get("functionCall")
    return part if call is None else {**part, "functionCall": {"name": call["name"], "args": call.get("args", {})}}


@pytest.mark.parametrize("record", records("embeddings"))
def test_embeddings(record: dict[str, Any]) -> None:
    body = record["response_body"]
    vectors, usage = parse_embeddings(json.dumps(body).encode(), len(record["request_body"]["requests"]))
    assert vectors == [each["values"] for each in body["embeddings"]]
    assert usage == (Usage(body["usageMetadata"]["promptTokenCount"]) if "usageMetadata" in body else None)


@pytest.mark.parametrize("record", records("error"))
def test_errors(record: dict[str, Any]) -> None:
    wire = record["response_body"]["error"]
    error = error_for_answer(record["status"], {}, json.dumps(record["response_body"]).encode(), 0.0)
    kind = {400: ProviderAuthFailed, 404: ProviderRefused, 429: ProviderRateLimited}[record["status"]]
    assert type(error) is kind
    assert (error.upstream_status, error.upstream_type) == (record["status"], wire["status"])
    if kind is ProviderRateLimited and "RetryInfo" in json.dumps(wire):
        assert error.retry_after is not None


@pytest.mark.parametrize("record", records("models"))
def test_models(record: dict[str, Any]) -> None:
    found = parse_models(json.dumps(record["response_body"]).encode())
    assert [f"models/{model.id}" for model in found] == [each["name"] for each in record["response_body"]["models"]]
    assert "gemini-2.5-flash" in {model.id for model in found if "chat" in model.capabilities}
