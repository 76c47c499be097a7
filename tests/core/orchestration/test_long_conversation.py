"""Five hundred turns that go from provider to provider: nothing of importance is forgotten, and nothing grows."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fake_providers.counting import FACT, counting, size
from orchestrator_core.provider_api import ChatRequest
from scripted_gateway import Served, served

TURNS = 500
CHANGE = 7
FACTS = 40
WINDOWS = {"one": 16_000, "two": 6_000, "three": None}


async def converse(gateway: Served, message: str, provider: str, session: str | None) -> dict[str, object]:
    body = {"message": message, "agent_config": {"provider": provider}}
    reply = await gateway.post("/api/orchestrate", body if session is None else {**body, "session_id": session})
    assert reply.status == 200, reply.body
    answer: dict[str, object] = reply.json
    return answer


async def settle(gateway: Served) -> None:
    """Wait for what goes on in the background."""
    while tasks := list(gateway.gateway._memory._running.values()):
        await asyncio.wait(tasks)


def facts(request: ChatRequest) -> set[str]:
    return {fact for message in request.messages for fact in FACT.findall(message.text)}


async def test_facts_stay_and_the_context_is_bounded(tmp_path: Path) -> None:
    kinds = {name: counting(name, window) for name, window in WINDOWS.items()}
    session: str | None = None
    async with served(tmp_path, list(kinds.values())) as gateway:
        for number in range(TURNS):
            name = list(kinds)[number // CHANGE % len(kinds)]
            told = f"FACT{number}=x{number} " if number < FACTS else ""
            answer = await converse(gateway, f"{told}{number} {'words ' * (number % 300)}", name, session)
            session = str(answer["session_id"])
            assert (answer["agent_used"], answer["message_count"]) == (name, number + 1)
        await settle(gateway)
        ledger = (await gateway.get(f"/api/sessions/{session}/summaries?limit=100")).json
        history = (await gateway.get(f"/api/sessions/{session}/history?limit=1&offset={2 * TURNS - 1}")).json

    fakes = {name: kind.made[0] for name, kind in kinds.items()}
    for name, fake in fakes.items():
        # What was told in the beginning is in everything that was sent since.
        assert all(
            facts(request) >= {f"FACT{number}=x{number}" for number in range(FACTS)} for request in fake.turns[20:]
        )
        assert fake.refused == 0
        assert max(map(size, fake.turns)) <= (WINDOWS[name] or max(filter(None, WINDOWS.values())))
        assert max(len(request.messages) for request in fake.turns) <= 2 * 20 + 2
    assert sum(len(fake.turns) for fake in fakes.values()) == TURNS
    summaries = ledger["summaries"]
    assert len(summaries) >= 20
    assert [entry["replaces"] for entry in summaries[1:]] == [entry["id"] for entry in summaries[:-1]]
    assert {entry["provider"] for entry in summaries} == set(kinds)
    assert (len(history["messages"]), history["has_more"]) == (1, False)
