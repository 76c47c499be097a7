"""A session whose turns go back and forth between two wire formats, over a real database."""

from __future__ import annotations

from typing import Any

import pytest

from fake_providers.shaped_answers import (
    ANTHROPIC_CONTENT,
    GEMINI_PARTS,
    PNG,
    anthropic_message,
    anthropic_stream,
    gemini_body,
    gemini_stream,
)
from fake_providers.shaped_wire import Wire
from orchestrator_core.provider_api import ImagePart, Message, ProviderBadResponse, TextPart, ToolResultPart
from orchestrator_core.security.principal import ANONYMOUS

TEXT = {"type": "text", "text": "fine"}


def roles(turns: list[Wire]) -> list[str]:
    return [turn["role"] for turn in turns]


async def test_whoever_is_asked_again_finds_its_own_words_untouched(conversation: Any) -> None:
    claude, gemini = conversation.claude, conversation.gemini
    claude.upstream.answers += [anthropic_stream(ANTHROPIC_CONTENT, "tool_use"), anthropic_message([TEXT])]
    gemini.upstream.answers += [gemini_stream(GEMINI_PARTS), gemini_body([{"text": "good"}])]
    await conversation.say(claude, "one")
    await conversation.say(gemini, "two")
    await conversation.say(claude, "three")
    await conversation.say(gemini, "four")

    ours = claude.upstream.bodies[1]["messages"]
    theirs = gemini.upstream.bodies[1]["contents"]
    assert ours[1]["content"] == ANTHROPIC_CONTENT
    assert theirs[3]["parts"] == GEMINI_PARTS
    assert roles(ours) == ["user", "assistant"] * 2 + ["user"]
    assert roles(theirs) == ["user", "model"] * 3 + ["user"]
    assert "thoughtSignature" not in str(ours)
    assert "c2lnLT" not in str(theirs)
    assert "ZW5jcnlwdGVk" not in str(theirs)
    assert theirs[1]["parts"][0] == {"text": "Let me look"}


async def test_calls_of_one_provider_are_answered_at_the_other(conversation: Any) -> None:
    claude, gemini = conversation.claude, conversation.gemini
    calls = [{"functionCall": {"name": name, "args": {}}, "thoughtSignature": name} for name in ("f", "g")]
    gemini.upstream.answers += [gemini_body(calls), gemini_body([{"text": "done"}])]
    claude.upstream.answers.append(anthropic_message([TEXT]))
    called = await conversation.say(gemini, "go")
    ids = [call.id for call in called.message.tool_calls]
    results = tuple(ToolResultPart(tool_call_id=id_, content=id_) for id_ in reversed(ids))
    await conversation.say(claude, Message(role="tool", parts=results))
    await conversation.say(gemini, "and?")

    assert len(set(ids)) == 2
    uses, answers = (turn["content"] for turn in claude.upstream.bodies[0]["messages"][1:])
    assert [(block["id"], block["name"]) for block in uses] == [*zip(ids, ("f", "g"), strict=True)]
    assert [(block["tool_use_id"], block["content"][0]["text"]) for block in answers] == [*zip(ids, ids, strict=True)]
    replayed, answered = gemini.upstream.bodies[1]["contents"][1:3]
    assert replayed["parts"] == calls
    assert answered["parts"] == [
        {"functionResponse": {"name": name, "response": {"result": id_}}}
        for name, id_ in zip(("f", "g"), ids, strict=True)
    ]


async def test_the_first_of_several_choices_continues(conversation: Any) -> None:
    gemini = conversation.gemini
    gemini.upstream.answers += [gemini_stream([{"text": "first"}], [{"text": "second"}]), gemini_body([{"text": "ok"}])]
    result = await conversation.say(gemini, "n")
    await conversation.say(gemini, "more")

    assert result.message.text == "first"
    assert gemini.upstream.bodies[1]["contents"][1] == {"role": "model", "parts": [{"text": "first"}]}


