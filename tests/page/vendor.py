"""Two vendors in one server on the loopback: they speak OpenAI's wire, answer in prose, and count tokens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

ANSWERS: Final[Mapping[str, str]] = {
    "first program": (
        "**Ada Lovelace** wrote it, in 1843. Her notes on Babbage's *Analytical Engine* hold a table that computes "
        "the Bernoulli numbers, step by step:\n\n1. what each operation takes,\n2. which variables change,\n"
        "3. what each of them holds afterwards.\n\nThe engine was never built, so nobody ran it in her time."
    ),
    "bernoulli": (
        "With the engine's own recurrence, in today's words:\n\n```python\nfrom fractions import Fraction\n"
        "from math import comb\n\ndef bernoulli(n):\n    b = [Fraction(1)]\n    for m in range(1, n + 1):\n"
        "        b.append(-sum(comb(m + 1, k) * b[k] for k in range(m)) / (m + 1))\n    return b[n]\n```\n\n"
        "`bernoulli(8)` is `-1/30`, the number that her table ends with (she counts it as B₇)."
    ),
    "engines": "There are two:\n\n| Engine | Year |\n|---|---|\n| Difference | 1822 |\n| Analytical | 1837 |",
    "markup": "<img src=x onerror=alert(1)> <script>alert(2)</script> [link](javascript:alert(3)) `<b>`",
}
THOUGHT: Final = (
    "The user wants code. The recurrence over binomial coefficients is the shortest way; fractions keep it exact."
)
SLOW, BREAKS, FLAKY = "slow", "breaks off", "flaky"
"""What to say to be answered slowly, to have an answer that breaks off, and to be refused once before an answer."""


@asynccontextmanager
async def vendors(pause: float = 0.0) -> AsyncIterator[str]:
    """Serve both; yield the address.

    Args:
        pause: Seconds between two words.
    """

    refused = set[str]()

    async def chat(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        said = str(body["messages"][-1]["content"])
        if FLAKY in said and said not in refused:
            refused.add(said)
            return web.json_response({"message": "Overloaded."}, status=503)
        words, thought = _answer(body), THOUGHT if "deepseek" in body["model"] else ""
        usage = _usage(body, words, thought)
        if not body.get("stream"):
            message = {"role": "assistant", "content": "".join(words)}
            return web.json_response(_chunk(body, usage, message=message, finish_reason="stop"))
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for name, pieces in (("reasoning_content", thought.split(" ")), ("content", words)):
            for piece in filter(None, pieces):
                text = f"{piece} " if name == "reasoning_content" else piece
                await _send(response, _chunk(body, None, delta={name: text}, finish_reason=None))
                await asyncio.sleep(0.2 if SLOW in said else pause)
            if name == "content" and BREAKS in said and request.transport is not None:
                await asyncio.sleep(0.2)  # what was written is to arrive
                request.transport.abort()
        await _send(response, _chunk(body, usage, delta={}, finish_reason="stop"))
        await response.write(b"data: [DONE]\n\n")
        return response

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    app = web.Application()
    app.router.add_post("/{vendor}/chat/completions", chat)
    app.router.add_get("/{vendor}/models", models)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def environ(url: str) -> dict[str, str]:
    """Return what makes a gateway call them, as Mistral and DeepSeek."""
    return {
        "MISTRAL_API_KEY": "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv",
        "MISTRAL_BASE_URL": f"{url}/mistral",
        "DEEPSEEK_API_KEY": "sk-0123456789abcdef0123456789abcdef",
        "DEEPSEEK_BASE_URL": f"{url}/deepseek",
    }


def _answer(body: Mapping[str, Any]) -> list[str]:
    said = str(body["messages"][-1]["content"]).lower()
    text = next((answer for word, answer in ANSWERS.items() if word in said), f"You said: {said}. " + "word " * 40)
    return [f"{word} " for word in text.split(" ")]


def _usage(body: Mapping[str, Any], words: list[str], thought: str) -> dict[str, Any]:
    read, thoughts = sum(len(str(message["content"]).split()) for message in body["messages"]), len(thought.split())
    usage: dict[str, Any] = {"prompt_tokens": read * 4 // 3, "completion_tokens": (len(words) + thoughts) * 4 // 3}
    usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    if thoughts:
        usage["completion_tokens_details"] = {"reasoning_tokens": thoughts * 4 // 3}
    return usage


def _chunk(body: Mapping[str, Any], usage: Mapping[str, Any] | None, **choice: Any) -> dict[str, Any]:
    return {
        "id": "cmpl-1",
        "object": "chat.completion.chunk" if "delta" in choice else "chat.completion",
        "created": 1_790_000_000,
        "model": body["model"],
        "choices": [{"index": 0, **choice}],
        **({"usage": usage} if usage else {}),
    }


async def _send(response: web.StreamResponse, chunk: Mapping[str, Any]) -> None:
    await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
