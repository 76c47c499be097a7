"""Whatever a conversation is made of, what is sent is well formed and says all of it."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fake_providers.anthropic_shaped_compile import compile_request as to_anthropic
from fake_providers.gemini_shaped_compile import compile_request as to_gemini
from fake_providers.shaped_wire import Wire
from orchestrator_core.provider_api import (
    PARTS,
    AdjustmentReport,
    ChatRequest,
    Deadline,
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
IDS = st.sampled_from(["call_0", "call_1", "functions.f:0", "", "ünïcode", "toolu_1"])
NAMES = st.sampled_from(["f", "g"])
METADATA = st.none() | st.dictionaries(
    st.sampled_from(["claude", "gemini", "else"]),
    st.dictionaries(st.sampled_from(["signature", "thoughtSignature", "redacted"]), st.just("c2ln"), max_size=2),
    max_size=2,
)
TEXT = st.builds(TextPart, text=WORDS)
IMAGE = st.builds(ImagePart, data=st.just("eA=="), media_type=st.just("image/png"))
FILE = st.builds(FilePart, file_id=st.just("file-1"))
CALL = st.builds(ToolCallPart, id=IDS, name=NAMES, arguments=st.sampled_from(["", "{}", '{"a": 1}', '{"a', "[1]"]))
RESULT = st.builds(
    ToolResultPart,
    tool_call_id=IDS,
    content=WORDS | st.lists(TEXT | IMAGE, max_size=2).map(tuple),
    is_error=st.booleans(),
)
SAID = (
    st.builds(ReasoningPart, text=WORDS, provider_metadata=METADATA)
    | st.builds(RefusalPart, text=WORDS)
    | st.builds(OpaquePart, provider_metadata=METADATA)
)


def message(role: str, parts: Any) -> Any:
    return st.builds(Message, role=st.just(role), parts=st.lists(parts, max_size=4).map(tuple))


CONVERSATION = st.lists(
    message("system", TEXT)
    | message("user", TEXT | IMAGE | FILE)
    | message("assistant", TEXT | CALL | IMAGE | SAID)
    | message("tool", RESULT),
    max_size=8,
)


def request(messages: list[Message]) -> ChatRequest:
    stored = [Message(role=m.role, parts=PARTS.validate_json(PARTS.dump_json(m.parts))) for m in messages]
    return ChatRequest(model="m", messages=stored, deadline=Deadline.after(60))


def texts(messages: list[Message]) -> list[str]:
    """Everything that was said aloud."""
    found = []
    for said in messages:
        for part in said.parts:
            if isinstance(part, TextPart | RefusalPart):
                found.append(part.text)
            elif isinstance(part, ToolResultPart):
                inner = part.content if isinstance(part.content, tuple) else (TextPart(text=part.content),)
                found += [piece.text for piece in inner if isinstance(piece, TextPart)]
    return [text for text in found if text.strip()]


def strings(value: Any) -> str:
    """Every string in a JSON value, one after the other."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "\n".join(map(strings, value.values()))
    return "\n".join(map(strings, value)) if isinstance(value, list) else ""


def kinds(blocks: list[Wire], kind: str) -> list[Wire]:
    return [block for block in blocks if block.get("type") == kind]


@given(CONVERSATION)
def test_anthropic_is_sent_alternating_turns_with_paired_results(messages: list[Message]) -> None:
    body = to_anthropic(request(messages), "claude", AdjustmentReport(strict=False))
    turns = body["messages"]

    assert [turn["role"] for turn in turns] == [("user", "assistant")[i % 2] for i in range(len(turns))]
    assert turns
    assert all(turn["content"] for turn in turns)
    ids: list[str] = []
    for turn, following in zip(turns, [*turns[1:], {"role": "end", "content": []}], strict=True):
        used = [block["id"] for block in kinds(turn["content"], "tool_use")]
        leading = following["content"][: len(used)]
        assert [block["tool_use_id"] for block in kinds(leading, "tool_result")] == used
        assert len(kinds(following["content"], "tool_result")) == len(used)
        assert all(isinstance(block["input"], dict) for block in kinds(turn["content"], "tool_use"))
        ids += used
    assert len(ids) == len(set(ids)) == sum(len(said.tool_calls) for said in messages if said.role == "assistant")
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", id_) for id_ in ids)
    assert all(block["text"].strip() for turn in turns for block in kinds(turn["content"], "text"))
    assert all(text in strings(body) for text in texts(messages))


@given(CONVERSATION)
def test_gemini_is_sent_alternating_turns_with_paired_results(messages: list[Message]) -> None:
    body = to_gemini(request(messages), "gemini", AdjustmentReport(strict=False))
    contents = body["contents"]

    assert [turn["role"] for turn in contents] == [("user", "model")[i % 2] for i in range(len(contents))]
    assert contents
    assert all(turn["parts"] for turn in contents)
    for turn, following in zip(contents, [*contents[1:], {"role": "end", "parts": []}], strict=True):
        called = [part["functionCall"]["name"] for part in turn["parts"] if "functionCall" in part]
        answered = [part["functionResponse"]["name"] for part in following["parts"] if "functionResponse" in part]
        assert called == answered
    assert all(text in strings(body) for text in texts(messages))


@given(CONVERSATION)
def test_the_same_conversation_compiles_to_the_same_body_and_is_not_changed(messages: list[Message]) -> None:
    asked = request(messages)
    before = [said.model_dump_json() for said in asked.messages]

    for compile_request, name in ((to_anthropic, "claude"), (to_gemini, "gemini")):
        bodies = [compile_request(asked, name, AdjustmentReport(strict=False)) for _ in range(2)]
        assert bodies[0] == bodies[1]
    assert [said.model_dump_json() for said in asked.messages] == before


@given(CONVERSATION, CONVERSATION)
def test_what_was_said_before_stays_as_it_was_sent(earlier: list[Message], later: list[Message]) -> None:
    """Vendors cache by prefix: a longer conversation must not rename the ids of the shorter one."""
    compiled = [
        to_anthropic(request(messages), "claude", AdjustmentReport(strict=False))["messages"]
        for messages in (earlier, [*earlier, *later])
    ]
    ids = [[block["id"] for turn in turns for block in kinds(turn["content"], "tool_use")] for turns in compiled]
    assert ids[1][: len(ids[0])] == ids[0]