async def test_images_said_and_made_survive_the_store(conversation: Any) -> None:
    claude, gemini = conversation.claude, conversation.gemini
    drawn = [{"inlineData": {"mimeType": "image/png", "data": PNG}, "thoughtSignature": "cGlj"}]
    gemini.upstream.answers += [gemini_body(drawn), gemini_body([{"text": "ok"}])]
    claude.upstream.answers.append(anthropic_message([TEXT]))
    image = ImagePart(data=PNG, media_type="image/png", detail="low")
    await conversation.say(gemini, Message(role="user", parts=(TextPart(text="like this"), image)))
    seen = await conversation.say(claude, "what is it?")
    await conversation.say(gemini, "again")

    wire = {"type": "base64", "media_type": "image/png", "data": PNG}
    assert claude.upstream.bodies[0]["messages"][0]["content"][1] == {"type": "image", "source": wire}
    assert claude.upstream.bodies[0]["messages"][1]["content"] == [{"type": "text", "text": "[image]"}]
    assert [(made.subject, made.action) for made in seen.adjustments] == [("image", "downgraded")]
    assert gemini.upstream.bodies[1]["contents"][1]["parts"] == drawn
    history = await conversation.gateway.store.history(ANONYMOUS.tenant, conversation.session_id, limit=10)
    assert history.items[0].message.parts[1] == image


async def test_an_empty_answer_and_a_blocked_one_do_not_stop_a_conversation(conversation: Any) -> None:
    claude, gemini = conversation.claude, conversation.gemini
    gemini.upstream.answers += [{"promptFeedback": {"blockReason": "SAFETY"}}, gemini_body([{"text": "ok"}])]
    claude.upstream.answers.append(anthropic_message([]))
    blocked = await conversation.say(gemini, "one")
    empty = await conversation.say(claude, "two")
    await conversation.say(gemini, "three")

    assert (blocked.finish_reason, blocked.state) == ("content_filter", "complete")
    assert (empty.finish_reason, empty.state) == ("stop", "complete")
    said = [{"text": "one"}, {"text": "two"}, {"text": "three"}]
    assert gemini.upstream.bodies[1]["contents"] == [{"role": "user", "parts": said}]


async def test_an_answer_that_broke_off_is_continued_without_what_is_no_longer_whole(conversation: Any) -> None:
    claude, gemini = conversation.claude, conversation.gemini
    events = anthropic_stream([ANTHROPIC_CONTENT[0], ANTHROPIC_CONTENT[7]], "tool_use")
    cut_at = next(place for place, event in enumerate(events) if "Paris" in str(event))
    broken = [event for event in events[:cut_at] if event.get("delta", {}).get("type") != "signature_delta"]
    claude.upstream.answers += [broken, anthropic_message([TEXT])]
    gemini.upstream.answers.append(gemini_body([{"text": "ok"}]))
    with pytest.raises(ProviderBadResponse):
        await conversation.say(claude, "one")
    sessions = await conversation.gateway.store.list_sessions(ANONYMOUS.tenant, limit=1)
    conversation.session_id = sessions.items[0].id
    again = await conversation.say(claude, "two")
    await conversation.say(gemini, "three")

    ours = claude.upstream.bodies[1]["messages"]
    cut = {"unparsed": '{"ci'}
    assert ours[1]["content"] == [{"type": "tool_use", "id": "toolu_01A", "name": "weather", "input": cut}]
    assert [block["type"] for block in ours[2]["content"]] == ["tool_result", "text"]
    assert ours[2]["content"][0]["is_error"]
    assert {made.subject for made in again.adjustments} == {"reasoning", "tool_call"}
    theirs = gemini.upstream.bodies[0]["contents"]
    assert theirs[1]["parts"] == [{"functionCall": {"name": "weather", "args": cut}}]
    assert [list(part) for part in theirs[2]["parts"]] == [["functionResponse"], ["text"]]


async def test_null_and_empty_values_in_what_a_provider_noted_are_kept(conversation: Any) -> None:
    claude = conversation.claude
    block = {"type": "mcp_tool_use", "id": "m", "input": {}, "server_name": None, "list": [None, {"deep": None}]}
    claude.upstream.answers += [anthropic_message([block, TEXT]), anthropic_message([TEXT])]
    await conversation.say(claude, "one")
    await conversation.say(claude, "two")

    assert claude.upstream.bodies[1]["messages"][1]["content"] == [block, TEXT]
