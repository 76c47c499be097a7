"""Five hundred turns that go from provider to provider: nothing of importance is forgotten, and nothing grows.

Among them are questions with an image, and questions that the model calls tools for, with the results as the next turn,
which a provider may get that did not call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fake_providers.counting import FACT, CountingProvider, counting, size
from orchestrator_core.provider_api import ChatRequest, ImagePart, Message, ToolResultPart
from scripted_gateway import Served, served

TURNS = 500
CHANGE = 7
FACTS = 40
WINDOWS = {"one": 16_000, "two": 6_000, "three": None}
LONGEST = 2 * 20 + 2
"""Messages: twice the threshold, the summary, and the question."""

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


class Conversation:
    """Asks one question after the other, and gives the results of tools where the answer calls them.

    Attributes:
        session: The session.
        asked: The messages of the user so far.
        images: The images so far.
        results: The results of tools so far.
        handed_over: How many of them went to a provider that had not called.
    """

    def __init__(self, gateway: Served) -> None:
        self.gateway = gateway
        self.session: str | None = None
        self.asked = self.images = self.results = self.handed_over = 0
        self._calls: Sequence[str] = ()
        self._caller = ""

    async def turn(self, number: int, provider: str) -> None:
        told = f"FACT{number}=x{number} " if number < FACTS else ""
        text = f"{told}{number} {'words ' * (number % 300)}"
        body: dict[str, Any] = {"agent_config": {"provider": provider, "tools": [TOOL]}}
        if self._calls:
            results = [{"tool_call_id": call, "content": f"{call} gave {text}"} for call in self._calls]
            body["tool_results"] = results
            self.results += len(results)
            self.handed_over += len(results) if provider != self._caller else 0
        else:
            self.asked += 1
            body["message"] = f"{text}LOOK{number}a LOOK{number}b" if number % 5 == 1 else text
            if number % 9 == 4:
                image = {"type": "image", "data": PIXEL, "media_type": "image/png"}
                body["message"] = [{"type": "text", "text": body["message"]}, image]
                self.images += 1
        if self.session is not None:
            body["session_id"] = self.session
        reply = await self.gateway.post("/api/orchestrate", body)
        assert reply.status == 200, reply.body
        answer = reply.json
        self.session = str(answer["session_id"])
        self._calls = [call["id"] for call in answer.get("tool_calls", ())]
        self._caller = provider
        assert (answer["agent_used"], answer["message_count"]) == (provider, self.asked)

    async def read(self, path: str) -> Any:
        return (await self.gateway.get(f"/api/sessions/{self.session}/{path}")).json

    async def history(self) -> Sequence[Any]:
        """Return all that was said."""
        said: list[Any] = []
        while True:
            page = await self.read(f"history?limit=100&offset={len(said)}")
            said += page["messages"]
            if not page["has_more"]:
                return said

    async def settle(self) -> None:
        """Wait for what goes on in the background."""
        while tasks := list(self.gateway.gateway._memory._running.values()):
            await asyncio.wait(tasks)


def facts(request: ChatRequest) -> set[str]:
    written = (part.model_dump_json() for message in request.messages for part in message.parts)
    return {fact for text in written for fact in FACT.findall(text)}


def torn(messages: Sequence[Message]) -> list[str]:
    """Return the calls that lack their result where the conversation goes on, and the results that lack their call."""
    waiting, found = list[str](), list[str]()
    for message in messages:
        if message.role != "tool":
            found += waiting
            waiting = [call.id for call in message.tool_calls]
        for part in message.parts:
            if isinstance(part, ToolResultPart):
                found += [] if part.tool_call_id in waiting else [part.tool_call_id]
                waiting = [call for call in waiting if call != part.tool_call_id]
    return found + waiting


def images(request: ChatRequest) -> int:
    return sum(isinstance(part, ImagePart) for message in request.messages for part in message.parts)


async def converse(tmp_path: Path, kinds: dict[str, type[CountingProvider]]) -> tuple[Conversation, Any, Any]:
    """Have the conversation; return it with its ledger of summaries and its history."""
    async with served(tmp_path, list(kinds.values())) as gateway:
        talk = Conversation(gateway)
        for number in range(TURNS):
            await talk.turn(number, list(kinds)[number // CHANGE % len(kinds)])
        await talk.settle()
        return talk, (await talk.read("summaries?limit=100"))["summaries"], await talk.history()


@pytest.fixture(scope="module")
def kinds() -> dict[str, type[CountingProvider]]:
    return {name: counting(name, window) for name, window in WINDOWS.items()}


async def test_facts_stay_the_context_is_bounded_and_no_call_is_torn_from_its_results(
    tmp_path: Path, kinds: dict[str, type[CountingProvider]]
) -> None:
    talk, summaries, history = await converse(tmp_path, kinds)

    assert min(talk.results, talk.images, talk.handed_over) >= 10
    fakes = {name: kind.made[0] for name, kind in kinds.items()}
    for name, fake in fakes.items():
        # What was told in the beginning, by the user or by a tool, is in everything that was sent since.
        assert all(
            facts(request) >= {f"FACT{number}=x{number}" for number in range(FACTS)} for request in fake.turns[20:]
        )
        assert fake.refused == 0
        assert max(map(size, fake.turns)) <= (WINDOWS[name] or max(filter(None, WINDOWS.values())))
        assert max(len(request.messages) for request in fake.turns) <= LONGEST
        assert not [request for request in fake.turns if torn(request.messages)]
        assert any(images(request) for request in fake.turns)
    assert sum(len(fake.turns) for fake in fakes.values()) == TURNS
    assert len(summaries) >= 20
    assert [entry["replaces"] for entry in summaries[1:]] == [entry["id"] for entry in summaries[:-1]]
    assert {entry["provider"] for entry in summaries} == set(kinds)
    for entry in summaries:
        last, following = history[entry["upto_sequence"] - 1], history[entry["upto_sequence"]]
        assert "tool_calls" not in last
        assert following["role"] != "tool"

    assert len(history) == 2 * TURNS
    results = [part for message in history if message["role"] == "tool" for part in message["content"]]
    assert len(results) == talk.results
    assert sum(str(message["content"]).count(PIXEL) for message in history) == talk.images
