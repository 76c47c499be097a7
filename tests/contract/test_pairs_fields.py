"""What one vendor of OpenAI's protocol writes on its message is given back to it, and to no other provider."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import permutations
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from fake_upstreams.strict_gemini import StrictGemini
from pairs.clients import Client, clients
from pairs.dialogue import PROVIDERS
from pairs.script import NAMES, Said
from pairs.wires import WIRES

FAMILY = [name for name in NAMES if name not in ("anthropic", "gemini")]
KEEPERS = [(one, other) for one, other in permutations(NAMES, 2) if one in FAMILY]
SURFACES = ("chat", "connector", "session", "messages")
CITED = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "url": "NOTED", "title": "t"}}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="running")
async def _running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    async with clients(tmp_path_factory.mktemp("fields")) as both:
        yield both[0]


def noted(name: str, *, stream: bool) -> Any:
    """An answer with fields that nobody here knows, and with the place that Mistral's deltas say."""
    answer = WIRES[name].give(Said(1, text="Hi"), stream=stream)
    if not stream:
        answer["choices"][0]["message"] |= {"note_of_it": "NOTED", "annotations": [CITED]}
        return answer
    for chunk in answer:
        for choice in chunk["choices"] if isinstance(chunk, dict) else ():
            choice["delta"] |= {"index": 0, "note_of_it": "NOTED"}
    return answer


class Talk:
    """A conversation on one surface."""

    def __init__(self, running: Client, http: ClientSession, surface: str) -> None:
        self.running, self.http, self.surface = running, http, surface
        self.messages: list[Any] = []
        self.session: dict[str, str] = {}

    async def say(self, name: str, answer: Any = None, *, stream: bool = False) -> tuple[dict[str, Any], str]:
        """Say something, and return what the server got and what is reported as left out."""
        server = self.running.servers[name]
        server.asked.clear()
        if answer is not None:
            server.give(answer) if isinstance(server, StrictGemini) else server.answers.append(answer)
        if self.surface == "session" and not self.session:
            async with self.http.post("/api/sessions", json={}) as reply:
                self.session = {"X-Session-Id": (await reply.json())["session_id"]}
        model = PROVIDERS[name].info.default_model
        self.messages.append({"role": "user", "content": "Go on."})
        path = {"chat": "/v1/chat/completions", "connector": f"/api/v1/{name}/chat"}.get(self.surface, "/v1/messages")
        body: dict[str, Any] = {"model": model if self.surface == "connector" else f"{name}/{model}"}
        body |= {"messages": self.messages[-1:] if self.session else self.messages, "stream": stream}
        body |= {"max_tokens": 3000} if path == "/v1/messages" else {}
        async with self.http.post(path, json=body, headers=self.session) as reply:
            assert reply.status == 200, await reply.text()
            self._keep(await reply.json() if not stream else _joined(await reply.text()))
            return server.asked[-1].body, reply.headers.get("x-orchestrator-dropped", "")

    def _keep(self, answer: dict[str, Any]) -> None:
        if "choices" in answer:
            self.messages.append(answer["choices"][0]["message"])
        elif "message" in answer:
            self.messages.append(answer["message"])
        else:
            self.messages.append({"role": "assistant", "content": answer.get("content") or "Hi"})


def _joined(stream: str) -> dict[str, Any]:
    """Join a stream as clients do that do it by hand."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    for line in stream.splitlines():
        chunk = json.loads(line[5:]) if line.startswith("data:") and "[DONE]" not in line else {}
        for choice in chunk.get("choices") or ():
            delta = choice["delta"]
            message |= {name: value for name, value in delta.items() if name != "content" and value is not None}
            message["content"] += delta.get("content") or ""
    return {"choices": [{"message": message}]}


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize(("one", "other"), KEEPERS, ids=[f"{one}->{other}" for one, other in KEEPERS])
async def test_a_field_that_nobody_knows_stays_with_its_vendor(
    running: Client, one: str, other: str, surface: str
) -> None:
    async with ClientSession(running.url) as http:
        talk = Talk(running, http, surface)
        await talk.say(one, noted(one, stream=False))
        body, dropped = await talk.say(other)
        assert "NOTED" not in json.dumps(body)
        assert dropped
        if one == "openai" or surface == "connector":  # OpenAI's server refuses what it does not know
            return
        again, dropped = await talk.say(one)
        if one == "mistral":  # so does Mistral's, as is known beforehand
            assert "NOTED" not in json.dumps(again)
        else:
            given = [message.get("note_of_it") for message in again["messages"] if message["role"] == "assistant"]
            assert given == ["NOTED", None]


@pytest.mark.parametrize("surface", ["chat", "session"])
@pytest.mark.parametrize(("one", "other"), KEEPERS, ids=[f"{one}->{other}" for one, other in KEEPERS])
async def test_the_same_of_a_stream(running: Client, one: str, other: str, surface: str) -> None:
    async with ClientSession(running.url) as http:
        talk = Talk(running, http, surface)
        await talk.say(one, noted(one, stream=True), stream=True)
        body, _ = await talk.say(other)
        assert "NOTED" not in json.dumps(body)
        assert [message for message in body.get("messages", ()) if "index" in message] == []


SPOKEN = {"id": "audio_1", "data": "UklGRg==", "expires_at": 9, "transcript": "SPOKEN"}


@pytest.mark.parametrize("other", NAMES)
@pytest.mark.parametrize("marked", [False, True])
async def test_a_spoken_answer_is_its_text_elsewhere(running: Client, other: str, marked: bool) -> None:
    async with ClientSession(running.url) as http:
        talk = Talk(running, http, "chat")
        if marked:
            answer = WIRES["openai"].give(Said(1, text="Hi"), stream=False)
            answer["choices"][0]["message"] |= {"content": None, "audio": SPOKEN}
            await talk.say("openai", answer)
        else:
            talk.messages += [
                {"role": "user", "content": "Speak."},
                {"role": "assistant", "content": None, "audio": SPOKEN},
            ]
        body, dropped = await talk.say(other)
        written = json.dumps(body)
        assert "SPOKEN" in written
        if other == "openai" and "messages" in body:
            assert body["messages"][1]["audio"]["id"] == "audio_1"
        else:
            assert "audio_1" not in written
            assert dropped


@pytest.mark.parametrize("other", NAMES)
async def test_the_retired_functions_are_tools_where_they_are_unknown(running: Client, other: str) -> None:
    schema = {"type": "object", "properties": {}}
    body = {
        "model": f"{other}/{PROVIDERS[other].info.default_model}",
        "messages": [
            {"role": "user", "content": "Look."},
            {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
            {"role": "function", "name": "look", "content": "SEEN"},
        ],
        "functions": [{"name": "look", "parameters": schema}],
        "function_call": "auto",
    }
    server = running.servers[other]
    server.asked.clear()
    async with ClientSession(running.url) as http, http.post("/v1/chat/completions", json=body) as reply:
        assert reply.status == 200, await reply.text()
    sent = server.asked[-1].body
    assert "SEEN" in json.dumps(sent)
    if other in ("grok", "qwen", "deepseek", "kimi", "mistral"):
        assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool"]
        assert sent["tools"] == [{"type": "function", "function": body["functions"][0]}]
        assert sent["tool_choice"] == "auto"
        assert sent.keys().isdisjoint(("functions", "function_call"))
