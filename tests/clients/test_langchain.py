"""LangChain, as its users write it, in front of a real gateway."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from clients.frontage import EMBEDDINGS, MODELS, PICTURE, USAGE, WEATHER, Frontage, frontage, shown
from clients.heard import model, schema, told, tools
from orchestrator_core.resilience.retry_budget import FREE_EVERY
from pairs.script import Call

pytest.importorskip("langchain_openai", reason="LangChain is not installed: nox -s clients")
pytest.importorskip("langchain_anthropic", reason="LangChain for Anthropic is not installed: nox -s clients")

# One loop for all, since LangChain keeps the connections of all its clients open.
pytestmark = pytest.mark.asyncio(loop_scope="session")
page = shown("langchain_client")
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOWN = {
    "type": "object",
    "title": "Town",
    "description": "A town.",
    "properties": {"city": {"type": "string", "title": "City"}},
    "required": ["city"],
    "additionalProperties": False,
}


def client(front: Frontage, dialect: str, vendor: str) -> Any:
    return getattr(page, dialect)(MODELS[vendor], front.url)


async def test_an_answer_with_its_usage(front: Frontage, dialect: str, vendor: str) -> None:
    front.say(vendor, "It is Oslo.")
    answer = await client(front, dialect, vendor).ainvoke([("system", "You are a guide."), ("human", "Which town?")])
    assert answer.text == "It is Oslo."
    assert answer.response_metadata["model_provider"] == dialect.removesuffix("_dialect")
    counts = answer.usage_metadata
    assert (counts["input_tokens"], counts["output_tokens"]) == USAGE[vendor]
    assert counts["total_tokens"] == sum(USAGE[vendor])
    [asked] = front.asked(vendor)
    assert model(asked) == MODELS[vendor].partition("/")[2]
    assert told(asked) == [("system", "You are a guide."), ("user", "Which town?")]


async def test_the_counts_of_caches_and_thoughts(front: Frontage, dialect: str) -> None:
    front.say("anthropic", "It is Oslo.", thinks=True)
    counts = (await client(front, dialect, "anthropic").ainvoke("Which town?")).usage_metadata
    cached = counts["input_token_details"]
    assert (cached["cache_read"], cached["cache_creation"]) == (5, 3)
    if dialect == "openai_dialect":  # ChatAnthropic has no place for it
        assert counts["output_token_details"]["reasoning"] == 12


async def test_a_stream_with_its_usage(front: Frontage, dialect: str, vendor: str) -> None:
    front.say(vendor, "It is Oslo.", thinks=True, stream=True)
    whole: Any = None
    async for piece in client(front, dialect, vendor).astream("Which town?"):
        whole = piece if whole is None else whole + piece
    assert whole.text == "It is Oslo."
    counts = whole.usage_metadata
    assert (counts["input_tokens"], counts["output_tokens"]) == USAGE[vendor]
    [asked] = front.asked(vendor)
    assert told(asked) == [("user", "Which town?")]
    assert asked.body.get("stream") or asked.path.endswith(":streamGenerateContent")


async def test_the_stream_of_the_page(front: Frontage, dialect: str) -> None:
    front.say("anthropic", "It is Oslo.", stream=True)
    pieces = [piece async for piece in page.stream(client(front, dialect, "anthropic"), "Which town?")]
    assert pieces == ["It ", "is Oslo."]


async def test_tools_until_there_is_an_answer(front: Frontage, dialect: str, vendor: str) -> None:
    front.say(vendor, "I look.", WEATHER, thinks=True)
    front.say(vendor, "Take a coat.")
    question, called, result, answer = await page.converse(client(front, dialect, vendor), "What to wear in Oslo?")
    assert question.text == "What to wear in Oslo?"
    assert called.text == "I look."
    [call] = called.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Oslo"})
    if vendor != "gemini":  # whose calls have no id: the gateway gives one
        assert call["id"] == front.call_id(vendor)
    assert result.tool_call_id == call["id"]
    assert answer.text == "Take a coat."
    first, second = front.asked(vendor)
    assert tools(first) == tools(second) == {"get_weather": CITY}
    assert told(first) == [("user", "What to wear in Oslo?")]
    expected = conversation(front, vendor)
    # ChatOpenAI keeps no thoughts of others than OpenAI; ChatAnthropic gives them back to those who have shown them.
    kept = dialect == "anthropic_dialect" and vendor != "openai"
    assert told(second) == (expected if kept else [each for each in expected if each[0] != "thought"])


def conversation(front: Frontage, vendor: str) -> list[tuple[str, ...]]:
    """What a vendor is told after its call was answered."""
    id_ = front.call_id(vendor)
    call: tuple[str, ...] = ("call", "get_weather", '{"city": "Oslo"}', id_)
    return [
        ("user", "What to wear in Oslo?"),
        ("thought", f"thought 0 of {vendor}"),
        ("assistant", "I look."),
        call[:3] if vendor == "gemini" else call,
        ("result", "get_weather" if vendor == "gemini" else id_, "It snows in Oslo."),
    ]


async def test_parallel_calls_in_a_stream(front: Frontage, dialect: str, vendor: str) -> None:
    front.say(vendor, "", WEATHER, Call("get_weather", "Bergen"), stream=True)
    whole: Any = None
    async for piece in client(front, dialect, vendor).bind_tools([page.get_weather]).astream("Oslo or Bergen?"):
        whole = piece if whole is None else whole + piece
    assert [call["args"] for call in whole.tool_calls] == [{"city": "Oslo"}, {"city": "Bergen"}]
    assert len({call["id"] for call in whole.tool_calls}) == 2
    assert whole.invalid_tool_calls == []


async def test_a_conversation_that_goes_on_with_another_provider(front: Frontage, dialect: str) -> None:
    equipped = {name: client(front, dialect, name).bind_tools([page.get_weather]) for name in MODELS}
    messages: list[Any] = [page.HumanMessage("What to wear in Oslo?")]
    for place, name in enumerate(MODELS):
        front.say(name, f"I am {name}.", WEATHER, thinks=True)
        messages.append(await equipped[name].ainvoke(messages))
        messages.append(await page.get_weather.ainvoke(messages[-1].tool_calls[0]))
        [asked] = front.vendors[name].asked
        assert asked.problems == []
        said = [words for who, *words in told(asked) if who == "assistant"]
        assert said == [[f"I am {before}."] for before in list(MODELS)[:place]]
        assert [each for each in told(asked) if each[0] == "thought"] == []  # nobody is told what another thought


async def test_structured_output(front: Frontage, dialect: str, vendor: str) -> None:
    front.say(vendor, '{"city": "Oslo"}')
    assert await page.find_town(client(front, dialect, vendor), "Which town?") == page.Town(city="Oslo")
    [asked] = front.asked(vendor)
    assert schema(asked) == TOWN


async def test_structured_output_by_a_tool(front: Frontage, dialect: str, vendor: str) -> None:
    name = "anthropic/claude-sonnet-4-5" if vendor == "anthropic" else MODELS[vendor]  # newer ones cannot be forced
    front.say(vendor, "", Call("Town", "Oslo"))
    forced = getattr(page, dialect)(name, front.url).with_structured_output(page.Town, method="function_calling")
    assert await forced.ainvoke("Which town?") == page.Town(city="Oslo")
    [asked] = front.asked(vendor)
    assert tools(asked) == {"Town": CITY}
    choice = json.dumps(asked.body.get("tool_choice") or asked.body["toolConfig"])
    assert '"Town"' in choice


async def test_images(front: Frontage, dialect: str, vendor: str) -> None:
    front.say(vendor, "It is a cat.")
    assert await page.describe(client(front, dialect, vendor), PICTURE) == "It is a cat."
    [asked] = front.asked(vendor)
    assert told(asked) == [("user", "What is this?"), ("picture", f"data:image/png;base64,{PICTURE}")]


@pytest.mark.parametrize("vendor", EMBEDDINGS)
async def test_embeddings(front: Frontage, vendor: str) -> None:
    vectors = await page.embeddings(EMBEDDINGS[vendor], front.url).aembed_documents(["Oslo", "Bergen"])
    [asked] = front.asked(vendor)
    if vendor == "gemini":
        assert vectors == [[0.5] * 3072] * 2
        assert [each["content"]["parts"] for each in asked.body["requests"]] == [
            [{"text": "Oslo"}],
            [{"text": "Bergen"}],
        ]
    else:
        assert vectors == [[0.0, 0.5], [1.0, 0.5]]
        assert asked.body["input"] == ["Oslo", "Bergen"]


async def test_a_provider_without_embeddings(front: Frontage) -> None:
    with pytest.raises(Exception, match=r"The provider 'anthropic' does not embed\. Choose another\."):
        await page.embeddings("anthropic/claude-sonnet-5-5", front.url).aembed_query("Oslo")
    assert front.asked("anthropic") == []


async def test_refusals_of_vendors(front: Frontage, dialect: str, vendor: str) -> None:
    front.refuse(vendor, "I do not take this.", 400)
    with pytest.raises(Exception, match=r"I do not take this\.") as caught:
        await page.ask(client(front, dialect, vendor), "Which town?")
    refused = {"openai_dialect": "OpenAIInvalidRequestError", "anthropic_dialect": "AnthropicInvalidRequestError"}
    assert type(caught.value).__name__ == refused[dialect]
    assert getattr(caught.value, "status_code", None) == 400


async def test_a_limit_is_tried_again_by_the_gateway_alone(front: Frontage, dialect: str) -> None:
    front.refuse("mistral", "Slow down.", 429)
    front.say("mistral", "It is Oslo.")
    once = client(front, dialect, "mistral")
    assert once.max_retries == 0
    assert await page.ask(once, "Which town?") == "It is Oslo."
    for _ in range(9):
        front.refuse("mistral", "Slow down.", 429)
    await asyncio.sleep(FREE_EVERY)  # one retry in that time is free, and so few calls earn no other
    with pytest.raises(Exception, match=r"429.*Slow down\.") as caught:
        await page.ask(once, "Which town?")
    assert type(caught.value).__name__.endswith("RateLimitError")
    assert len(front.asked("mistral")) == 4  # two attempts of the gateway for each question


async def test_a_name_that_nobody_has(front: Frontage, dialect: str) -> None:
    with pytest.raises(Exception, match="write provider/model") as caught:
        await page.ask(getattr(page, dialect)("nobody/model-1", front.url), "Which town?")
    assert type(caught.value).__name__.endswith("ModelNotFoundError")


async def test_a_key_of_the_gateway(tmp_path: Path, dialect: str) -> None:
    async with frontage(tmp_path, ORCHESTRATOR_CLIENT_KEY="0123456789abcdef" * 2) as guarded:
        with pytest.raises(Exception, match="401") as caught:
            await page.ask(client(guarded, dialect, "openai"), "Which town?")
        assert type(caught.value).__name__.endswith("AuthenticationError")
        assert guarded.asked("openai") == []


async def test_the_synchronous_methods(front: Frontage, dialect: str) -> None:
    front.say("gemini", "It is Oslo.")
    front.say("gemini", "It is Bergen.", stream=True)
    chat = client(front, dialect, "gemini")
    assert (await asyncio.to_thread(chat.invoke, "Which town?")).text == "It is Oslo."
    pieces = await asyncio.to_thread(lambda: list(chat.stream("Which town?")))
    assert "".join(piece.text for piece in pieces) == "It is Bergen."
