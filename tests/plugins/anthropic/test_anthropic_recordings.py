"""Real traffic: answers against a second, small reader, errors by their class, and answers given back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fake_upstreams.anthropic_calls import ask, events_of, folded, provider_at
from fake_upstreams.openai_server import OpenAIServer
from orchestrator_anthropic.compile import compile_chat
from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    PARTS,
    AdjustmentReport,
    Message,
    NativeRequest,
    ProviderAuthFailed,
    ProviderError,
    ProviderRefused,
    ProviderSettings,
    ReasoningPart,
    text_message,
)

FOLDER = os.environ.get("ORCHESTRATOR_RECORDINGS")

if not FOLDER:
    pytest.skip("ORCHESTRATOR_RECORDINGS names no folder of recordings", allow_module_level=True)

Wire = dict[str, Any]


def records(kind: str) -> list[Any]:
    paths = sorted(Path(FOLDER or "").glob(f"anthropic-{kind}-*.json"))
    assert paths, "the folder holds no such recordings"
    return [pytest.param(json.loads(path.read_text()), id=path.stem) for path in paths]


def wire_of(body: Any) -> list[Wire]:
    """A body, or the events of a stream."""
    if not isinstance(body, str):
        return [body]
    data = [line[5:].strip() for line in body.splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in data if line != "[DONE]"]


def blocks_of(wire: list[Wire]) -> list[Wire]:
    """The content of an answer, put together without the code under test."""
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


def serve(server: OpenAIServer, record: Any) -> bool:
    """Script the recorded answer; say whether it is a stream."""
    body = record["response_body"]
    if isinstance(body, str):
        server.answers_raw(body.encode(), record["status"], "text/event-stream")
    else:
        server.answers(body, record["status"])
    return isinstance(body, str)


@pytest.mark.parametrize("record", [*records("chat"), *records("chat_stream")])
async def test_answers(record: Any) -> None:
    wire = wire_of(record["response_body"])
    async with OpenAIServer() as server, provider_at(server.base_url) as provider:
        response = await folded(provider, ask(stream=serve(server, record)))
        native = NativeRequest(ANTHROPIC_MESSAGES, record["request_body"] or {})
        events = await events_of(provider, ask(stream=serve(server, record), native=native))
    blocks = blocks_of(wire)
    message = response.message

    assert response.complete
    assert message.text == "".join(block["text"] for block in blocks if block["type"] == "text")
    thoughts = "".join(part.text for part in message.parts if isinstance(part, ReasoningPart))
    assert thoughts == "".join(block["thinking"] for block in blocks if block["type"] == "thinking")
    called = [(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
    assert [(call.id, call.name, json.loads(call.arguments)) for call in message.tool_calls] == called
    ends = [event for event in wire if event["type"] == "message_delta"] or wire
    start = wire[0].get("message") or wire[0]
    used = {**start["usage"], **{name: value for name, value in ends[-1]["usage"].items() if value is not None}}
    assert response.usage is not None
    assert response.usage.total_output == used["output_tokens"]
    assert response.usage.reasoning_tokens == (used.get("output_tokens_details") or {}).get("thinking_tokens", 0)
    counts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    assert response.usage.total_input == sum(used.get(name) or 0 for name in counts)
    stop = ends[-1].get("delta", ends[-1])["stop_reason"]
    assert response.choices[0].native_finish_reason == stop

    passed = [event.native for event in events if event.native is not None]
    assert [json.loads(each.data) for each in passed] == wire
    assert sent_back(message) == [
        kept(block) for block in blocks if block.get("text") != "" and not alone(block, blocks)
    ]


def alone(block: Wire, blocks: list[Wire]) -> bool:
    """Whether the call of a tool of Anthropic's has lost its result, as by ids that were redacted in the recording."""
    named = block.get("tool_use_id") or (block["type"] in ("server_tool_use", "mcp_tool_use") and block["id"])
    return bool(named) and sum(named in (each.get("id"), each.get("tool_use_id")) for each in blocks) < 2


def sent_back(message: Message) -> list[Wire]:
    """The answer as an earlier one of a conversation that goes on, after it was stored."""
    stored = PARTS.validate_json(PARTS.dump_json(message.parts, exclude_none=True))
    said = [text_message("user", "hi"), Message(role="assistant", parts=stored), text_message("user", "and?")]
    extra = {"mcp_servers": [{"name": "any"}]}
    request = ask(said, model="claude-sonnet-4-5", extra=extra)
    report = AdjustmentReport(strict=True)
    turns = compile_chat(request, ProviderSettings(), "anthropic", report).body["messages"]
    return list(turns[1]["content"]) if len(turns) > 2 or message.tool_calls else []


def kept(block: Wire) -> Wire:
    """What of a block is worth sending: nothing that is empty beside its content."""
    content = ("type", "text", "thinking", "signature", "data", "input", "content", "is_error")
    return {name: value for name, value in block.items() if name in content or value}


@pytest.mark.parametrize("record", records("error"))
async def test_errors(record: Any) -> None:
    async with OpenAIServer() as server, provider_at(server.base_url) as provider:
        serve(server, record)
        with pytest.raises(ProviderError) as caught:
            await events_of(provider, ask(stream=bool(record["request_body"].get("stream"))))
    error = caught.value
    said = record["response_body"]["error"]
    assert error.upstream_status == record["status"]
    assert error.upstream_type == said["type"]
    if record["status"] == 401:
        assert type(error) is ProviderAuthFailed
        assert said["message"] not in error.message
    else:
        assert type(error) is ProviderRefused
        assert error.message.startswith(said["message"])
