"""Clients that keep the history themselves: the official SDKs in front of a gateway over all eight providers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from fake_upstreams.strict import Asked, StrictVendor
from fake_upstreams.strict_gemini import StrictGemini
from pairs.dialogue import PROVIDERS, STRICT, TOOLS
from pairs.script import IMAGE, NAMES, SYSTEM, Call, Turn
from pairs.wires import WIRES
from scripted_gateway import served

KEYS: Mapping[str, str] = {
    "openai": "sk-proj-" + "Ab1" * 20,
    "anthropic": "sk-ant-api03-" + "k" * 93 + "AA",
    "gemini": "AIza" + "k" * 35,
    "mistral": "m" * 32,
    "grok": "xai-" + "k" * 80,
    "qwen": "sk-" + "a" * 32,
    "deepseek": "sk-" + "b" * 32,
    "kimi": "sk-" + "c" * 48,
}


@dataclass(frozen=True)
class Sent:
    """What one turn was.

    Attributes:
        by: Who was asked.
        asked: The request that its server got.
        dropped: What the response's header says was left out, sorted.
    """

    by: str
    asked: Asked
    dropped: Sequence[str]


class Client:
    """An application that holds conversations, and gives back what it got."""

    def __init__(self, servers: Mapping[str, StrictVendor], url: str) -> None:
        self.servers = servers
        self.messages: list[Any] = []
        self.url = url

    async def hold(self, turns: Sequence[Turn], between: Mapping[str, str]) -> list[Sent]:
        """Hold a conversation; `between` names who is A and who is B."""
        self.messages = self.begin()
        ids: dict[Call, str] = {}
        found: list[Sent] = []
        for turn in turns:
            name = between[turn.to]
            server = self.servers[name]
            server.asked.clear()
            answer = WIRES[name].give(turn.answer, stream=turn.stream)
            server.give(answer) if isinstance(server, StrictGemini) else server.answers.append(answer)
            self.messages += self.say(turn, ids)
            headers, called = await self.ask(f"{name}/{PROVIDERS[name].info.default_model}", turn)
            ids |= dict(zip(turn.answer.calls, called, strict=False))
            dropped = headers.get("x-orchestrator-dropped")
            found.append(Sent(name, server.asked[-1], sorted(dropped.split(", ")) if dropped else []))
            assert len(server.asked) == 1
        return found

    def begin(self) -> list[Any]:
        """Return the messages before the first turn."""
        return []

    def say(self, turn: Turn, ids: Mapping[Call, str]) -> list[Any]:
        """Return what is said in a turn."""
        raise NotImplementedError

    async def ask(self, model: str, turn: Turn) -> tuple[Mapping[str, str], list[str]]:
        """Ask, keep the answer, and return its headers and the ids of its calls."""
        raise NotImplementedError


class OpenAIClient(Client):
    """OpenAI's SDK on `/v1/chat/completions`."""

    def __init__(self, servers: Mapping[str, StrictVendor], url: str) -> None:
        super().__init__(servers, url)
        self.sdk = AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=30)

    def begin(self) -> list[Any]:
        return [{"role": "system", "content": SYSTEM}]

    def say(self, turn: Turn, ids: Mapping[Call, str]) -> list[Any]:
        if not isinstance(turn.asked, str):
            return [{"role": "tool", "tool_call_id": ids[call], "content": call.result} for call in turn.asked]
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}
        return [{"role": "user", "content": [{"type": "text", "text": turn.asked}, *([image] if turn.image else [])]}]

    async def ask(self, model: str, turn: Turn) -> tuple[Mapping[str, str], list[str]]:
        tools: Any = [
            {"type": "function", "function": {"name": each.name, "parameters": dict(each.parameters or {})}}
            for each in TOOLS
        ]
        if not turn.stream:
            raw = await self.sdk.chat.completions.with_raw_response.create(
                model=model, messages=self.messages, tools=tools
            )
            message = raw.parse().choices[0].message
            self.messages.append(message)  # as the SDK's documentation does it
            return raw.headers, [call.id for call in message.tool_calls or ()]
        async with self.sdk.chat.completions.stream(model=model, messages=self.messages, tools=tools) as stream:
            try:
                async for _ in stream:
                    pass
            except openai.APIError:
                assert turn.answer.breaks
            headers = stream._response.headers
            kept = stream.current_completion_snapshot.choices[0].message.model_dump(exclude_unset=True)
        kept.pop("parsed", None)  # the helper's own, which no server knows
        for call in kept.get("tool_calls") or ():
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
        self.messages.append({"role": "assistant", **kept})
        return headers, [call["id"] for call in kept.get("tool_calls") or ()]


class AnthropicClient(Client):
    """Anthropic's SDK on `/v1/messages`. An answer that breaks off is not kept."""

    def __init__(self, servers: Mapping[str, StrictVendor], url: str) -> None:
        super().__init__(servers, url)
        self.sdk = AsyncAnthropic(base_url=url, api_key="any", max_retries=0, timeout=30)

    def say(self, turn: Turn, ids: Mapping[Call, str]) -> list[Any]:
        content: list[Any] = []
        if isinstance(turn.asked, str):
            content.append({"type": "text", "text": turn.asked})
            source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
            content += [{"type": "image", "source": source}] if turn.image else []
        else:
            content += [
                {"type": "tool_result", "tool_use_id": ids[call], "content": call.result} for call in turn.asked
            ]
        return [{"role": "user", "content": content}]

    async def ask(self, model: str, turn: Turn) -> tuple[Mapping[str, str], list[str]]:
        asked: Any = {
            "model": model,
            "max_tokens": 3000,
            "system": SYSTEM,
            "messages": self.messages,
            "tools": [{"name": each.name, "input_schema": dict(each.parameters or {})} for each in TOOLS],
        }
        if not turn.stream:
            raw = await self.sdk.messages.with_raw_response.create(**asked)
            headers, message = raw.headers, await raw.parse()
        else:
            async with self.sdk.messages.stream(**asked) as stream:
                headers = stream.response.headers
                if turn.answer.breaks:
                    with pytest.raises(anthropic.APIError):
                        await stream.until_done()
                    return headers, []
                message = await stream.get_final_message()
        self.messages.append({"role": "assistant", "content": message.content})
        return headers, [block.id for block in message.content if block.type == "tool_use"]


@asynccontextmanager
async def clients(directory: Path) -> AsyncIterator[tuple[OpenAIClient, AnthropicClient]]:
    """Start the eight servers and a gateway over them, and give a client of each SDK."""
    async with AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(STRICT[name]()) for name in NAMES}
        environ: dict[str, str] = {}
        for name, server in servers.items():
            info = PROVIDERS[name].info
            environ |= {info.key_env[0]: KEYS[name], f"{info.env_prefixes[0]}_BASE_URL": server.url}
        gateway = await stack.enter_async_context(served(directory, list(PROVIDERS.values()), environ))
        by_openai, by_anthropic = OpenAIClient(servers, gateway.url), AnthropicClient(servers, gateway.url)
        stack.push_async_callback(by_openai.sdk.close)
        stack.push_async_callback(by_anthropic.sdk.close)
        yield by_openai, by_anthropic
