"""Every behaviour of the misbehaving upstream, and what a provider sees of it."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import Callable
from contextlib import aclosing

import pytest

from fake_upstreams.behaviours import BEHAVIOURS, MIB, TEXT
from fake_upstreams.misbehaving import MisbehavingUpstream
from orchestrator_core.provider_api import (
    AnswerTooLarge,
    Deadline,
    GatewayError,
    ProviderBadResponse,
    ProviderFailed,
    ProviderRedirect,
    ProviderTimeout,
    ProviderUnreachable,
    Secret,
    ServerSentEvent,
    UpstreamResponse,
)
from orchestrator_core.upstream.client import PooledClient

KEY = "sk-canary-0123456789abcdef"
CREDENTIAL = Secret(KEY)

SENT_WHOLE = {
    **dict.fromkeys(("ok", "elsewhere", "json-truncated", "json-invalid", "json-array", "json-null-fields"), 200),
    **dict.fromkeys(("no-choices", "error-200", "html-200", "wrong-type", "empty", "not-utf8", "dup-header"), 200),
    **dict.fromkeys(("slow-headers", "sse-json"), 200),
    **dict.fromkeys(("rate-limit", "rate-limit-date", "rate-limit-long", "rate-limit-bad", "quota"), 429),
    **{f"http-{status}": status for status in (400, 401, 404, 500, 502, 503, 529)},
    "html-502": 502,
    "status-204": 204,
    "echo-key": 401,
    "sse-until-close": 200,
}
"""What comes as it is, with its status: a provider's plugin judges its meaning."""

FAILS_WHOLE: dict[str, type[GatewayError]] = {
    "huge": AnswerTooLarge,
    "endless-body": AnswerTooLarge,
    "gzip-bomb": ProviderBadResponse,
    "bad-gzip": ProviderBadResponse,
    "no-http": ProviderBadResponse,
    "redirect": ProviderRedirect,
    "redirect-loop": ProviderRedirect,
    "hang": ProviderTimeout,
    "slow-body": ProviderTimeout,
    "slow-stall": ProviderTimeout,
    "reset-before": ProviderUnreachable,
    "close-before": ProviderUnreachable,
    "reset-body": ProviderFailed,
    "short-body": ProviderFailed,
    "bad-chunk": ProviderFailed,
}

STREAMS_TO_THE_END = {
    **dict.fromkeys(("ok", "slow-headers", "dup-header", "sse-crlf", "sse-cr", "sse-multiline", "sse-nospace"), TEXT),
    **dict.fromkeys(
        ("sse-fields", "sse-bom", "sse-split-utf8", "sse-one-segment", "sse-comments", "sse-no-done"), TEXT
    ),
    **dict.fromkeys(("sse-no-finish", "sse-trickle", "sse-pings", "sse-empty-choices", "sse-usage"), TEXT),
    "sse-until-close": TEXT,
    "sse-dup": "pong pong é 世界 é 世界 \U0001f600\U0001f600",
    "sse-after-done": TEXT + "AFTER-DONE",
    "sse-long-event": "y" * MIB,
    "huge": "x" * 5 * MIB,
    "sse-cut": TEXT[:10],
    "sse-error": TEXT[:5],
    "sse-error-event": TEXT[:5],
    "sse-error-first": "",
    "sse-bad-json": TEXT,
    "echo-key": "",
    "empty": "",
}
"""The text of all events; whether the stream was complete, the plugin judges."""

BREAKS_STREAM: dict[str, tuple[str, type[GatewayError]]] = {
    "sse-cut-reset": (TEXT[:10], ProviderFailed),
    "sse-cut-close": (TEXT[:10], ProviderFailed),
    "reset-body": (TEXT[:5], ProviderFailed),
    "short-body": (TEXT, ProviderFailed),
    "bad-chunk": ("", ProviderFailed),
    "sse-stall": (TEXT[:5], ProviderTimeout),
    "slow-stall": (TEXT[:5], ProviderTimeout),
    "slow-body": ("", ProviderTimeout),
    "sse-drip": ("", ProviderTimeout),
    "sse-endless": ("tick tick ", ProviderTimeout),
    "hang": ("", ProviderTimeout),
    "sse-huge-event": ("", AnswerTooLarge),
    "not-utf8": ("", ProviderBadResponse),
    "wrong-type": ("", ProviderBadResponse),
    "sse-json": ("", ProviderBadResponse),
    "html-200": ("", ProviderBadResponse),
    "gzip-bomb": ("", ProviderBadResponse),
    "redirect": ("", ProviderRedirect),
    "redirect-loop": ("", ProviderRedirect),
    "no-http": ("", ProviderBadResponse),
    "reset-before": ("", ProviderUnreachable),
    "close-before": ("", ProviderUnreachable),
}
"""The beginning of the text that comes before the error, and the error."""

SAME_AS_WHOLE = {
    "elsewhere", "json-truncated", "json-invalid", "json-array", "json-null-fields", "no-choices", "error-200",
    "status-204", "endless-body", "bad-gzip", "html-502", "quota",
}  # fmt: skip
"""No streams even when asked for: `http-*` and `rate-limit*` are the others."""


def short() -> Deadline:
    """Give slow behaviours less time than they take."""
    return Deadline.after(1.5, first_event=0.8, idle=0.3)


async def whole(client: PooledClient, upstream: MisbehavingUpstream, behaviour: str) -> UpstreamResponse:
    url = f"{upstream.base_url(behaviour)}/chat/completions"
    return await client.request("POST", url, deadline=short(), credential=CREDENTIAL, body=b'{"model": "m"}')


