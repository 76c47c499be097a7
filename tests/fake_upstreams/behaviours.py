"""What the misbehaving upstream can do: a table from names to coroutines over a `Call`."""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from email.utils import formatdate
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from fake_upstreams.misbehaving import Call

TEXT = "pong é 世界 \U0001f600"
JSON, SSE, HTML = "application/json", "text/event-stream", "text/html; charset=utf-8"
HTML_PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
MIB = 1 << 20

Behaviour = Callable[["Call"], Awaitable[None]]
Body = dict[str, Any]
End = Literal["eof", "close", "reset", "hang"]

BEHAVIOURS: dict[str, Behaviour] = {}


def completion(call: Call, text: str = TEXT) -> Body:
    """A healthy answer to what was asked, not streamed."""
    model = call.body.get("model", "model")
    if call.path.endswith("/models"):
        return {"object": "list", "data": [{"id": "healthy", "object": "model", "created": 1, "owned_by": "tests"}]}
    if call.path.endswith("/embeddings"):
        asked = call.body["input"]
        rows = [
            {"object": "embedding", "index": index, "embedding": [0.25, -0.5, 1.0]}
            for index in range(1 if isinstance(asked, str) or isinstance(asked[0], int) else len(asked))  # or tokens
        ]
        return {"object": "list", "model": model, "data": rows, "usage": {"prompt_tokens": 4, "total_tokens": 4}}
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
    }


def chunk(delta: Body, finish: str | None = None) -> Body:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "model",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


USAGE_CHUNK = {
    **chunk({}),
    "choices": [],
    "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
}


def chunks(text: str = TEXT, piece: int = 5, finish: str | None = "stop") -> list[Body]:
    pieces = [text[start : start + piece] for start in range(0, len(text), piece)]
    return [chunk({"role": "assistant", "content": ""}), *(chunk({"content": p}) for p in pieces), chunk({}, finish)]


def dump(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def event(value: object) -> bytes:
    return b"data: " + dump(value) + b"\n\n"


DONE = b"data: [DONE]\n\n"


def healthy_events() -> list[bytes]:
    return [*map(event, chunks()), DONE]


def error(message: str, kind: str = "server_error", code: str | None = None) -> bytes:
    return dump({"error": {"message": message, "type": kind, "param": None, "code": code}})


# ---- whole answers -----------------------------------------------------------------------------------------------


def whole(call: Call) -> tuple[str, bytes]:
    return (SSE, b"".join(healthy_events())) if call.streamed else (JSON, dump(completion(call)))


def fixed(name: str, status: int, body: bytes, content_type: str = JSON, **headers: str) -> None:
    async def behave(call: Call) -> None:
        pairs = [(header.replace("_", "-"), value) for header, value in headers.items()]
        await call.reply(status, content_type, body, *pairs)

    BEHAVIOURS[name] = behave


def behaviour(name: str) -> Callable[[Behaviour], Behaviour]:
    def add(behave: Behaviour) -> Behaviour:
        BEHAVIOURS[name] = behave
        return behave

    return add


LIMITED = error("Rate limit reached", "rate_limit_error", "rate_limit_exceeded")
fixed("http-400", 400, error("bad parameter", "invalid_request_error"))
fixed("http-401", 401, error("Incorrect API key provided", "invalid_request_error", "invalid_api_key"))
fixed("http-404", 404, error("no such model", "invalid_request_error", "model_not_found"))
fixed("http-500", 500, error("The server had an error"))
fixed("http-502", 502, b"bad gateway", "text/plain")
fixed("http-503", 503, error("overloaded"), retry_after="1")
fixed("http-529", 529, dump({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}))
fixed("rate-limit", 429, LIMITED, retry_after="2")
fixed("rate-limit-long", 429, LIMITED, retry_after="86400")
fixed("rate-limit-bad", 429, LIMITED, retry_after="soon")
fixed("quota", 429, error("You exceeded your current quota", "insufficient_quota", "insufficient_quota"))
fixed("json-invalid", 200, b"{'id': oops,,}")
fixed("json-array", 200, b"[]")
fixed("json-null-fields", 200, dump({"id": "x", "choices": None, "data": None, "usage": None}))
fixed("no-choices", 200, dump({"id": "x", "object": "chat.completion", "choices": [], "data": []}))
fixed("error-200", 200, error("an error behind 200"))
fixed("html-200", 200, HTML_PAGE, HTML)
fixed("html-502", 502, HTML_PAGE, HTML)
fixed("bad-gzip", 200, b'{"choices": []}', content_encoding="gzip")


@behaviour("ok")
async def ok(call: Call) -> None:
    if call.streamed:
        await send_events(call, healthy_events())
    else:
        await call.reply(200, JSON, dump(completion(call)))


@behaviour("elsewhere")
async def elsewhere(call: Call) -> None:
    await call.reply(200, JSON, dump(completion(call, "from elsewhere")))


@behaviour("rate-limit-date")
async def rate_limit_date(call: Call) -> None:
    await call.reply(429, JSON, LIMITED, ("Retry-After", formatdate(int(time.time()) + 3, usegmt=True)))


@behaviour("status-204")
async def status_204(call: Call) -> None:
    await call.head(204)


@behaviour("empty")
async def empty(call: Call) -> None:
    await call.reply(200, whole(call)[0], b"")


@behaviour("json-truncated")
async def json_truncated(call: Call) -> None:
    body = dump(completion(call))
    await call.reply(200, JSON, body[: len(body) // 2])


@behaviour("wrong-type")
async def wrong_type(call: Call) -> None:
    await call.reply(200, "text/html" if call.streamed else "text/plain", whole(call)[1])


@behaviour("not-utf8")
async def not_utf8(call: Call) -> None:
    content_type, body = whole(call)
    await call.reply(200, content_type, body.replace("é".encode(), b"\xe9"))


@behaviour("dup-header")
async def dup_header(call: Call) -> None:
    content_type, body = whole(call)
    await call.reply(200, content_type, body, ("Content-Type", "text/plain"))


@behaviour("huge")
async def huge(call: Call) -> None:
    """Answer well, and with more than anybody asked for."""
    if call.streamed:
        await send_events(call, [*map(event, chunks("x" * 5 * MIB, 1 << 16)), DONE])
    else:
        await call.reply(200, JSON, dump(completion(call, "x" * 17 * MIB)))


@cache
def bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(b" " * MIB) for _ in range(64)), packer.compress(b"{}"), packer.flush()])


