"""What an upstream of OpenAI's dialect says in fields that nobody here names, on every surface."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fake_upstreams.openai_server import OpenAIServer, completion
from orchestrator_openai import OpenAIProvider
from scripted_gateway import Served, served

USER = {"role": "user", "content": "ping"}
TOKENS: dict[str, Any] = {
    "content": [{"token": "Hi", "logprob": -0.1, "bytes": None, "top_logprobs": []}],
    "refusal": None,
}
CITED = [{"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "url": "u", "title": "t"}}]
SOUND = base64.b64encode(b"sound").decode()


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def gateway(upstream: OpenAIServer, tmp_path: Path) -> AsyncIterator[Served]:
    environ = {
        "OPENAI_API_KEY": "sk-proj-" + "Ab1" * 20,
        "OPENAI_BASE_URL": upstream.base_url,
        "MONITORING_ENABLED": "false",
    }
    async with served(tmp_path, [OpenAIProvider], environ) as gateway:
        yield gateway


def rich(**message: Any) -> dict[str, Any]:
    body = completion("Hi", annotations=CITED, **message)
    body["choices"][0] |= {"logprobs": TOKENS, "matched_stop": 7}
    body["usage"]["prompt_tokens_details"] = {"audio_tokens": 1, "cached_tokens": 0}
    return {**body, "service_tier": "default", "system_fingerprint": "fp", "citations": ["u"]}


async def test_a_connector_gives_them_in_its_flat_answer(gateway: Served, upstream: OpenAIServer) -> None:
    upstream.answers(rich(mood="good"))
    reply = (await gateway.post("/api/v1/openai/chat", {"messages": [USER], "logprobs": True})).json
    assert upstream.body["logprobs"] is True
    assert reply["message"]["annotations"] == CITED
    assert reply["message"]["mood"] == "good"
    assert (reply["logprobs"], reply["matched_stop"]) == (TOKENS, 7)
    assert (reply["service_tier"], reply["system_fingerprint"], reply["citations"]) == ("default", "fp", ["u"])
    assert reply["usage"]["prompt_tokens_details"]["audio_tokens"] == 1
    assert reply["success"] is True


async def test_further_alternatives_of_a_connector_have_them_too(gateway: Served, upstream: OpenAIServer) -> None:
    body = rich()
    body["choices"].append({**body["choices"][0], "index": 1, "matched_stop": 8})
    upstream.answers(body)
    reply = (await gateway.post("/api/v1/openai/chat", {"messages": [USER], "n": 2})).json
    assert [choice["matched_stop"] for choice in reply["choices"]] == [7, 8]


async def test_the_sound_of_a_spoken_answer_arrives(gateway: Served, upstream: OpenAIServer) -> None:
    audio = {"id": "a", "data": SOUND, "transcript": "Hi", "expires_at": 9}
    asked = {"messages": [USER], "modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    upstream.answers(completion(None, audio=audio))
    reply = (await gateway.post("/api/v1/openai/chat", asked)).json
    assert reply["message"]["audio"] == audio

    upstream.answers(completion(None, audio=audio))
    body = {**asked, "model": "openai/gpt-audio", "max_tokens": 99}
    blocks = (await gateway.post("/v1/messages", body)).json["content"]
    source = {"type": "base64", "media_type": "audio/wav", "data": SOUND}
    assert blocks[0] == {"type": "text", "text": "Hi"}
    assert (blocks[1]["type"], blocks[1]["source"]) == ("document", source)


@pytest.mark.parametrize("streams", [False, True])
async def test_a_turn_of_a_session_has_them(gateway: Served, upstream: OpenAIServer, streams: bool) -> None:
    session = (await gateway.post("/api/sessions", {})).json["session_id"]
    asked = {"model": "openai/gpt-4o", "messages": [USER], "logprobs": True, "stream": streams}
    if streams:
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "service_tier": "default"}
        delta = {"role": "assistant", "content": "Hi", "annotations": CITED}
        choice = {"index": 0, "delta": delta, "logprobs": TOKENS, "finish_reason": "stop"}
        upstream.streams([{**chunk, "choices": [choice]}])
    else:
        upstream.answers(rich())
    reply = await gateway.post("/v1/chat/completions", asked, X_Session_Id=session)
    body = reply.chunks[0] if streams else reply.json
    [choice] = body["choices"]
    assert upstream.body["logprobs"] is True
    assert choice["logprobs"] == TOKENS
    assert choice["delta" if streams else "message"]["annotations"] == CITED
    assert body["service_tier"] == "default"


async def test_a_turn_of_the_gateways_own_surface_has_them(gateway: Served, upstream: OpenAIServer) -> None:
    upstream.answers(rich())
    agent = {"provider": "openai", "model": "gpt-4o", "logprobs": True}
    said = (await gateway.post("/api/orchestrate", {"message": "ping", "agent_config": agent})).json["metadata"]
    assert said["provider"] == {
        "message": {"annotations": CITED},
        "choice": {"matched_stop": 7, "logprobs": TOKENS},
        "answer": {"service_tier": "default", "system_fingerprint": "fp", "citations": ["u"]},
    }