async def streamed(
    client: PooledClient, upstream: MisbehavingUpstream, behaviour: str, seen: Callable[[ServerSentEvent], None]
) -> None:
    url = f"{upstream.base_url(behaviour)}/chat/completions"
    call = client.stream("POST", url, deadline=short(), credential=CREDENTIAL, body=b'{"stream": true}')
    async with call as answer, aclosing(answer.events()) as events:
        async for event in events:
            seen(event)


class Text:
    """Collects the text of a stream."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, event: ServerSentEvent) -> None:
        try:
            choices = json.loads(event.data).get("choices", ())
        except ValueError:
            return
        self.text += "".join(choice["delta"].get("content", "") for choice in choices)


def test_the_tables_know_every_behaviour() -> None:
    assert SENT_WHOLE.keys() | FAILS_WHOLE.keys() | {n for n in BEHAVIOURS if n.startswith("sse-")} == set(BEHAVIOURS)
    plain = SAME_AS_WHOLE | {"sse-flood"} | {n for n in BEHAVIOURS if n.startswith(("http-", "rate-limit"))}
    assert STREAMS_TO_THE_END.keys() | BREAKS_STREAM.keys() | plain == set(BEHAVIOURS)


@pytest.mark.parametrize("behaviour", SENT_WHOLE)
async def test_whole_answers_come_as_they_are(
    client: PooledClient, upstream: MisbehavingUpstream, behaviour: str
) -> None:
    answer = await whole(client, upstream, behaviour)
    assert answer.status == SENT_WHOLE[behaviour]
    assert KEY not in repr(answer)


@pytest.mark.parametrize("behaviour", FAILS_WHOLE)
async def test_broken_answers_are_errors(client: PooledClient, upstream: MisbehavingUpstream, behaviour: str) -> None:
    began = time.monotonic()
    with pytest.raises(GatewayError) as raised:
        await whole(client, upstream, behaviour)
    assert type(raised.value) is FAILS_WHOLE[behaviour]
    assert KEY not in repr(raised.value)
    assert time.monotonic() - began < 2.5
    assert upstream.requests[behaviour] == 1
    assert upstream.elsewhere == 0


@pytest.mark.parametrize("behaviour", STREAMS_TO_THE_END)
async def test_streams_are_read_right(client: PooledClient, upstream: MisbehavingUpstream, behaviour: str) -> None:
    collected = Text()
    await streamed(client, upstream, behaviour, collected)
    assert collected.text == STREAMS_TO_THE_END[behaviour]


@pytest.mark.parametrize("behaviour", BREAKS_STREAM)
async def test_broken_streams_give_what_came_and_an_error(
    client: PooledClient, upstream: MisbehavingUpstream, behaviour: str
) -> None:
    collected = Text()
    text, kind = BREAKS_STREAM[behaviour]
    began = time.monotonic()
    with pytest.raises(GatewayError) as raised:
        await streamed(client, upstream, behaviour, collected)
    assert type(raised.value) is kind
    assert collected.text.startswith(text)
    assert text or not collected.text
    assert KEY not in repr(raised.value)
    assert time.monotonic() - began < 2.5
    assert upstream.elsewhere == 0


async def test_a_gzip_bomb_is_never_expanded(client: PooledClient, upstream: MisbehavingUpstream) -> None:
    await whole(client, upstream, "ok")
    tracemalloc.start()
    try:
        with pytest.raises(ProviderBadResponse):
            await whole(client, upstream, "gzip-bomb")
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


async def test_an_endless_body_takes_no_more_memory_than_its_cap(
    client: PooledClient, upstream: MisbehavingUpstream
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(AnswerTooLarge, match=f"{MIB} bytes"):
            await client.request("GET", upstream.base_url("endless-body"), deadline=short(), max_bytes=MIB)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


async def test_comments_keep_a_stream_alive_and_parts_of_an_event_do_not(
    client: PooledClient, upstream: MisbehavingUpstream
) -> None:
    collected = Text()
    await streamed(client, upstream, "sse-pings", collected)  # a second of pings, idle is 0.3 s
    assert collected.text == TEXT
    began = time.monotonic()
    with pytest.raises(ProviderTimeout, match="silent"):
        await streamed(client, upstream, "sse-drip", collected)  # a byte each 20 ms
    assert 0.3 <= time.monotonic() - began < 1


async def test_the_time_that_the_reader_takes_is_not_the_upstreams(
    client: PooledClient, upstream: MisbehavingUpstream
) -> None:
    url = f"{upstream.base_url('sse-trickle')}/chat/completions"
    deadline = Deadline.after(10, first_event=1, idle=0.2)
    async with client.stream("POST", url, deadline=deadline, body=b'{"stream": true}') as answer:
        collected = Text()
        async for event in answer.events():
            collected(event)
            if not collected.text:
                await asyncio.sleep(0.4)
    assert collected.text == TEXT


async def test_a_whole_answer_may_be_silent(client: PooledClient, upstream: MisbehavingUpstream) -> None:
    url = f"{upstream.base_url('slow-body')}/chat/completions"
    answer = await client.request("POST", url, deadline=Deadline.after(30, idle=0.0), body=b'{"model": "m"}')
    assert TEXT in answer.body.decode()


async def test_what_came_before_a_break_is_not_lost_on_a_slow_reader(
    client: PooledClient, upstream: MisbehavingUpstream
) -> None:
    url = f"{upstream.base_url('sse-cut-close')}/chat/completions"
    collected = Text()
    async with client.stream("POST", url, deadline=short(), body=b'{"stream": true}') as answer:
        await asyncio.sleep(0.2)
        events = answer.events()
        for _ in range(3):
            collected(await anext(events))
        with pytest.raises(ProviderFailed):
            await anext(events)
    assert collected.text == TEXT[:10]