@behaviour("gzip-bomb")
async def gzip_bomb(call: Call) -> None:
    await call.reply(200, JSON, bomb(), ("Content-Encoding", "gzip"))


@behaviour("redirect")
async def redirect(call: Call) -> None:
    await call.reply(307, JSON, b"{}", ("Location", f"{call.url.replace('127.0.0.1', 'localhost')}/elsewhere/v1"))


@behaviour("redirect-loop")
async def redirect_loop(call: Call) -> None:
    await call.reply(307, JSON, b"{}", ("Location", f"{call.url}/{call.name}/{call.path}"))


@behaviour("echo-key")
async def echo_key(call: Call) -> None:
    """Answer with the credential in a header, and in the body or an event."""
    key = call.headers.get("authorization", "")
    said = dump({"error": {"message": f"Incorrect API key provided: {key}"}})
    if call.streamed:
        await call.reply(200, SSE, b"event: " + key.encode() + b"\ndata: " + said + b"\n\n", ("X-Key", key))
    else:
        await call.reply(401, JSON, said, ("X-Key", key))


# ---- slow and broken answers ---------------------------------------------------------------------------------------


@behaviour("hang")
async def hang(call: Call) -> None:
    await asyncio.Event().wait()


@behaviour("slow-headers")
async def slow_headers(call: Call) -> None:
    await asyncio.sleep(call.slow)
    await ok(call)


@behaviour("slow-body")
async def slow_body(call: Call) -> None:
    """Send the whole body in ten pieces, `slow` seconds apart."""
    content_type, body = whole(call)
    await call.head(200, ("Content-Type", content_type), ("Content-Length", str(len(body))))
    step = len(body) // 10 + 1
    for start in range(0, len(body), step):
        await asyncio.sleep(call.slow if start else 0)
        await call.write(body[start : start + step])


