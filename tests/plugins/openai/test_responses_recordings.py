"""Real traffic of the Responses API: answers against a second, small reader, errors, and answers given back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fake_upstreams.openai_calls import ask, folded
from fake_upstreams.openai_server import OpenAIServer
from fake_upstreams.strict_openai_responses import RESPONSES
from orchestrator_core.provider_api import (
    PARTS,
    AdjustmentReport,
    Message,
    OpaquePart,
    ProviderAuthFailed,
    ProviderContext,
    ProviderError,
    ProviderRefused,
    ReasoningPart,
    RefusalPart,
    TextPart,
    Tool,
    ToolResultPart,
    text_message,
)
from orchestrator_core.upstream import ClientFactory, UpstreamLimits
from orchestrator_openai import OpenAIProvider
from orchestrator_openai.provider import OpenAISettings

FOLDER = os.environ.get("ORCHESTRATOR_RECORDINGS")

if not FOLDER:
    pytest.skip("ORCHESTRATOR_RECORDINGS names no folder of recordings", allow_module_level=True)

Wire = dict[str, Any]
CALLS = {"function_call": "arguments", "custom_tool_call": "input"}


def records(kind: str) -> list[Any]:
    paths = sorted(Path(FOLDER or "").glob(f"openai-{kind}-*.json"))
    found = [(path.stem, json.loads(path.read_text())) for path in paths]
    chosen = [pytest.param(record, id=name) for name, record in found if record["url"].endswith("/responses")]
    assert chosen, "the folder holds no such recordings"
    return chosen


def last_response(body: Any) -> tuple[Wire, list[Wire]]:
    """The response as its last event or the body has it, and the deltas before it.

    Encrypted thoughts are those of their own event: the last one has others, and the former are to be given back
    (API reference, `encrypted_content`).
    """
    if not isinstance(body, str):
        return body, []
    events = [json.loads(line[5:]) for line in body.splitlines() if line.startswith("data:")]
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    last = events[-1]["response"]
    assert [item["type"] for item in last["output"]] == [item["type"] for item in items]
    return {**last, "output": items}, [event for event in events if event["type"].endswith(".delta")]


async def answer_to(record: Any) -> Any:
    body = record["response_body"]
    stream = isinstance(body, str)
    async with OpenAIServer() as server:
        factory = ClientFactory(UpstreamLimits())
        try:
            settings = OpenAISettings(base_url=server.base_url, responses="always")
            provider = OpenAIProvider(ProviderContext("openai", settings, factory.client(OpenAIProvider.info.auth)))
            if stream:
                server.answers_raw(body.encode(), record["status"], "text/event-stream")
            else:
                server.answers(body, record["status"])
            asked = bool(stream or record["request_body"].get("stream"))
            return await folded(provider, ask(model=record["request_body"].get("model") or "gpt-test", stream=asked))
        finally:
            assert [each.path for each in server.asked] == ["/v1/responses"]
            await factory.close()


@pytest.mark.parametrize("record", [*records("responses"), *records("responses_stream")])
async def test_answers(record: Any) -> None:
    answer = await answer_to(record)
    wire, deltas = last_response(record["response_body"])
    message, output = answer.message, wire["output"]
    contents = [part for item in output if item["type"] == "message" for part in item["content"]]

    assert answer.complete
    assert (answer.id, answer.model, answer.created) == (wire["id"], wire["model"], int(wire["created_at"]) or None)
    assert message.text == "".join(part["text"] for part in contents if part["type"] == "output_text")
    refused = [part["refusal"] for part in contents if part["type"] == "refusal"]
    assert [part.text for part in message.parts if isinstance(part, RefusalPart)] == refused
    called = [(item["call_id"], item["name"], item[CALLS[item["type"]]]) for item in output if item["type"] in CALLS]
    assert [(call.id, call.name, call.arguments) for call in message.tool_calls] == called
    thoughts = [item for item in output if item["type"] == "reasoning"]
    kept = [part for part in message.parts if isinstance(part, ReasoningPart)]
    said = ["\n\n".join(each["text"] for each in item.get("summary") or ()) for item in thoughts]
    shown = [text for text, item in zip(said, thoughts, strict=True) if text or item.get("encrypted_content")]
    assert [part.text for part in kept] == shown
    signed = [item["encrypted_content"] for item in thoughts if item.get("encrypted_content")]
    metadata = [(part.provider_metadata or {}).get("openai", {}) for part in kept]
    assert [each["encrypted_content"] for each in metadata if "encrypted_content" in each] == signed
    others = [item for item in output if item["type"] not in {"message", "reasoning", *CALLS}]
    opaque = [part.provider_metadata for part in message.parts if isinstance(part, OpaquePart)]
    assert opaque == [{"openai": {"item": item}} for item in others]
    notes = [
        part.provider_metadata["openai"]
        for part in message.parts
        if isinstance(part, TextPart) and part.provider_metadata
    ]
    cited = [part["annotations"] for part in contents if part.get("annotations")]
    assert [note["annotations"] for note in notes if "annotations" in note] == cited

    used, counts = answer.usage, wire["usage"]
    assert used is not None
    output_tokens = max(counts["output_tokens"], 0)  # one recording has -9, and 448 of it for thoughts
    assert (used.total_input, used.total_output) == (counts["input_tokens"], output_tokens)
    assert used.cached_input_tokens == counts["input_tokens_details"]["cached_tokens"]
    assert used.cache_write_tokens == counts["input_tokens_details"].get("cache_write_tokens", 0)
    assert used.reasoning_tokens == min(counts["output_tokens_details"]["reasoning_tokens"], output_tokens)
    (choice,) = answer.choices
    if wire["status"] == "incomplete":
        assert (choice.finish_reason, choice.native_finish_reason) == ("length", "max_output_tokens")
    else:
        assert choice.finish_reason == ("tool_calls" if called else "stop")

    texts = [event["delta"] for event in deltas if event["type"] == "response.output_text.delta"]
    assert "".join(texts) in ("", message.text)


@pytest.mark.parametrize("record", [*records("responses"), *records("responses_stream")])
async def test_answers_go_back(record: Any, connect_openai: Any) -> None:
    """An answer is taken as an earlier one, with everything that is worth sending, after it was stored."""
    message = (await answer_to(record)).message
    stored = Message(role="assistant", parts=PARTS.validate_json(PARTS.dump_json(message.parts, exclude_none=True)))
    results = [
        Message(role="tool", parts=(ToolResultPart(tool_call_id=call.id, content="ok"),)) for call in message.tool_calls
    ]
    said = [text_message("user", "Hi."), stored, *results, text_message("user", "And?")]
    request = ask(said, model="gpt-5.6", tools=(Tool(name="f"),), reasoning_effort="low", strict=True)
    report = AdjustmentReport(strict=True)
    body = connect_openai("http://127.0.0.1:9/v1").compile(request, report)
    judged = [item for item in body["input"] if not str(item.get("type")).startswith("mcp_")]
    assert [p for rule in RESPONSES for p in rule.check({**body, "input": judged}, {})] == []
    back = body["input"][1 : -1 - len(results)]
    output = last_response(record["response_body"])[0]["output"]
    signed = [item["encrypted_content"] for item in output if item.get("encrypted_content")]
    followed = output[-1]["type"] != "reasoning"
    assert [item["encrypted_content"] for item in back if item.get("type") == "reasoning"] == (
        signed if followed else []
    )
    wanted = [item for item in output if item["type"] not in ("reasoning", "message", *CALLS)]
    assert [item for item in back if item in wanted] == wanted
    names = [item["name"] for item in output if item["type"] in CALLS]
    assert [item["name"] for item in back if item.get("type") in CALLS] == names
    assert [each.action for each in report.adjustments if each.subject != "reasoning"] in ([], ["mapped"])


@pytest.mark.parametrize("record", records("error"))
async def test_errors(record: Any) -> None:
    with pytest.raises(ProviderError) as caught:
        await answer_to(record)
    error, said = caught.value, record["response_body"]["error"]
    assert (error.upstream_status, error.upstream_type) == (record["status"], said["type"])
    assert error.upstream_code == said["code"]
    if record["status"] == 401:
        assert type(error) is ProviderAuthFailed
        assert said["message"] not in error.message
    else:
        assert isinstance(error, ProviderRefused)
        assert error.message.startswith(said["message"])
        assert error.param == said["param"]
