"""What a call is expected to use: what stands where core does not look counts as well, and little else does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator_core.orchestration.estimate import weigh_request
from orchestrator_core.orchestration.expected_usage import expected_usage
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    ChatRequest,
    Deadline,
    EmbeddingRequest,
    FilePart,
    ImagePart,
    Message,
    NativeRequest,
    OpaquePart,
    ReasoningPart,
    TextPart,
    Tool,
    ToolResultPart,
    text_message,
)
from orchestrator_core.sessions.weights import FILE, IMAGE

LONG = "word " * 8000
TOKENS = len(LONG) / 4
USER = {"role": "user", "content": "hi"}


def chat(body: Mapping[str, Any] | None = None, *, stored: bool = False, **fields: Any) -> ChatRequest:
    """Return a request of a client's own body; `stored` where the conversation is another one."""
    native = None if body is None else NativeRequest(OPENAI_CHAT, body)
    fields = {"messages": [text_message("user", "hi")], "native_options": native, **fields}
    return ChatRequest(model="m", deadline=Deadline.after(1), native=None if stored else native, **fields)


def asked(request: ChatRequest | EmbeddingRequest) -> int:
    return expected_usage(request).least.input_tokens


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "custom", "custom": {"name": "f", "description": LONG}}]},
        {"tools": [{"name": "f", "input_schema": {}, "input_examples": [{"a": LONG}]}]},
        {"prediction": {"type": "content", "content": LONG}},
        {"documents": [{"text": LONG}]},
        {LONG: 1},
    ],
    ids=lambda fields: next(iter(fields))[:12],
)
def test_fields_that_core_does_not_read_count_as_text(fields: Mapping[str, Any], stored: bool) -> None:
    assert asked(chat({"model": "m", "messages": [USER], **fields}, stored=stored)) == pytest.approx(TOKENS, rel=0.05)
    assert asked(chat(extra=fields)) == pytest.approx(TOKENS, rel=0.05)
    embedding = EmbeddingRequest(
        model="m", input=["hi"], deadline=Deadline.after(1), native=NativeRequest("", {"input": ["hi"], **fields})
    )
    assert asked(embedding) == pytest.approx(TOKENS, rel=0.05)


@pytest.mark.parametrize("stored", [False, True])
def test_tools_that_core_reads_and_those_that_it_does_not_count_together(stored: bool) -> None:
    known = {"type": "function", "function": {"name": "look", "description": LONG}}
    custom = {"type": "custom", "custom": {"name": "f", "description": LONG}}
    body = {"model": "m", "messages": [USER], "tools": [known, custom]}
    request = chat(body, stored=stored, tools=[Tool(name="look", description=LONG)], extra={"tools": [custom]})
    assert asked(request) == pytest.approx(2 * TOKENS, rel=0.05)


@pytest.mark.parametrize(
    "part",
    [
        OpaquePart(provider_metadata={"acme": {"encrypted_content": LONG}}),
        ReasoningPart(text=LONG),
        TextPart(text="", provider_metadata={"acme": {"citations": [{"cited_text": LONG}]}}),
        ToolResultPart(
            tool_call_id="1", content=(TextPart(text="", provider_metadata={"acme": {"citations": [LONG]}}),)
        ),
    ],
    ids=lambda part: part.type,
)
def test_what_is_kept_for_a_provider_counts_as_text(part: Any) -> None:
    assert asked(chat(messages=[Message(role="assistant", parts=(part,))])) == pytest.approx(TOKENS, rel=0.05)


@pytest.mark.parametrize(
    "conversation",
    [
        {"messages": [{**USER, "context": LONG}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "context": LONG}]}]},
        {"messages": [{**USER, "context": [LONG, *[""] * 1500]}]},
        {"messages": [{**USER, LONG: 1}]},
        {"messages": [USER], "system": [{"type": "text", "text": LONG}]},
        {"input": [{**USER, "context": LONG}]},
    ],
    ids=", ".join,
)
def test_what_core_does_not_read_of_a_conversation_that_is_sent_counts_as_text(conversation: Mapping[str, Any]) -> None:
    body = {"model": "m", **conversation}
    assert asked(chat(body)) == pytest.approx(TOKENS, rel=0.05)
    assert asked(chat(body, stored=True)) == round(weigh_request(chat(body)).total), "another one is sent"


def test_what_core_reads_counts_once() -> None:
    tools = [
        Tool(name="look", description=LONG, parameters={"type": "object", "properties": {"a": {"type": "string"}}})
    ]
    body = {"model": "m", "messages": [{"role": "user", "content": LONG}] * 3, "tools": [{"function": {"d": LONG}}]}
    messages = [text_message("user", LONG)] * 3
    for stored in (False, True):
        request = chat(body, stored=stored, messages=messages, tools=tools)
        assert asked(request) == pytest.approx(weigh_request(request).total, rel=0.01)


def test_a_field_beside_the_conversation_counts_once_whatever_it_is_called() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}], "system": LONG}
    for stored in (False, True):
        assert asked(chat(body, stored=stored, extra={"system": LONG})) == pytest.approx(TOKENS, rel=0.05)


def test_what_is_plain_counts_as_it_is_weighed() -> None:
    for count in (1, 10, 100):
        body = {"model": "m", "messages": [USER] * count, "max_tokens": 10, "temperature": 0.5, "stream": True}
        request = chat(body, messages=[text_message("user", "hi")] * count)
        assert asked(request) == round(weigh_request(request).total)


@pytest.mark.parametrize("inside", [False, True], ids=["said", "a tool's result"])
def test_data_counts_flat(inside: bool) -> None:
    data = "aGk=" * 100_000
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    file = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{data}"}}
    parts = (ImagePart(data=data, media_type="image/png"), FilePart(data=data, media_type="application/pdf"))
    message = (
        Message(role="tool", parts=(ToolResultPart(tool_call_id="1", content=parts),))
        if inside
        else Message(role="user", parts=parts)
    )
    request = chat({"messages": [{"role": message.role, "content": [url, file]}]}, messages=[message])
    assert asked(request) == pytest.approx(IMAGE + FILE, abs=50)
