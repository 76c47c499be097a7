from __future__ import annotations

from collections.abc import Sequence

import pytest

from fake_providers.instances import card
from orchestrator_core.plugins.defaults import INSTRUCTION, SUMMARY_TOKENS, DefaultHooks, transcript
from orchestrator_core.provider_api import (
    ChatResponse,
    Choice,
    Deadline,
    HealthRequest,
    ImagePart,
    KeyFormat,
    KeyRequest,
    Message,
    Part,
    ProviderBadResponse,
    ReasoningPart,
    RefusalPart,
    Secret,
    SummarizeRequest,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
    text_message,
)

CONVERSATION = [
    text_message("user", "The choices are: "),
    Message(
        role="assistant",
        parts=(
            ReasoningPart(text="thinking aloud"),
            TextPart(text="I look."),
            ToolCallPart(id="c1", name="weather", arguments='{"city": "Lyon"}'),
        ),
    ),
    Message(role="tool", parts=(ToolResultPart(tool_call_id="c1", content="12 degrees"),)),
    Message(role="tool", parts=(ToolResultPart(tool_call_id="c2", content=(TextPart(text="a"), TextPart(text="b"))),)),
    Message(role="assistant", parts=(RefusalPart(text="No."), TextPart(text=""))),
    Message(role="user", parts=(ImagePart(url="https://example.com/cat.png"),)),
]


class FakeChat:
    """Answers a summary's request."""

    def __init__(self, *parts: Part) -> None:
        self.parts = parts
        self.messages: Sequence[Message] = ()
        self.max_tokens: int | None = None

    async def __call__(self, messages: Sequence[Message], *, max_tokens: int | None = None) -> ChatResponse:
        self.messages, self.max_tokens = messages, max_tokens
        message = Message(role="assistant", parts=self.parts)
        return ChatResponse(choices=[Choice(0, message)], model="m-1", usage=Usage(input_tokens=7))


def hooks(**more: object) -> DefaultHooks:
    return DefaultHooks(card("acme", **more))


def test_a_transcript_says_who_said_what_and_leaves_thoughts_out() -> None:
    assert transcript(CONVERSATION).splitlines() == [
        "user: The choices are: ",
        "assistant: I look.",
        'assistant: [called weather with {"city": "Lyon"}]',
        "tool: [tool returned] 12 degrees",
        "tool: [tool returned] a b",
        "assistant: [refused] No.",
        "user: [image]",
    ]


async def test_a_summary_is_asked_for_as_material_with_the_earlier_one() -> None:
    chat = FakeChat(TextPart(text="  They spoke of Lyon. "))
    request = SummarizeRequest(
        messages=CONVERSATION, chat=chat, deadline=Deadline.after(5), previous="They met.", max_tokens=99
    )
    summary = await hooks().summarize(request)
    assert (summary.text, summary.model, summary.usage) == ("They spoke of Lyon.", "m-1", Usage(input_tokens=7))
    system, user = chat.messages
    assert (system.role, system.text) == ("system", INSTRUCTION)
    assert user.role == "user"
    assert user.text == f"Earlier summary:\nThey met.\n\nConversation:\n{transcript(CONVERSATION)}"
    assert chat.max_tokens == 99


async def test_without_an_earlier_summary_none_is_mentioned() -> None:
    chat = FakeChat(TextPart(text="Short."))
    await hooks().summarize(SummarizeRequest(messages=CONVERSATION, chat=chat, deadline=Deadline.after(5)))
    assert "Earlier summary" not in chat.messages[1].text
    assert chat.max_tokens == SUMMARY_TOKENS


@pytest.mark.parametrize(
    "parts",
    [(), (TextPart(text=" \n"),), (RefusalPart(text="No."),), (TextPart(text="Well, "), RefusalPart(text="no."))],
)
async def test_an_empty_summary_or_a_refusal_is_none(parts: Sequence[Part]) -> None:
    request = SummarizeRequest(messages=CONVERSATION, chat=FakeChat(*parts), deadline=Deadline.after(5))
    with pytest.raises(ProviderBadResponse):
        await hooks().summarize(request)


def test_a_key_is_checked_against_the_forms_of_the_card() -> None:
    forms = (KeyFormat(r"ac-\w{16}", "`ac-` and 16 characters", "ac-"),)
    default = hooks(key_formats=forms, foreign_keys=("^sk-",))

    def status(key: str) -> str:
        return default.validate_key(KeyRequest(credential=Secret(key))).status

    assert status("ac-0123456789abcdef") == "valid"
    assert status("ac-short") == "malformed"
    assert status("sk-0123456789abcdef") == "foreign"
    assert status("your-key-here") == "placeholder"


@pytest.mark.parametrize(
    ("needs", "credential", "healthy"), [(True, None, False), (True, Secret("k" * 20), True), (False, None, True)]
)
async def test_health_is_what_is_configured(needs: bool, credential: Secret | None, healthy: bool) -> None:
    request = HealthRequest(deadline=Deadline.after(1), credential=credential)
    report = await hooks(requires_key=needs).health(request)
    assert report.healthy is healthy
    assert (report.detail is None) is healthy
