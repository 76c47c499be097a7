"""A vendor of OpenAI's protocol that answers at once, so that it is never what is measured.

    python -m benchmarks.gateway.upstream PORT

A raw protocol of asyncio. Its paths, each below its own base URL:

    /v1/chat/completions            1 KB of JSON, or 64 KB where the question has `at length`, or 200 events as
                                    fast as they are taken, of many words: a peer takes a model that repeats one for
                                    broken
    /paced/v1/chat/completions      a stream of 10 events a second for 10 seconds
    /broken/v1/chat/completions     500, while its list of models makes it look healthy
    /v1/embeddings                  one vector of 256 numbers
    /v1/models                      one model
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Final

from benchmarks.gateway.wire import FIRST_WORD, MessageReader

TEXT: Final = "The quick brown fox jumps over the lazy dog. " * 14
AT_LENGTH: Final = "at length"
"""What a question has that is answered by a long text."""
LONG_TEXT: Final = TEXT * 104
EVENTS: Final = 200
PACED_EVENTS: Final = 100
PACE: Final = 0.1
"""Seconds between two events of a paced stream."""

_USAGE: Final = {
    "prompt_tokens": 120,
    "completion_tokens": 140,
    "total_tokens": 260,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}


def _answer(status: str, body: object) -> bytes:
    data = json.dumps(body, separators=(",", ":")).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def _event(delta: dict[str, str], finish: str | None = None, usage: object = None) -> bytes:
    choices = [] if usage else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return _framed(
        json.dumps(
            {
                "id": "chatcmpl-DbZ0hTnYwR8wM5TTiYwWkTnCSh0XB",
                "object": "chat.completion.chunk",
                "created": 1795000000,
                "model": "gpt-6-luna",
                "service_tier": "default",
                "system_fingerprint": "fp_c06ff7a1a8",
                "choices": choices,
                "usage": usage,
            },
            separators=(",", ":"),
        )
    )


def _framed(data: str) -> bytes:
    event = f"data: {data}\n\n".encode()
    return f"{len(event):x}\r\n".encode() + event + b"\r\n"


def _chat(text: str) -> bytes:
    return _answer(
        "200 OK",
        {
            "id": "chatcmpl-DbZ0hTnYwR8wM5TTiYwWkTnCSh0XB",
            "object": "chat.completion",
            "created": 1795000000,
            "model": "gpt-6-luna",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "refusal": None, "annotations": []},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": _USAGE,
            "service_tier": "default",
            "system_fingerprint": "fp_c06ff7a1a8",
        },
    )


_CHAT: Final = _chat(TEXT)
_LONG_CHAT: Final = _chat(LONG_TEXT)
_EMBEDDING: Final = _answer(
    "200 OK",
    {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [number / 997 for number in range(256)]}],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    },
)
_MODELS: Final = _answer("200 OK", {"object": "list", "data": [{"id": "gpt-6-luna", "object": "model"}]})
_BROKEN: Final = _answer("500 Internal Server Error", {"error": {"message": "It is broken.", "type": "server_error"}})
_STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_FIRST: Final = _event({"role": "assistant", "content": ""})
_SPOKEN: Final = [
    _event({"content": word}) for word in (FIRST_WORD.decode(), *(f" {word}" for word in TEXT.split()), " and so on")
]
_LAST: Final = _event({}, "stop") + _event({}, usage=_USAGE) + _framed("[DONE]") + b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._reader = MessageReader()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        if not self._reader.feed(data):
            return
        head, body = self._reader.head, self._reader.body
        assert head is not None
        path = head.start.split(b" ", 2)[1]
        self._reader.reset()
        if path.endswith(b"/models"):
            self._transport.write(_MODELS)
        elif b"/broken/" in path:
            self._transport.write(_BROKEN)
        elif path.endswith(b"/embeddings"):
            self._transport.write(_EMBEDDING)
        elif b'"stream":true' in body or b'"stream": true' in body:
            paced = path.startswith(b"/paced/")
            self._task = asyncio.create_task(self._stream(PACED_EVENTS if paced else EVENTS, PACE if paced else None))
        else:
            self._transport.write(_LONG_CHAT if AT_LENGTH.encode() in body else _CHAT)

    async def _stream(self, events: int, pace: float | None) -> None:
        """Send events, each in a write of its own, until the client takes no more."""
        write = self._transport.write
        write(_STREAM_HEAD + _FIRST)
        if pace is not None:
            await asyncio.sleep(pace)
        for number in range(events):
            await self._writable.wait()
            if self._transport.is_closing():
                return
            write(_SPOKEN[number % len(_SPOKEN)])
            if pace is not None:
                await asyncio.sleep(pace)
        write(_LAST)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=4096)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
