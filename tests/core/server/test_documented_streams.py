"""What the OpenAPI document says of streams, and what they hold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import RootModel

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.provider_api import (
    Finish,
    ImagePart,
    ProviderFailed,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    WholePart,
)
from orchestrator_core.server.openapi import document
from orchestrator_core.server.routes.connectors_schema import ConnectorStreamEvent
from orchestrator_core.server.routes.openai_schema import ChatStreamEvent
from orchestrator_core.server.routes.orchestrate_answer import OrchestrateEvent
from scripted_gateway import Served, served


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        yield gateway


STREAMS: Mapping[str, tuple[type[RootModel[Any]], str, str]] = {
    "/api/orchestrate": (OrchestrateEvent, "event: done\n", "event: error\n"),
    "/v1/chat/completions": (ChatStreamEvent, "data: [DONE]\n", 'data: {"error": '),
    "/api/v1/{provider}/chat": (ConnectorStreamEvent, "data: [DONE]\n", "event: error\n"),
}


@pytest.mark.parametrize("path", STREAMS)
def test_the_document_says_what_a_stream_holds(path: str) -> None:
    model, end, error = STREAMS[path]
    made = document()
    media = made["paths"][path]["post"]["responses"]["200"]["content"]["text/event-stream"]
    data = media["schema"]["properties"]["data"]
    if "[DONE]" in end:
        mark, data = data["anyOf"]
        assert mark == {"const": "[DONE]"}
    assert data["contentSchema"]["$ref"] == f"#/components/schemas/{model.__name__}"
    assert made["components"]["schemas"][model.__name__]
    complete, broken = (media["examples"][name]["value"] for name in ("complete", "broken"))
    assert complete.split("\n\n")[-2].startswith(end.strip())
    assert broken.split("\n\n")[-2].startswith(error.strip())
    for line in (complete + broken).splitlines():
        if line.startswith("data: ") and line != "data: [DONE]":
            model.model_validate_json(line[6:])


EVENTS = [
    Start(id="answer-1", model="scripted-1"),
    ReasoningDelta(text="hm"),
    TextDelta(text="a"),
    TextDelta(text="b", choice=1),
    RefusalDelta(text="no"),
    ToolCallDelta(index=0, id="call_1", name="weather", arguments="{}"),
    WholePart(part=ImagePart(data="aGk=", media_type="image/png")),
    UsageReport(usage=Usage(input_tokens=3, output_tokens=2)),
    Finish(reason="stop", choice=1),
    Finish(reason="tool_calls"),
]


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("broken", [False, True])
async def test_streams_hold_what_the_document_says(gateway: Served, path: str, broken: bool) -> None:
    model = STREAMS[path][0]
    gateway.plugins["scripted"].scripts.append([*EVENTS[:-2], ProviderFailed("Broken.")] if broken else EVENTS)
    said = {"message": "a"} if path == "/api/orchestrate" else {"messages": [{"role": "user", "content": "a"}]}
    body = {**said, "stream": True, **({"model": "scripted/scripted-1"} if path.startswith("/v1") else {})}
    reply = await gateway.post(path.format(provider="scripted"), body)
    assert reply.status == 200
    seen = set()
    for data in reply.chunks:
        event = model.model_validate(data).root
        assert event.model_dump(mode="json", exclude_unset=True) == data
        seen.add(type(event).__name__)
    if path == "/api/orchestrate":
        ends = {"Problem"} if broken else {"FinishEvent", "DoneEvent"}
        kinds = ("Start", "Reasoning", "Text", "Refusal", "ToolCall", "Media", "Usage")
        assert seen == {f"{kind}Event" for kind in kinds} | ends
    else:
        assert len(seen) == (2 if broken else 1)
