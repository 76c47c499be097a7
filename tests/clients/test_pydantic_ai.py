"""pydantic-ai, as its users write it, in front of a real gateway."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from clients.frontage import EMBEDDINGS, MODELS, PICTURE, USAGE, WEATHER, Frontage, frontage, shown
from clients.heard import model, schema, told, tools
from pairs.script import Call

pytest.importorskip("pydantic_ai.models.openai", reason="pydantic-ai is not installed: nox -s clients")
pytest.importorskip("pydantic_ai.models.anthropic", reason="pydantic-ai for Anthropic is not installed: nox -s clients")

# One loop for all, since pydantic-ai keeps the connections of all its clients open.
pytestmark = pytest.mark.asyncio(loop_scope="session")
page = shown("pydantic_ai_client")
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def client(front: Frontage, dialect: str, vendor: str) -> Any:
    return getattr(page, dialect)(MODELS[vendor], front.url)


async def test_an_answer_with_its_usage(front: Frontage, dialect: str, vendor: str) -> None:
    front.say(vendor, "It is Oslo.")
    agent = page.Agent(client(front, dialect, vendor), instructions="You are a guide.")
    answer = await agent.run("Which town?")
    assert answer.output == "It is Oslo."
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == USAGE[vendor]
    assert answer.usage.requests == 1
    [asked] = front.asked(vendor)
    assert model(asked) == MODELS[vendor].partition("/")[2]
    assert told(asked) == [("system", "You are a guide."), ("user", "Which town?")]


async def test_the_counts_of_caches(front: Frontage, dialect: str) -> None:
    front.say("anthropic", "It is Oslo.", thinks=True)
    counts = (await page.Agent(client(front, dialect, "anthropic")).run("Which town?")).usage
    assert (counts.cache_read_tokens, counts.cache_write_tokens) == (5, 3)


async def test_a_stream_with_its_usage(front: Frontage, dialect: str, vendor: str) -> None:
    front.say(vendor, "It is Oslo.", thinks=True, stream=True)
    async with page.Agent(client(front, dialect, vendor)).run_stream("Which town?") as answer:
        assert await answer.get_output() == "It is Oslo."
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == USAGE[vendor]
    [asked] = front.asked(vendor)
    assert told(asked) == [("user", "Which town?")]
    assert asked.body.get("stream") or asked.path.endswith(":streamGenerateContent")


async def test_the_stream_of_the_page(front: Frontage, dialect: str) -> None:
    front.say("anthropic", "It is Oslo.", stream=True)
    pieces = [piece async for piece in page.stream(client(front, dialect, "anthropic"), "Which town?")]
    assert pieces == ["It ", "is Oslo."]


async def test_an_agent_with_a_tool(front: Frontage, dialect: str, vendor: str) -> None:
    front.say(vendor, "I look.", WEATHER, thinks=True)
    front.say(vendor, "Take a coat.")
    answer = await page.guide(client(front, dialect, vendor)).run("What to wear in Oslo?")
    assert answer.output == "Take a coat."
    assert answer.usage.requests == 2
    assert answer.usage.tool_calls == 1
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == tuple(2 * count for count in USAGE[vendor])
    first, second = front.asked(vendor)
    assert tools(first) == tools(second) == {"get_weather": CITY}
    assert told(first) == [("system", "You are a guide."), ("user", "What to wear in Oslo?")]
    expected = conversation(front, vendor)
    # Through OpenAI's protocol a thought comes back without what its vendor wrote beside it. Mistral writes nothing.
    lost = vendor == "openai" or (dialect == "openai_dialect" and vendor != "mistral")
    assert told(second) == ([each for each in expected if each[0] != "thought"] if lost else expected)


def conversation(front: Frontage, vendor: str) -> list[tuple[str, ...]]:
    """What a vendor is told after its call was answered."""
    id_ = front.call_id(vendor)
    call: tuple[str, ...] = ("call", "get_weather", '{"city": "Oslo"}', id_)
    return [
        ("system", "You are a guide."),
        ("user", "What to wear in Oslo?"),
        ("thought", f"thought 0 of {vendor}"),
        ("assistant", "I look."),
        call[:3] if vendor == "gemini" else call,
        ("result", "get_weather" if vendor == "gemini" else id_, "It snows in Oslo."),
    ]


async def test_an_agent_that_streams(front: Frontage, dialect: str, vendor: str) -> None:
    front.say(vendor, "", WEATHER, Call("get_weather", "Bergen"), stream=True)
    front.say(vendor, "Oslo is colder.", stream=True)
    said: list[str] = []
    async with page.guide(client(front, dialect, vendor)).run_stream("Oslo or Bergen?") as answer:
        said += [piece async for piece in answer.stream_text(delta=True, debounce_by=None)]
    assert "".join(said) == "Oslo is colder."
    assert answer.usage.tool_calls == 2
    _, second = front.asked(vendor)
    results = [words[-1] for who, *words in told(second) if who == "result"]
    assert results == ["It snows in Oslo.", "It snows in Bergen."]


async def test_a_conversation_that_goes_on_with_another_provider(front: Frontage, dialect: str) -> None:
    history: list[Any] = []
    for place, name in enumerate(MODELS):
        front.say(name, f"I am {name}.", WEATHER, thinks=True)
        front.say(name, f"Said {name}.")
        answer = await page.guide(client(front, dialect, name)).run(f"And {name}?", message_history=history)
        history = answer.all_messages()
        assert [each.problems for each in front.vendors[name].asked] == [[], []]
        said = [words for who, *words in told(front.vendors[name].asked[0]) if who == "assistant"]
        assert said == [[f"{verb} {one}."] for one in list(MODELS)[:place] for verb in ("I am", "Said")]


async def test_structured_output(front: Frontage, dialect: str, vendor: str) -> None:
    name = "anthropic/claude-sonnet-4-5" if vendor == "anthropic" else MODELS[vendor]  # newer ones cannot be forced
    front.say(vendor, "", Call("final_result", "Oslo"))
    assert await page.find_town(getattr(page, dialect)(name, front.url), "Which town?") == page.Town(city="Oslo")
    [asked] = front.asked(vendor)
    [(tool, parameters)] = tools(asked).items()
    assert tool == "final_result"
    assert {**CITY, **parameters} == CITY
    choice = json.dumps(asked.body.get("tool_choice") or asked.body["toolConfig"])
    assert any(word in choice for word in ('"any"', '"required"', '"ANY"'))


async def test_native_structured_output(front: Frontage, vendor: str) -> None:
    front.say(vendor, '{"city": "Oslo"}')
    chat = client(front, "openai_dialect", vendor)
    assert await page.find_town_natively(chat, "Which town?") == page.Town(city="Oslo")
    [asked] = front.asked(vendor)
    # Anthropic and Gemini have no other place for the description.
    described = {"description": "A town."} if vendor in ("anthropic", "gemini") else {}
    assert schema(asked) == CITY | described


async def test_a_plain_name_tells_pydantic_ai_what_the_model_can(tmp_path: Path) -> None:
    aliases = {"claude-sonnet-5-5": MODELS["anthropic"]}
    async with frontage(tmp_path, ORCHESTRATOR_ALIASES=json.dumps(aliases)) as front:
        # A model that takes no forced call of a tool: pydantic-ai knows it by its name, and asks for a form instead.
        front.say("anthropic", '{"city": "Oslo"}', stream=True)
        chat = page.anthropic_dialect("claude-sonnet-5-5", front.url)
        assert await page.find_town(chat, "Which town?") == page.Town(city="Oslo")
        [asked] = front.asked("anthropic")
        assert schema(asked) == CITY
        assert tools(asked) == {}


async def test_images(front: Frontage, dialect: str, vendor: str) -> None:
    front.say(vendor, "It is a cat.")
    assert await page.describe(client(front, dialect, vendor), base64.b64decode(PICTURE)) == "It is a cat."
    [asked] = front.asked(vendor)
    assert told(asked) == [("user", "What is this?"), ("picture", f"data:image/png;base64,{PICTURE}")]


@pytest.mark.parametrize("vendor", EMBEDDINGS)
async def test_embeddings(front: Frontage, vendor: str) -> None:
    answer = await page.embedder(EMBEDDINGS[vendor], front.url).embed_documents(["Oslo", "Bergen"])
    [asked] = front.asked(vendor)
    if vendor == "gemini":
        assert answer.embeddings == [[0.5] * 3072] * 2
        assert [each["content"]["parts"] for each in asked.body["requests"]] == [
            [{"text": "Oslo"}],
            [{"text": "Bergen"}],
        ]
    else:
        assert answer.embeddings == [[0.0, 0.5], [1.0, 0.5]]
        assert asked.body["input"] == ["Oslo", "Bergen"]
        assert answer.usage.input_tokens == 2


async def test_refusals_of_vendors(front: Frontage, dialect: str, vendor: str) -> None:
    front.refuse(vendor, "I do not take this.", 400)
    with pytest.raises(Exception, match=r"I do not take this\.") as caught:
        await page.ask(client(front, dialect, vendor), "Which town?")
    assert type(caught.value).__name__ == "ModelRequestRejectedError"
    assert getattr(caught.value, "status_code", None) == 400


async def test_a_limit(front: Frontage, dialect: str) -> None:
    for _ in range(9):
        front.refuse("mistral", "Slow down.", 429)
    with pytest.raises(Exception, match=r"429.*Slow down\.") as caught:
        await page.ask(client(front, dialect, "mistral"), "Which town?")
    assert type(caught.value).__name__ == "ModelRateLimitError"


async def test_a_name_that_nobody_has(front: Frontage, dialect: str) -> None:
    with pytest.raises(Exception, match="write provider/model") as caught:
        await page.ask(getattr(page, dialect)("nobody/model-1", front.url), "Which town?")
    assert type(caught.value).__name__ == "ModelNotFoundError"


async def test_a_key_of_the_gateway(tmp_path: Path, dialect: str) -> None:
    async with frontage(tmp_path, ORCHESTRATOR_CLIENT_KEY="0123456789abcdef" * 2) as guarded:
        with pytest.raises(Exception, match="401") as caught:
            await page.ask(client(guarded, dialect, "openai"), "Which town?")
        assert type(caught.value).__name__ == "ModelAuthenticationError"
        assert guarded.asked("openai") == []


async def test_the_synchronous_method(front: Frontage, dialect: str) -> None:
    front.say("gemini", "It is Oslo.")
    agent = page.Agent(client(front, dialect, "gemini"))
    assert (await asyncio.to_thread(agent.run_sync, "Which town?")).output == "It is Oslo."