async def send_half(call: Call) -> None:
    content_type, body = whole(call)
    await call.head(200, ("Content-Type", content_type), ("Content-Length", str(len(body))))
    await call.write(body[: len(body) // 2])


@behaviour("slow-stall")
async def slow_stall(call: Call) -> None:
    await send_half(call)
    await hang(call)


@behaviour("reset-before")
async def reset_before(call: Call) -> None:
    await call.cut(reset=True)


@behaviour("close-before")
async def close_before(call: Call) -> None:
    await call.cut(reset=False)


@behaviour("reset-body")
async def reset_body(call: Call) -> None:
    await send_half(call)
    await call.cut(reset=True)


@behaviour("short-body")
async def short_body(call: Call) -> None:
    content_type, body = whole(call)
    await call.head(200, ("Content-Type", content_type), ("Content-Length", str(len(body) + 100)))
    await call.write(body)
    await call.cut(reset=False)


@behaviour("no-http")
async def no_http(call: Call) -> None:
    await call.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    await call.cut(reset=False)


@behaviour("bad-chunk")
async def bad_chunk(call: Call) -> None:
    await call.head(200, ("Content-Type", whole(call)[0]), ("Transfer-Encoding", "chunked"))
    await call.chunk(b"data: ")
    await asyncio.sleep(0.05)
    await call.write(b"zz\r\n")
    await call.cut(reset=False)


@behaviour("endless-body")
async def endless_body(call: Call) -> None:
    await call.head(200, ("Content-Type", JSON), ("Transfer-Encoding", "chunked"))
    while True:
        await call.chunk(b" " * 65536)


# ---- event streams -------------------------------------------------------------------------------------------------


async def send_events(call: Call, pieces: Iterable[bytes], *, end: End = "eof", gap: float = 0.0) -> None:
    """Send pieces of a stream, each in a chunk of its own."""
    await call.head(200, ("Content-Type", SSE), ("Transfer-Encoding", "chunked"))
    for piece in pieces:
        await call.chunk(piece)
        await asyncio.sleep(gap)
    if end == "eof":
        await call.chunk(b"")
    elif end == "hang":
        await hang(call)
    else:
        await call.cut(reset=end == "reset")


def events(name: str, pieces: Sequence[bytes], *, end: End = "eof", gap: float = 0.0) -> None:
    """Add a behaviour of streams; a call that asks for none is answered well."""

    async def behave(call: Call) -> None:
        if call.streamed:
            await send_events(call, pieces, end=end, gap=gap)
        else:
            await ok(call)

    BEHAVIOURS[name] = behave


def restyled(old: bytes, new: bytes) -> list[bytes]:
    return [piece.replace(old, new) for piece in healthy_events()]


def spread(value: Body) -> bytes:
    lines = json.dumps(value, ensure_ascii=False, indent=1).encode().split(b"\n")
    return b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"


FAILURE = b"data: " + error("The server had an error while streaming") + b"\n\n"
WELL = healthy_events()
events("sse-cut", [*WELL[:3], WELL[3][:40]])
events("sse-cut-reset", [*WELL[:3], WELL[3][:40]], end="reset")
events("sse-cut-close", [*WELL[:3], WELL[3][:40]], end="close")
events("sse-no-done", WELL[:-1])
events("sse-no-finish", [*map(event, chunks(finish=None)), DONE])
events("sse-error", [*WELL[:2], FAILURE])
events("sse-error-event", [*WELL[:2], b"event: error\n" + FAILURE])
events("sse-error-first", [FAILURE])
events("sse-comments", [b": ping\n\n\n: ping again\n" + piece for piece in WELL])
events("sse-crlf", restyled(b"\n", b"\r\n"))
events("sse-cr", restyled(b"\n", b"\r"))
events("sse-multiline", [*map(spread, chunks()), DONE])
events("sse-nospace", restyled(b"data: ", b"data:"))
events("sse-fields", [b"id: 7\nretry: 100\nevent: message\nfield: y\nalone\n" + piece for piece in WELL])
events("sse-bom", [b"\xef\xbb\xbf", *WELL])
events("sse-split-utf8", [bytes([byte]) for byte in b"".join(WELL)])
events("sse-one-segment", [b"".join(WELL)])
events("sse-dup", [WELL[0], *(piece for piece in WELL[1:-2] for _ in range(2)), *WELL[-2:]])
events("sse-bad-json", [*WELL[:2], b'data: {"id": broken\n\n', *WELL[2:]])
events("sse-after-done", [*WELL, event(chunk({"content": "AFTER-DONE"}))])
events("sse-long-event", [*map(event, chunks("y" * MIB, MIB)), DONE])
events("sse-huge-event", [b"data: " + b"y" * MIB for _ in range(9)])
events("sse-stall", WELL[:2], end="hang")
events("sse-trickle", WELL, gap=0.1)
events("sse-drip", [*WELL[:1], *(bytes([byte]) for byte in WELL[1])], end="hang", gap=0.02)
events("sse-pings", [WELL[0], *[b": ping\n\n"] * 20, *WELL[1:]], gap=0.05)
events("sse-endless", [event(chunk({"content": "tick "}))] * 600, gap=0.05)
events("sse-flood", [event(chunk({"content": "tick " * 1000}))] * 100_000)
events("sse-empty-choices", [event({**chunk({}), "choices": []}), *WELL[:-1], event(USAGE_CHUNK), DONE])
events("sse-usage", [*WELL[:-1], event(USAGE_CHUNK), DONE])


@behaviour("sse-json")
async def sse_json(call: Call) -> None:
    await call.reply(200, JSON, dump(completion(call)))


@behaviour("sse-until-close")
async def sse_until_close(call: Call) -> None:
    """Send a stream without any framing, as HTTP/1.0 does: its end is the connection's."""
    await call.head(200, ("Content-Type", SSE), ("Connection", "close"))
    for piece in WELL:
        await call.write(piece)
    await call.cut(reset=False)
