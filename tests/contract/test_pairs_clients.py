"""Every ordered pair of providers holds one conversation with the official SDKs, which carry the history themselves.

Nothing is stored: what the gateway needs to know of an answer, it finds in what the client gives back.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import permutations

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from pairs.checks import WHILE_WORKING, check_request
from pairs.clients import AnthropicClient, Client, OpenAIClient, Sent, clients
from pairs.dialogue import PROVIDERS
from pairs.reports import TAKES_OLD_THOUGHTS, Past, expected
from pairs.script import NAMES, TURNS, Said, Turn
from pairs.wires import WIRES

PAIRS = list(permutations(NAMES, 2))
IDS = [f"{one}->{other}" for one, other in PAIRS]
# An application of Anthropic's SDK keeps no answer that broke off.
WITHOUT_BROKEN = tuple(replace(turn, answer=Said(5)) if turn.answer.breaks else turn for turn in TURNS)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="running")
async def _running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[OpenAIClient, AnthropicClient]]:
    async with clients(tmp_path_factory.mktemp("pairs")) as both:
        yield both


async def hold(client: Client, one: str, other: str, kept: Sequence[Turn]) -> list[Sent]:
    """Hold the conversation, and check each request of it."""
    sent = await client.hold(TURNS, {"A": one, "B": other})
    names = [each.by for each in sent]
    for number, (turn, each) in enumerate(zip(TURNS, sent, strict=True)):
        check_request(number, turn, each.by, each.asked, names, kept)
        past = [Past(name, turn.answer) for name, turn in zip(names[:number], kept, strict=False)]
        lost = {subject for subject, action in expected(each.by, past) if action != "mapped"}
        assert each.dropped == sorted(lost), (number, each.by)
    if one in TAKES_OLD_THOUGHTS | {"anthropic"}:
        for number in (2, 3, 4, 6, 7):
            written = json.dumps(sent[number].asked.body)
            mine = [turn.answer for name, turn in zip(names[:number], kept, strict=False) if name == one]
            assert [mark for said in mine for mark in WIRES[one].replayed(said) if mark not in written] == []
    elif one in WHILE_WORKING:
        assert WIRES[one].thought(TURNS[6].answer) in json.dumps(sent[7].asked.body)
    return sent


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=IDS)
async def test_a_conversation_held_with_openais_sdk(
    running: tuple[OpenAIClient, AnthropicClient], one: str, other: str
) -> None:
    await hold(running[0], one, other, TURNS)


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=IDS)
async def test_a_conversation_held_with_anthropics_sdk(
    running: tuple[OpenAIClient, AnthropicClient], one: str, other: str
) -> None:
    # Anthropic's own refusals stand beside the content, which is all that an application keeps.
    silent = [replace(turn, answer=Said(3)) if turn.answer.refusal else turn for turn in WITHOUT_BROKEN]
    await hold(running[1], one, other, silent if one == "anthropic" else WITHOUT_BROKEN)


@pytest.mark.parametrize(("path", "end"), [("/v1/chat/completions", "[DONE]"), ("/v1/messages", "message_stop")])
@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini"])
async def test_a_stream_says_at_its_end_what_it_cost(
    running: tuple[OpenAIClient, AnthropicClient], path: str, end: str, name: str
) -> None:
    body = {
        "model": f"{name}/{PROVIDERS[name].info.default_model}",
        "max_tokens": 3000,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    async with ClientSession() as client:
        async with client.post(running[0].url + path, json=body) as whole:
            cost = whole.headers["x-orchestrator-cost"]
        async with client.post(running[0].url + path, json={**body, "stream": True}) as stream:
            text = await stream.text()

    assert "x-orchestrator-cost" not in stream.headers
    assert stream.headers["x-orchestrator-request-id"] == stream.headers["x-request-id"]
    frames = text.removesuffix("\n\n").split("\n\n")
    assert frames.index(f": x-orchestrator-cost: {cost}") >= len(frames) - 4
    assert end in text
    assert float(cost) > 0


async def test_a_thought_in_pieces_is_marked_once(running: tuple[OpenAIClient, AnthropicClient]) -> None:
    openai = running[0]
    await openai.hold(TURNS[:1], {"A": "gemini", "B": "openai"})

    details = openai.messages[-1]["reasoning_details"]
    assert [each["extra_content"]["gemini"]["thought"] for each in details] == [True]
