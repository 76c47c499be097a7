"""Any conversation, for each of the eight: taken, paired, unchanged, and nothing lost but what is reported."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_upstreams.strict_anthropic import signature
from fake_upstreams.strict_gemini import StrictGemini
from orchestrator_anthropic.compile import compile_chat as compile_anthropic
from orchestrator_core.openai_compatible import OpenAICompatibleProvider
from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatRequest,
    Deadline,
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    ProviderContext,
    ProviderSettings,
    ReasoningPart,
    RefusalPart,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    UpstreamClient,
)
from orchestrator_gemini.request import compile_chat as compile_gemini
from pairs.dialogue import PROVIDERS, STRICT
from pairs.readers import exchanges, strings
from pairs.script import NAMES

SIGNATURE = base64.b64encode(b"gemini: signed").decode()
NO_RESULT = "no result was given"
LEAK = "of nobody here"
OWN: Mapping[str, Mapping[str, Any]] = {
    **{name: {"field": "reasoning_content"} for name in NAMES},
    "anthropic": {"signature": signature("x")},
    "gemini": {"thought": True, "thoughtSignature": SIGNATURE},
    "elsewhere": {"mark": LEAK},
}
# What their vendors take back while calls are worked on only, or never: their own goes without a report.
UNASKED = {"openai", "grok", "qwen"}
IDS = ["call_1", "call_2", "functions.get:0", "a b", "ü", "abcdefghi", "x" * 60]

Lost = tuple[str, str, str | None]
"""A token, the subject under which its loss is reported, and whose thought it is."""


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Message], list[Lost]]:
    """A conversation in which every text, image and thought has a token of its own, and these tokens."""
    tokens: list[Lost] = []

    def token(subject: str, owner: str | None = None) -> str:
        tokens.append((f"tok{len(tokens)}n", subject, owner))
        return tokens[-1][0]

    def data(subject: str) -> str:
        made = base64.b64encode(token(subject).encode()).decode()
        tokens[-1] = (made, subject, None)
        return made

    def text(subject: str = "") -> str:
        return draw(st.sampled_from(["", " ", "one ", "two "])).replace("o", f"{token(subject)} o")

    def written(subject: str = "") -> str:
        said = text(subject)
        if not said.strip():
            tokens.pop()
        return said

    def metadata() -> Mapping[str, Any] | None:
        signed = {"gemini": {"thoughtSignature": SIGNATURE}}
        noted: list[Mapping[str, Any] | None] = [None, {"elsewhere": OWN["elsewhere"]}, signed]
        return noted[draw(st.integers(0, 2))]

    def inner() -> tuple[TextPart | ImagePart, ...]:
        return TextPart(text=written("tool_result")), ImagePart(data=data("image"), media_type="image/png")

    def part(kind: str) -> Part:
        if kind == "text":
            return TextPart(text=written(), provider_metadata=metadata())
        if kind == "image":
            return ImagePart(data=data("image"), media_type="image/png")
        if kind == "file":
            return FilePart(data=data("file"), media_type="application/pdf", filename="a.pdf")
        if kind == "refusal":
            return RefusalPart(text=written())
        if kind == "reasoning":
            owner = draw(st.sampled_from([None, *OWN]))
            return ReasoningPart(
                text=token("reasoning", owner), provider_metadata={owner: OWN[owner]} if owner else None
            )
        if kind == "call":
            form = draw(st.sampled_from(['{"x": "%s"}', '{"x": "%s', '"%s"', "%s"]))
            return ToolCallPart(
                id=draw(st.sampled_from(IDS)), name="get", arguments=form % token(""), provider_metadata=metadata()
            )
        if kind == "result":
            content: Any = inner() if draw(st.booleans()) else written("tool_result")
            return ToolResultPart(
                tool_call_id=draw(st.sampled_from(IDS)), content=content, is_error=draw(st.booleans())
            )
        return OpaquePart(provider_metadata={"elsewhere": {"mark": token("opaque")}})

    kinds = {
        "system": ["text"],
        "user": ["text", "image", "file"],
        "assistant": ["text", "refusal", "reasoning", "call", "call", "opaque", "image"],
        "tool": ["result"],
    }
    messages: list[Message] = []
    for role in draw(
        st.lists(st.sampled_from(["system", "user", "assistant", "tool", "tool"]), min_size=1, max_size=7)
    ):
        chosen = draw(st.lists(st.sampled_from(kinds[role]), max_size=4))
        messages.append(Message(role=cast("Any", role), parts=tuple(part(kind) for kind in chosen)))
    return messages, tokens


def compiled(name: str, request: ChatRequest, report: AdjustmentReport) -> tuple[Any, Mapping[str, str]]:
    """Body and headers."""
    if name == "anthropic":
        made = compile_anthropic(request, ProviderSettings(), name, report)
        head = {"x-api-key": "sk-ant-x", "anthropic-version": "1", "anthropic-beta": ",".join(made.betas)}
        return made.body, head
    if name == "gemini":
        body = compile_gemini(request, provider_id=name, settings=ProviderSettings(), report=report)
        return body, {"x-goog-api-key": "k"}
    kind = PROVIDERS[name]
    instance = kind(ProviderContext(name, kind.settings_model(), cast("UpstreamClient", None)))
    assert isinstance(instance, OpenAICompatibleProvider)
    return instance.compile(request, report), {}


def results(messages: Sequence[Message]) -> list[str]:
    """What each call gets for a result, in order: the first that is free before the next answer."""
    found: list[str] = []
    taken: set[int] = set()
    for place, message in enumerate(messages):
        later: list[ToolResultPart] = []
        for after in messages[place + 1 :]:
            if after.role == "assistant":
                break
            later += [part for part in after.parts if isinstance(part, ToolResultPart)]
        for call in message.tool_calls:
            result = next((r for r in later if r.tool_call_id == call.id and id(r) not in taken), None)
            if result is None:
                found.append(NO_RESULT)
                continue
            taken.add(id(result))
            content = result.content
            whole = content if isinstance(content, str) else "".join(getattr(part, "text", "") for part in content)
            found.append(whole.strip())
    return found


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=400, deadline=None)
@given(conversations())
def test_it_is_taken_whole_or_reported(name: str, conversation: tuple[list[Message], list[Lost]]) -> None:
    messages, tokens = conversation
    before = [message.model_dump_json() for message in messages]
    model = PROVIDERS[name].info.default_model
    assert model is not None
    request = ChatRequest(model=model, messages=messages, tools=[Tool(name="get")], deadline=Deadline.after(5))
    report = AdjustmentReport(strict=False)
    made, headers = compiled(name, request, report)
    body = json.loads(json.dumps(made))
    server = STRICT[name]()
    if isinstance(server, StrictGemini):
        server.issued.add(SIGNATURE)

    assert [problem for rule in server.rules for problem in rule.check(body, headers)] == []
    assert [message.model_dump_json() for message in messages] == before
    given_back = [result.removeprefix("Error:").strip() for _, _, result in exchanges(body)]
    assert given_back == results(messages)

    sent = "\n".join(strings(body))
    lost = [each for each in tokens if each[0] not in sent]
    losses = {each.subject for each in report.adjustments if each.action != "mapped"} - {"message"}
    unreported = [each for each in lost if each[1] not in losses and not (each[2] == name and name in UNASKED)]
    # What belongs to a result that is left out goes with it.
    assert [each for each in unreported if each[1] != "image" or "tool_result" not in losses] == []
    assert losses - {subject for _, subject, _ in lost} - {"tool_result"} == set(), "reported, and yet sent"
    assert LEAK not in sent
    assert [each for each in tokens if each[1] == "reasoning" and each[2] not in (None, name) and each[0] in sent] == []
    if name != "gemini":
        assert SIGNATURE not in sent
