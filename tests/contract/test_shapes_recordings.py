"""Real traffic of two vendors through the fakes that have their shape, against a second, small reader."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_providers.anthropic_shaped_compile import compile_request as to_anthropic
from fake_providers.anthropic_shaped_parse import MessageParser
from fake_providers.gemini_shaped_compile import compile_request as to_gemini
from fake_providers.gemini_shaped_parse import ContentParser
from fake_providers.shaped_wire import Wire
from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.provider_api import (
    PARTS,
    AdjustmentReport,
    ChatRequest,
    ChatResponse,
    Deadline,
    Message,
    ReasoningPart,
    text_message,
)

FOLDER = os.environ.get("ORCHESTRATOR_RECORDINGS")

if not FOLDER:
    pytest.skip("ORCHESTRATOR_RECORDINGS names no folder of recordings", allow_module_level=True)


def records(provider: str) -> list[Any]:
    """The chats of a vendor, as parameters of a test."""
    paths = [path for kind in ("chat", "chat_stream") for path in Path(FOLDER or "").glob(f"{provider}-{kind}-*.json")]
    assert paths, "the folder holds no such recordings"
    return [pytest.param(json.loads(path.read_text())["response_body"], id=path.stem) for path in sorted(paths)]


def events(body: Any) -> list[Wire]:
    """A body, or the events of a stream."""
    if isinstance(body, str):
        data = [line[5:].strip() for line in body.splitlines() if line.startswith("data:")]
        return [json.loads(line) for line in data if line != "[DONE]"]
    return body if isinstance(body, list) else [body]


def fold(parser: MessageParser | ContentParser, wire: list[Wire]) -> ChatResponse:
    folded = Fold()
    for event in wire:
        for canonical in parser.read(event):
            folded.add(canonical)
    return folded.response()


def again(message: Message) -> ChatRequest:
    """A conversation in which the message, as it is stored, is an earlier answer."""
    stored = PARTS.validate_json(PARTS.dump_json(message.parts, exclude_none=True))
    said = [text_message("user", "hi"), Message(role="assistant", parts=stored)]
    return ChatRequest(model="m", messages=said, deadline=Deadline.after(60))


def blocks_of(wire: list[Wire]) -> list[Wire]:
    """The content of an Anthropic answer, put together without the code under test."""
    if wire[0]["type"] == "message":
        return list(wire[0]["content"])
    blocks: dict[int, Wire] = {}
    for event in wire:
        if event["type"] == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"])
        elif event["type"] == "content_block_delta":
            block, delta = blocks[event["index"]], event["delta"]
            if delta["type"] == "input_json_delta":
                block["json"] = block.get("json", "") + delta["partial_json"]
            elif delta["type"] == "citations_delta":
                block["citations"] = [*(block.get("citations") or []), delta["citation"]]
            else:
                field = delta["type"].removesuffix("_delta")
                block[field] = block.get(field, "") + delta[field]
    for block in blocks.values():
        if written := block.pop("json", ""):
            block["input"] = json.loads(written)
    return [block for _, block in sorted(blocks.items())]


def sent_back(block: Wire) -> Wire:
    """What of a block is worth sending: no empty lists of citations."""
    return {name: value for name, value in block.items() if name != "citations" or value}


@pytest.mark.parametrize("body", records("anthropic"))
def test_anthropic(body: Any) -> None:
    wire = events(body)
    response = fold(MessageParser("claude", ()), wire)
    wanted = [sent_back(block) for block in blocks_of(wire) if block.get("text") != ""]

    assert response.complete
    assert response.message.text == "".join(block["text"] for block in wanted if block["type"] == "text")
    assert [call.name for call in response.message.tool_calls] == [
        block["name"] for block in wanted if block["type"] == "tool_use"
    ]
    ends = [event for event in wire if event["type"] == "message_delta"] or wire
    used = {**(wire[0].get("message") or wire[0])["usage"], **ends[-1]["usage"]}
    assert response.usage is not None
    assert response.usage.total_output == used["output_tokens"]
    assert response.usage.total_input == sum(
        used.get(name) or 0 for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    )
    compiled = to_anthropic(again(response.message), "claude", AdjustmentReport(strict=False))["messages"]
    assert (compiled[1]["content"] if wanted else compiled[1:]) == wanted


def parts_of(wire: list[Wire]) -> Iterator[Wire]:
    """The parts of Gemini's first candidate."""
    for chunk in wire:
        for candidate in chunk.get("candidates") or []:
            if not candidate.get("index"):
                yield from (candidate.get("content") or {}).get("parts") or []


@pytest.mark.parametrize("body", records("gemini"))
def test_gemini(body: Any) -> None:
    wire = events(body)
    response = fold(ContentParser("gemini", ()), wire)
    parts = list(parts_of(wire))
    message = response.message

    assert response.complete == any("finishReason" in c for chunk in wire for c in chunk["candidates"])
    assert message.text == "".join(part.get("text", "") for part in parts if not part.get("thought"))
    thoughts = "".join(part.text for part in message.parts if isinstance(part, ReasoningPart))
    assert thoughts == "".join(part["text"] for part in parts if part.get("thought"))
    assert [json.loads(call.arguments) for call in message.tool_calls] == [
        part["functionCall"]["args"] for part in parts if "functionCall" in part
    ]
    assert response.usage is not None
    used = wire[-1]["usageMetadata"]
    counts = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    total = used.get("totalTokenCount") or sum(used.get(name, 0) for name in counts)
    assert response.usage.total == total
    compiled = to_gemini(again(message), "gemini", AdjustmentReport(strict=False))["contents"]
    replayed = compiled[1]["parts"] if len(compiled) > 1 else []
    special = [part for part in parts if part.keys() - {"text", "thought"}]
    assert [part for part in replayed if part.keys() - {"text", "thought"}] == special
