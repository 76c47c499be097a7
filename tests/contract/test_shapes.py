"""What a wire says survives events, folding and storage, and comes back to its own wire at the same place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from fake_providers.anthropic_shaped import AnthropicShapedProvider
from fake_providers.gemini_shaped import GeminiShapedProvider
from fake_providers.shaped_answers import (
    ANTHROPIC_CONTENT,
    GEMINI_PARTS,
    PNG,
    anthropic_message,
    anthropic_stream,
    gemini_body,
    gemini_stream,
)
from fake_providers.shaped_wire import NO_RESULT, Wire, WireAnswer
from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.plugins import Provider
from orchestrator_core.provider_api import (
    PARTS,
    Adjustment,
    ChatRequest,
    ChatResponse,
    Deadline,
    FilePart,
    ImagePart,
    Message,
    ProviderContext,
    ProviderFailed,
    ProviderSettings,
    ReasoningPart,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    UnsupportedParameter,
    UpstreamClient,
    Usage,
    one_by_one,
    text_message,
)

Shaped = AnthropicShapedProvider | GeminiShapedProvider
HELLO = text_message("user", "hello")


def context(name: str) -> ProviderContext:
    return ProviderContext(name, ProviderSettings(), cast("UpstreamClient", None))


@pytest.fixture
def claude() -> AnthropicShapedProvider:
    return AnthropicShapedProvider(context("claude"))


@pytest.fixture
def gemini() -> GeminiShapedProvider:
    return GeminiShapedProvider(context("gemini"))


def ask(messages: Sequence[Message], **kwargs: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=messages, deadline=Deadline.after(10), **kwargs)


async def answer(provider: Shaped, wire: WireAnswer, *messages: Message, **kwargs: Any) -> ChatResponse:
    provider.upstream.answers.append(wire)
    fold = Fold()
    async for event in one_by_one(Provider(provider).chat(ask(messages or (HELLO,), **kwargs))):
        fold.add(event)
    return fold.response()


def stored(message: Message) -> Message:
    """The message as it comes back from JSON."""
    written = PARTS.dump_json(message.parts, exclude_none=True)
    return Message(role=message.role, parts=PARTS.validate_json(written))


async def replay(provider: Shaped, *messages: Message) -> Wire:
    """Return what a provider makes of a conversation."""
    await answer(provider, _short(provider), *messages)
    return provider.upstream.bodies[-1]


def _short(provider: Shaped) -> Wire:
    if isinstance(provider, GeminiShapedProvider):
        return gemini_body([{"text": "ok"}])
    return anthropic_message([{"type": "text", "text": "ok"}])


@pytest.mark.parametrize("make", [anthropic_message, anthropic_stream])
async def test_every_block_of_anthropic_comes_back_where_it_was(claude: Any, make: Any) -> None:
    response = await answer(claude, make(ANTHROPIC_CONTENT, "tool_use"))
    body = await replay(claude, HELLO, stored(response.message))

    assert body["messages"][1]["content"] == ANTHROPIC_CONTENT
    assert [block["tool_use_id"] for block in body["messages"][2]["content"]] == ["toolu_01A", "toolu_01B"]
    assert response.choices[0].finish_reason == "tool_calls"
    assert response.complete
    assert response.usage == Usage(10, 5, 3, 8, 12)


@pytest.mark.parametrize("make", [gemini_body, gemini_stream])
async def test_every_part_of_gemini_comes_back_where_it_was(gemini: Any, make: Any) -> None:
    response = await answer(gemini, make(GEMINI_PARTS))
    body = await replay(gemini, HELLO, stored(response.message))

    assert body["contents"][1] == {"role": "model", "parts": GEMINI_PARTS}
    answered = [part["functionResponse"] for part in body["contents"][2]["parts"]]
    assert answered == [
        {"name": "weather", "response": {"error": NO_RESULT}},
        {"name": "weather", "response": {"error": NO_RESULT}},
        {"name": "time", "response": {"error": NO_RESULT}, "id": "fc-7"},
    ]
    assert response.choices[0].finish_reason == "tool_calls"
    assert response.usage == Usage(input_tokens=5, cached_input_tokens=3, output_tokens=0, reasoning_tokens=6)


async def test_pieces_of_one_text_are_one_part_and_signed_ones_stay_alone(gemini: Any) -> None:
    pieces = [{"text": "He"}, {"text": "llo"}, {"text": "", "thoughtSignature": "cw=="}, {"text": "!"}, {"text": "?"}]
    response = await answer(gemini, gemini_stream(pieces))

    assert response.message.parts == (
        TextPart(text="Hello"),
        TextPart(text="", provider_metadata={"gemini": {"thoughtSignature": "cw=="}}),
        TextPart(text="!?"),
    )


async def test_another_provider_reads_the_text_and_nothing_else(claude: Any, gemini: Any) -> None:
    said = stored((await answer(claude, anthropic_message(ANTHROPIC_CONTENT, "tool_use"))).message)
    drawn = stored((await answer(gemini, gemini_body(GEMINI_PARTS))).message)

    theirs = (await replay(gemini, HELLO, said))["contents"]
    ours = (await replay(claude, HELLO, drawn))["messages"]

    assert theirs[1]["parts"] == [
        {"text": "Let me look"},
        {"text": "It rains."},
        {"functionCall": {"name": "weather", "args": {"city": "Paris"}}},
        {"functionCall": {"name": "weather", "args": {}}},
    ]
    assert [block.get("text") or block["input"] for block in ours[1]["content"]] == [
        *("I look, ", "and I draw.", "Here:", "[image]", "[file]"),
        *({"city": "Köln"}, {}, {"zone": "CET"}),
    ]
    assert all("Signature" not in str(turn) and "signature" not in str(turn) for turn in (*theirs, *ours))


async def test_what_is_left_out_is_reported(claude: Any, gemini: Any) -> None:
    said = stored((await answer(claude, anthropic_message(ANTHROPIC_CONTENT, "tool_use"))).message)
    response = await answer(gemini, gemini_body([{"text": "ok"}]), HELLO, said)

    assert {(made.subject, made.action) for made in response.adjustments} == {
        ("reasoning", "dropped"),
        ("opaque", "dropped"),
        ("tool_call", "mapped"),
    }


async def test_strictly_nothing_is_left_out(claude: Any) -> None:
    with pytest.raises(UnsupportedParameter, match="seed"):
        await answer(claude, anthropic_message([]), seed=1, strict=True)
    assert not claude.upstream.bodies


async def test_parameters_that_are_not_known_there_are_reported(claude: Any) -> None:
    response = await answer(claude, anthropic_message([{"type": "text", "text": "x"}]), seed=1, n=2, extra={"top_k": 4})

    assert [made.subject for made in response.adjustments] == ["n", "seed", "top_k"]
    assert claude.upstream.bodies[0].keys() == {"model", "max_tokens", "messages", "stream"}


async def test_of_several_candidates_each_keeps_its_own(gemini: Any) -> None:
    two = [[{"text": "A"}, {"functionCall": {"name": "f", "args": {}}}], [{"text": "B"}, {"text": "b"}]]
    response = await answer(gemini, gemini_stream(*two), n=2)

    assert gemini.upstream.bodies[0]["generationConfig"] == {"candidateCount": 2}
    assert [choice.message.text for choice in response.choices] == ["A", "Bb"]
    assert [choice.finish_reason for choice in response.choices] == ["tool_calls", "stop"]
    assert response.message is response.choices[0].message


@pytest.mark.parametrize(
    ("native", "reason"),
    [("STOP", "stop"), (1, "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("SPII", "content_filter")],
)
async def test_finish_reasons_of_gemini(gemini: Any, native: Any, reason: str) -> None:
    response = await answer(gemini, gemini_body([{"text": "x"}], reason=native))

    assert response.choices[0].finish_reason == reason
    assert response.choices[0].native_finish_reason == (native if native != 1 else "STOP")


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
    ],
)
async def test_stop_reasons_of_anthropic(claude: Any, native: str, reason: str) -> None:
    response = await answer(claude, anthropic_stream([{"type": "text", "text": "x"}], native))

    assert (response.choices[0].finish_reason, response.choices[0].native_finish_reason) == (reason, native)


async def test_a_blocked_prompt_is_a_complete_answer_without_content(gemini: Any) -> None:
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 4}}
    response = await answer(gemini, blocked)

    assert response.complete
    assert response.message.parts == ()
    assert response.choices[0].finish_reason == "content_filter"
    assert response.choices[0].native_finish_reason == "PROHIBITED_CONTENT"


async def test_an_answer_without_any_block_is_complete(claude: Any) -> None:
    response = await answer(claude, anthropic_message([]))

    assert response.complete
    assert response.message.parts == ()
    following = await replay(claude, HELLO, stored(response.message), text_message("user", "and?"))
    assert [turn["role"] for turn in following["messages"]] == ["user"]


async def test_a_stream_that_ends_before_its_last_event_is_incomplete(claude: Any) -> None:
    events = anthropic_stream([{"type": "text", "text": "half"}])
    response = await answer(claude, events[:-1])

    assert response.message.text == "half"
    assert not response.complete


async def test_an_error_event_ends_a_stream_of_either(claude: Any, gemini: Any) -> None:
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(ProviderFailed, match="Overloaded"):
        await answer(claude, [*anthropic_stream([{"type": "text", "text": "half"}])[:4], overloaded])
    with pytest.raises(ProviderFailed, match="internal"):
        await answer(gemini, [gemini_body([{"text": "a"}]), {"error": {"status": "INTERNAL", "message": "internal"}}])


async def test_system_prompts_and_turns_of_one_role_are_put_together(claude: Any, gemini: Any) -> None:
    messages = [
        text_message("system", "Be brief."),
        text_message("user", "one"),
        text_message("system", "In French."),
        text_message("user", "two"),
        text_message("assistant", "a"),
        text_message("assistant", "b"),
    ]
    body, theirs = await replay(claude, *messages), await replay(gemini, *messages)

    assert [block["text"] for block in body["system"]] == ["Be brief.", "In French."]
    assert [(turn["role"], [block["text"] for block in turn["content"]]) for turn in body["messages"]] == [
        ("user", ["one", "two"]),
        ("assistant", ["a", "b"]),
    ]
    assert theirs["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "In French."}]}
    assert [turn["role"] for turn in theirs["contents"]] == ["user", "model"]


async def test_results_stand_beside_their_calls_whatever_comes_between(claude: Any, gemini: Any) -> None:
    calls = [ToolCallPart(id=id_, name=name, arguments="{}") for id_, name in (("functions.f:0", "f"), ("c 2", "g"))]
    results = [ToolResultPart(tool_call_id=id_, content=id_) for id_ in ("c 2", "functions.f:0", "nobody")]
    messages = [
        HELLO,
        Message(role="assistant", parts=tuple(calls)),
        text_message("user", "wait"),
        Message(role="tool", parts=tuple(results)),
    ]
    turn = (await replay(claude, *messages))["messages"][2]
    theirs = (await replay(gemini, *messages))["contents"][2]

    assert [block.get("tool_use_id") or block["text"] for block in turn["content"]] == [
        *("functions_f_0", "c_2", "wait", "[result of nobody] nobody"),
    ]
    assert theirs["parts"][:2] == [
        {"functionResponse": {"name": "f", "response": {"result": "functions.f:0"}}},
        {"functionResponse": {"name": "g", "response": {"result": "c 2"}}},
    ]


async def test_the_same_id_in_two_turns_and_a_call_that_was_cut_off(claude: Any) -> None:
    call = ToolCallPart(id="call_0", name="f", arguments='{"a": ')
    said = (
        Message(role="assistant", parts=(call,)),
        Message(role="tool", parts=(ToolResultPart(tool_call_id="call_0", content="1"),)),
    )
    body = await replay(claude, HELLO, *said, *said)

    assert [block["id"] for turn in body["messages"][1::2] for block in turn["content"]] == ["call_0", "call_0_2"]
    assert [block["tool_use_id"] for turn in body["messages"][2::2] for block in turn["content"]] == [
        "call_0",
        "call_0_2",
    ]
    assert body["messages"][1]["content"][0]["input"] == {"unparsed": '{"a": '}


async def test_media_of_a_user_and_of_a_result_reach_both_wires(claude: Any, gemini: Any) -> None:
    shown = (ImagePart(data=PNG, media_type="image/png"), FilePart(data="JVBERg==", media_type="application/pdf"))
    result = ToolResultPart(tool_call_id="c", content=(TextPart(text="see"), shown[0]), is_error=True)
    messages = [
        stored(Message(role="user", parts=(TextPart(text="look"), *shown))),
        Message(role="assistant", parts=(ToolCallPart(id="c", name="f"),)),
        stored(Message(role="tool", parts=(result,))),
    ]
    ours, theirs = (await replay(claude, *messages))["messages"], (await replay(gemini, *messages))["contents"]

    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    assert [block["type"] for block in ours[0]["content"]] == ["text", "image", "document"]
    assert ours[0]["content"][1] == image
    assert ours[2]["content"][0]["content"] == [{"type": "text", "text": "see"}, image]
    assert ours[2]["content"][0]["is_error"]
    assert theirs[0]["parts"][1:] == [
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERg=="}},
    ]
    assert theirs[2]["parts"] == [
        {"functionResponse": {"name": "f", "response": {"error": "see"}}},
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
    ]


async def test_tools_reach_both_wires(claude: Any, gemini: Any) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": False}
    mark = {"cache_control": {"type": "ephemeral"}}
    tool = Tool(name="weather", parameters=schema, provider_metadata={"claude": mark})
    for provider in (claude, gemini):
        await answer(provider, _short(provider), tools=[tool], tool_choice="required", parallel_tool_calls=False)
    ours, theirs = claude.upstream.bodies[0], gemini.upstream.bodies[0]

    assert ours["tools"] == [{"name": "weather", "input_schema": schema, **mark}]
    assert ours["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert theirs["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == schema
    assert "cache_control" not in str(theirs)
    assert theirs["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}


async def test_reasoning_without_a_signature_is_never_sent_back(claude: Any, gemini: Any) -> None:
    thought = Message(role="assistant", parts=(ReasoningPart(text="hm"), TextPart(text="yes")))

    for provider in (claude, gemini):
        assert "hm" not in str(await replay(provider, HELLO, thought))
        response = await answer(provider, _short(provider), HELLO, thought)
        assert response.adjustments == [
            Adjustment("reasoning", "dropped", "only the provider that made it can read it")
        ]
