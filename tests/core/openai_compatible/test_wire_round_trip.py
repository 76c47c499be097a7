"""Conversations compiled to the wire and read back: nothing gets lost on the way."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from fake_upstreams.openai_calls import ask
from orchestrator_core.openai_compatible import Dialect
from orchestrator_core.openai_compatible.compile import compile_chat
from orchestrator_core.openai_compatible.parse import AnswerParser
from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.provider_api import (
    AdjustmentReport,
    Message,
    Part,
    ProviderSettings,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
)

DIALECT = Dialect(replay_reasoning="all")
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
CALLS = st.lists(
    st.builds(
        ToolCallPart,
        id=st.from_regex(r"call_[a-z0-9]{1,60}", fullmatch=True),
        name=st.from_regex(r"[a-z_]{1,10}", fullmatch=True),
        arguments=st.dictionaries(TEXT, st.integers() | TEXT, max_size=2).map(json.dumps),
    ),
    max_size=3,
    unique_by=lambda call: call.id,
)


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """A well-formed piece of conversation."""
    calls = draw(CALLS)
    parts: list[Part] = [*([TextPart(text=draw(TEXT))] if draw(st.booleans()) or not calls else []), *calls]
    thought: list[Part] = [ReasoningPart(text=draw(TEXT))] if draw(st.booleans()) else []
    results = [
        Message(role="tool", parts=(ToolResultPart(tool_call_id=call.id, content=draw(TEXT)),))
        for call in draw(st.permutations(calls))
    ]
    return [text_message("user", draw(TEXT)), Message(role="assistant", parts=(*thought, *parts)), *results]


@given(st.lists(turns(), min_size=1, max_size=3))
def test_a_conversation_arrives_whole(pieces: list[list[Message]]) -> None:
    conversation = [message for piece in pieces for message in piece]
    report = AdjustmentReport(strict=True)
    body = compile_chat(ask(conversation), DIALECT, provider_id="tested", settings=ProviderSettings(), report=report)
    wire = json.loads(json.dumps(body))["messages"]
    assert not report.adjustments
    assert [m["content"] for m in wire if m["role"] == "user"] == [m.text for m in conversation if m.role == "user"]

    answers = [message for message in conversation if message.role == "assistant"]
    sent = [message for message in wire if message["role"] == "assistant"]
    for answer, message in zip(answers, sent, strict=True):
        fold = Fold()
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        for event in AnswerParser(Dialect(), "tested").body(json.dumps({"choices": [choice]}).encode()):
            fold.add(event)
        read = fold.response().message
        assert read.text == answer.text
        assert [p.text for p in read.parts if isinstance(p, ReasoningPart)] == [
            p.text for p in answer.parts if isinstance(p, ReasoningPart)
        ]
        assert [(c.name, c.arguments) for c in read.tool_calls] == [(c.name, c.arguments) for c in answer.tool_calls]
        assert all(len(call.id) <= 40 for call in read.tool_calls)

    # Each call is followed by its own result, whatever the order the results came in.
    results: dict[int, list[str]] = {}
    for position, message in enumerate(wire):
        if message["role"] == "assistant":
            ids = [call["id"] for call in message.get("tool_calls", [])]
            following = wire[position + 1 : position + 1 + len(ids)]
            assert [m.get("tool_call_id") for m in following] == ids
            results[len(results)] = [m["content"] for m in following]
    position = -1
    given_results: dict[str, str] = {}
    for message in reversed(conversation):
        for part in message.parts:
            if isinstance(part, ToolResultPart):
                assert isinstance(part.content, str)
                given_results[part.tool_call_id] = part.content
        if message.role == "assistant":
            index = len(answers) + position
            assert results[index] == [given_results.pop(call.id) for call in message.tool_calls]
            position -= 1
