"""Any conversation, for any generation of models: Anthropic takes it, and no text is lost."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fake_upstreams.anthropic_calls import ask
from fake_upstreams.strict_anthropic import StrictAnthropic, signature
from orchestrator_anthropic.compile import compile_chat
from orchestrator_core.provider_api import (
    AdjustmentReport,
    ImagePart,
    Message,
    NamedTool,
    OpaquePart,
    ReasoningPart,
    RefusalPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)
from orchestrator_core.provider_api.context import ProviderSettings

MODELS = (
    "claude-3-haiku-20240307",
    "claude-sonnet-4-20250514",
    "claude-opus-4-1-20250805",
    "claude-haiku-4-5",
    "claude-sonnet-4-6",
    "claude-opus-4-8",
    "claude-sonnet-5",
    "claude-sonnet-5-5",
    "claude-opus-5-5",
)
HEADERS = {"x-api-key": "sk-ant-x", "anthropic-version": "1"}

words = st.sampled_from(["", " ", "\n", "one", "two words ", "drei"])
ids = st.sampled_from(["toolu_1", "functions.a:0", "functions.a:1", "functions a 0", "ü"])
texts = st.builds(TextPart, text=words)
notes = st.sampled_from(
    [
        None,
        {"anthropic": {"signature": signature("x")}},
        {"anthropic": {"redacted": signature("y")}},
        {"openai": {"id": "rs_1"}},
    ]
)
thoughts = st.builds(ReasoningPart, text=words, provider_metadata=notes)
images = st.builds(ImagePart, data=st.just("iVBORw=="), media_type=st.sampled_from(["image/png", "image/bmp", None]))
calls = st.builds(
    ToolCallPart,
    id=ids,
    name=st.sampled_from(["a", "a.b"]),
    arguments=st.sampled_from(["", "{}", '{"x": 1}', "[", "1"]),
)
results = st.builds(ToolResultPart, tool_call_id=ids, content=words | st.tuples(texts, images), is_error=st.booleans())
server = st.sampled_from(
    [
        OpaquePart(provider_metadata={"anthropic": {"block": {"type": kind, **block}}})
        for kind, block in (
            ("server_tool_use", {"id": "s1", "name": "web_search", "input": {}}),
            ("web_search_tool_result", {"tool_use_id": "s1", "content": []}),
            ("server_tool_use", {"id": "s2", "name": "web_search", "input": {}}),
            ("mcp_tool_use", {"id": "m1", "name": "x", "server_name": "y", "input": {}}),
        )
    ]
)


def messages(role: str, parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Message]:
    return st.builds(Message, role=st.just(role), parts=st.lists(parts, max_size=4).map(tuple))


conversations = st.lists(
    messages("system", texts | images)
    | messages("user", texts | images | server | thoughts)
    | messages("assistant", texts | thoughts | calls | st.builds(RefusalPart, text=words) | images | server)
    | messages("tool", results),
    min_size=1,
    max_size=8,
)


@settings(max_examples=400, deadline=None)
@given(
    conversation=conversations,
    model=st.sampled_from(MODELS),
    effort=st.sampled_from([None, "none", "low", "high", "max"]),
    choice=st.sampled_from([None, "auto", "none", "required", NamedTool(name="a.b")]),
    parallel=st.none() | st.booleans(),
    form=st.none() | st.builds(ResponseFormat, type=st.sampled_from(["text", "json_object"])),
    temperature=st.sampled_from([None, 0.0, 1.0, 2.0]),
    top_p=st.sampled_from([None, 0.5, 1.0]),
    limit=st.sampled_from([None, 10, 1025, 5000]),
)
def test_anthropic_takes_it(conversation: list[Message], model: str, **fields: Any) -> None:
    request = ask(
        conversation,
        model=model,
        tools=[Tool(name="a.b", strict=True)],
        reasoning_effort=fields["effort"],
        tool_choice=fields["choice"],
        parallel_tool_calls=fields["parallel"],
        response_format=fields["form"],
        temperature=fields["temperature"],
        top_p=fields["top_p"],
        max_tokens=fields["limit"],
    )
    before = [message.model_dump_json() for message in conversation]
    compiled = compile_chat(request, ProviderSettings(), "anthropic", AdjustmentReport(strict=False))
    headers = {**HEADERS, "anthropic-beta": ",".join(compiled.betas)}
    body = json.loads(json.dumps(compiled.body))
    assert [problem for rule in StrictAnthropic.rules for problem in rule.check(body, headers)] == []
    assert [message.model_dump_json() for message in conversation] == before
    said = json.dumps(body, ensure_ascii=False)
    for message in conversation:
        for part in message.parts:
            if isinstance(part, TextPart | RefusalPart) and part.text.strip():
                assert part.text.strip() in said
