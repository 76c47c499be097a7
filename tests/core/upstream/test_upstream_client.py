"""The client itself: connections, bounds, credentials, proxies, TLS."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from fake_upstreams.behaviours import MIB
from fake_upstreams.misbehaving import MisbehavingUpstream
from orchestrator_core.config import Settings
from orchestrator_core.provider_api import (
    AnswerTooLarge,
    Auth,
    Deadline,
    GatewayError,
    HeaderAuth,
    Overloaded,
    ProviderFailed,
    ProviderTimeout,
    ProviderUnreachable,
    Secret,
    ShuttingDown,
)
from orchestrator_core.upstream import ClientFactory, UpstreamLimits
from orchestrator_core.upstream.client import PooledClient

KEY = "sk-canary-0123456789abcdef"
STREAMED = b'{"stream": true}'


@asynccontextmanager
async def client_with(limits: UpstreamLimits, auth: Auth | None = None) -> AsyncIterator[PooledClient]:
    factory = ClientFactory(limits)
    try:
        yield factory.client(auth or HeaderAuth())
    finally:
        await factory.close()


async def until(condition: Callable[[], bool], *, within: float = 1.0) -> None:
    ends = time.monotonic() + within
    while time.monotonic() < ends and not condition():
        await asyncio.sleep(0.01)
    assert condition()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ---- what is sent ----------------------------------------------------------------------------------------------------


async def test_a_call_carries_its_headers_and_no_others(client: PooledClient, upstream: MisbehavingUpstream) -> None:
    await client.request(
        "POST",
        upstream.base_url(),
        deadline=Deadline.after(5),
        credential=Secret(KEY),
        headers={"Anthropic-Version": "2023-06-01"},
        body=b"{}",
    )
    (call,) = upstream.calls
    assert call.method == "POST"
    assert call.raw == b"{}"
    assert call.headers.pop("user-agent").startswith("orchestrator/")
    assert call.headers == {
        "host": f"127.0.0.1:{upstream.port}",
        "accept": "*/*",
        "accept-encoding": "identity",
        "anthropic-version": "2023-06-01",
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "content-length": "2",
    }


async def test_the_credential_travels_as_the_provider_says_and_wins_over_other_headers(
    upstream: MisbehavingUpstream,
) -> None:
    async with client_with(UpstreamLimits(), HeaderAuth("X-Goog-Api-Key", None)) as client:
        await client.request(
            "GET",
            upstream.base_url(),
            deadline=Deadline.after(5),
            credential=Secret(KEY),
            headers={"x-goog-api-key": "another"},
        )
        await client.request("GET", upstream.base_url(), deadline=Deadline.after(5))
    assert upstream.calls[0].headers["x-goog-api-key"] == KEY
    assert "authorization" not in upstream.calls[0].headers
    assert "x-goog-api-key" not in upstream.calls[1].headers
    assert "content-type" not in upstream.calls[1].headers


async def test_a_path_cannot_smuggle_a_header(client: PooledClient, upstream: MisbehavingUpstream) -> None:
    await client.request("GET", f"{upstream.base_url()}/a b\r\nX-Evil: 1\r\n/%2Fc", deadline=Deadline.after(5))
    (call,) = upstream.calls
    assert "x-evil" not in call.headers
    assert call.path.endswith("%2Fc")


async def test_an_upload_goes_through_httpx_types(client: PooledClient, upstream: MisbehavingUpstream) -> None:
    request = httpx.Request("POST", upstream.base_url(), files={"file": ("a.txt", b"contents")}, data={"purpose": "x"})
    response = await client.send(request, deadline=Deadline.after(5), credential=Secret(KEY))
    assert response.status_code == 200
    assert response.json()["object"] == "chat.completion"
    (call,) = upstream.calls
    assert call.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert b"contents" in call.raw


# ---- what comes back -------------------------------------------------------------------------------------------------


async def test_of_a_repeated_header_the_first_counts(client: PooledClient, upstream: MisbehavingUpstream) -> None:
    answer = await client.request("GET", upstream.base_url("dup-header"), deadline=Deadline.after(5))
    assert answer.headers["content-type"] == "application/json"
    names = list(answer.headers)
    assert names.count("content-type") == 1
    assert all(name == name.lower() for name in names)
    assert len(answer.headers) == len(names)
    assert "retry-after" not in answer.headers


async def test_a_credential_that_the_upstream_repeats_is_masked(
    client: PooledClient, upstream: MisbehavingUpstream
) -> None:
    url, deadline, credential = upstream.base_url("echo-key"), Deadline.after(5), Secret(KEY)
    answer = await client.request("GET", url, deadline=deadline, credential=credential)
    assert b"Incorrect API key provided: Bearer ****" in answer.body
    assert answer.headers["x-key"] == "Bearer ****"
    async with client.stream("POST", url, deadline=deadline, credential=credential, body=STREAMED) as stream:
        assert stream.headers["x-key"] == "Bearer ****"
        event = await anext(stream.events())
    assert event.event == "Bearer ****"
    assert KEY.encode() not in event.data


async def test_a_stand_in_for_a_credential_does_not_spoil_answers(
    client: PooledClient, upstream: MisbehavingUpstream
) -> None:
    answer = await client.request("GET", upstream.base_url(), deadline=Deadline.after(5), credential=Secret("stop"))
    assert b'"finish_reason": "stop"' in answer.body


async def test_bodies_and_streams_are_capped(upstream: MisbehavingUpstream) -> None:
    limits = UpstreamLimits(max_response_bytes=100, max_event_bytes=5000, max_stream_bytes=3 * MIB)
    async with client_with(limits) as client:
        with pytest.raises(AnswerTooLarge, match="100 bytes"):
            await client.request("GET", upstream.base_url(), deadline=Deadline.after(5))
        allowed = await client.request("GET", upstream.base_url(), deadline=Deadline.after(5), max_bytes=5000)
        assert len(allowed.body) > 100
        with pytest.raises(AnswerTooLarge, match="5000 bytes"):
            await read_stream(client, upstream.base_url("sse-flood"))
    async with client_with(UpstreamLimits(max_stream_bytes=3 * MIB)) as client:
        with pytest.raises(AnswerTooLarge, match=f"{3 * MIB} bytes"):
            await read_stream(client, upstream.base_url("sse-flood"))


async def read_stream(client: PooledClient, url: str) -> int:
    count = 0
    async with client.stream("POST", url, deadline=Deadline.after(10), body=STREAMED) as answer:
        async for _ in answer.events():
            count += 1
    return count


# ---- connections -----------------------------------------------------------------------------------------------------


async def test_a_connection_is_used_again_after_a_whole_answer(
    client: PooledClient, upstream: MisbehavingUpstream
) -> None:
    for _ in range(3):
        await client.request("GET", upstream.base_url(), deadline=Deadline.after(5))
        await read_stream(client, upstream.base_url())
    assert len(upstream.calls) == 6
    assert upstream.connections == 1


async def test_a_connection_is_used_again_by_a_reader_that_leaves_at_the_last_event(
    client: PooledClient, upstream: MisbehavingUpstream
) -> None:
    for _ in range(3):
        async with client.stream("POST", upstream.base_url(), deadline=Deadline.after(5), body=STREAMED) as answer:
            async for event in answer.events():
                if event.data == b"[DONE]":
                    break
    assert upstream.requests["ok"] == 3
    assert upstream.connections == 1


async def test_leaving_a_stream_early_ends_the_upstream_call(
    client: PooledClient, upstream: MisbehavingUpstream
) -> None:
    url = upstream.base_url("sse-endless")
    async with (
        client.stream("POST", url, deadline=Deadline.after(30), body=STREAMED) as answer,
        aclosing(answer.events()) as events,
    ):
        await anext(events)
    await until(lambda: upstream.cancelled["sse-endless"] == 1)
    assert upstream.answering == 0


@pytest.mark.parametrize("behaviour", ["hang", "slow-stall", "sse-endless", "sse-stall"])
@pytest.mark.parametrize("body", [b"{}", STREAMED])
async def test_cancelling_a_call_ends_it_upstream_within_a_second(
    client: PooledClient, upstream: MisbehavingUpstream, behaviour: str, body: bytes
) -> None:
    url = upstream.base_url(behaviour if body is STREAMED or not behaviour.startswith("sse-") else "endless-body")

    async def call() -> None:
        if body is STREAMED:
            await read_stream(client, url)
        else:
            await client.request("POST", url, deadline=Deadline.after(30), body=body, max_bytes=1 << 40)

    task = asyncio.create_task(call())
    await until(lambda: upstream.answering == 1)
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: upstream.cancelled.total() == 1)
    assert upstream.answering == 0


async def test_calls_wait_for_a_connection_as_long_as_connecting_may_take(upstream: MisbehavingUpstream) -> None:
    async with client_with(UpstreamLimits(max_connections=2)) as client:
        url, deadline = upstream.base_url("slow-headers"), Deadline.after(5)
        await asyncio.gather(*(client.request("GET", url, deadline=deadline) for _ in range(5)))
        assert upstream.connections == 2
        assert upstream.most_answering == 2
        async with AsyncExitStack() as streams:
            for _ in range(2):
                await streams.enter_async_context(
                    client.stream("POST", upstream.base_url("sse-stall"), deadline=deadline, body=STREAMED)
                )
            with pytest.raises(Overloaded, match="connections"):
                await client.request("GET", upstream.base_url(), deadline=Deadline.after(5, connect=0.1))


async def test_clients_do_not_share_connections(upstream: MisbehavingUpstream) -> None:
    factory = ClientFactory(UpstreamLimits())
    for client in (factory.client(HeaderAuth()), factory.client(HeaderAuth())):
        await client.request("GET", upstream.base_url(), deadline=Deadline.after(5))
    assert upstream.connections == 2
    await factory.close()


async def test_a_closed_client_refuses_calls(upstream: MisbehavingUpstream) -> None:
    async with client_with(UpstreamLimits()) as client:
        task = asyncio.create_task(client.request("GET", upstream.base_url("hang"), deadline=Deadline.after(30)))
        await until(lambda: upstream.answering == 1)
    with pytest.raises(ProviderUnreachable):
        await task
    with pytest.raises(ShuttingDown):
        await client.request("GET", upstream.base_url(), deadline=Deadline.after(5))


async def test_an_expired_deadline_ends_a_call_at_once(client: PooledClient, upstream: MisbehavingUpstream) -> None:
    with pytest.raises(ProviderTimeout):
        await client.request("GET", upstream.base_url(), deadline=Deadline.after(0))
    with pytest.raises(ProviderTimeout):
        await read_within(client, upstream.base_url(), Deadline.after(0))


async def read_within(client: PooledClient, url: str, deadline: Deadline) -> bytes:
    async with client.stream("GET", url, deadline=deadline) as answer:
        return await answer.read()


# ---- no connection ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:{port}/v1", "Connection refused"),
        ("https://127.0.0.1:{port}/v1", "Connection refused"),
        ("http://name.invalid:{port}/v1", "cannot be resolved"),
        ("ftp://127.0.0.1/v1", "no http:// or https:// URL"),
        ("127.0.0.1/v1", "no http:// or https:// URL"),
        ("http://[v1", "no http:// or https:// URL"),
    ],
)
async def test_what_cannot_be_reached_says_why(
    client: PooledClient, monkeypatch: pytest.MonkeyPatch, url: str, message: str
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolve_only_the_loopback)
    with pytest.raises(ProviderUnreachable, match=message) as raised:
        await client.request("GET", url.format(port=free_port()), deadline=Deadline.after(5), credential=Secret(KEY))
    assert KEY not in repr(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def resolve_only_the_loopback(host: str, *arguments: object, **named: object) -> list[object]:
    """Stand in for a resolver that is asked for a name which does not exist."""
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def test_a_connection_that_is_not_made_in_time_is_a_timeout(client: PooledClient) -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filling in (first, second):  # of a full queue the kernel drops what comes next
            filling.setblocking(False)
            filling.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        with pytest.raises(ProviderTimeout, match="Connecting"):
            await client.request("GET", url, deadline=Deadline.after(5, connect=0.2))


# ---- TLS and proxies -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate that nobody trusts."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", str(key), "-out", str(certificate)),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.fixture
async def tls_upstream(certificate: tuple[Path, Path]) -> AsyncIterator[MisbehavingUpstream]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    async with MisbehavingUpstream(tls=context) as running:
        yield running


async def test_a_certificate_that_is_not_trusted_is_refused(
    client: PooledClient, tls_upstream: MisbehavingUpstream
) -> None:
    with pytest.raises(ProviderUnreachable, match="certificate is not trusted"):
        await client.request("GET", tls_upstream.base_url(), deadline=Deadline.after(5), credential=Secret(KEY))
    assert tls_upstream.calls == []


CALL = """
import asyncio, sys
from orchestrator_core.provider_api import Deadline, HeaderAuth
from orchestrator_core.upstream import ClientFactory, UpstreamLimits

async def call():
    factory = ClientFactory(UpstreamLimits())
    answer = await factory.client(HeaderAuth()).request("GET", sys.argv[1], deadline=Deadline.after(5))
    await factory.close()
    print(answer.status)

asyncio.run(call())
"""


async def test_a_certificate_that_the_operator_trusts_is_accepted(
    tls_upstream: MisbehavingUpstream, certificate: tuple[Path, Path]
) -> None:
    """In a process of its own, since the list of who is trusted is read once."""
    environ = {**os.environ, "SSL_CERT_FILE": str(certificate[0])}
    command = [sys.executable, "-c", CALL, tls_upstream.base_url()]
    process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=subprocess.PIPE)
    said, _ = await process.communicate()
    assert said == b"200\n"


async def test_tls_with_a_server_that_speaks_none_fails(client: PooledClient) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ProviderUnreachable, match="TLS handshake"):
            await client.request("GET", f"https://127.0.0.1:{port}/v1", deadline=Deadline.after(5))


async def test_a_stream_in_flight_fails_when_the_client_is_closed(upstream: MisbehavingUpstream) -> None:
    async with client_with(UpstreamLimits()) as client:
        task = asyncio.create_task(read_stream(client, upstream.base_url("sse-stall")))
        await until(lambda: upstream.answering == 1)
        await asyncio.sleep(0.1)
    async with asyncio.timeout(2):
        with pytest.raises(ProviderFailed):
            await task


async def test_proxies_of_the_environment_are_ignored(
    upstream: MisbehavingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, dead)
    async with client_with(UpstreamLimits()) as client:
        assert (await client.request("GET", upstream.base_url(), deadline=Deadline.after(5))).status == 200


async def test_the_configured_proxy_is_used(upstream: MisbehavingUpstream) -> None:
    limits = UpstreamLimits.from_settings(Settings(upstream_proxy=f"http://user:hidden@127.0.0.1:{free_port()}"))
    assert "hidden" not in repr(limits)
    async with client_with(limits) as client:
        with pytest.raises(ProviderUnreachable, match="proxy") as raised:
            await client.request("GET", upstream.base_url(), deadline=Deadline.after(5))
    assert "hidden" not in str(raised.value)
    assert upstream.calls == []


def test_the_limits_are_the_settings() -> None:
    assert UpstreamLimits.from_settings(Settings()) == UpstreamLimits()


async def test_every_error_of_a_call_is_of_the_tree(client: PooledClient, upstream: MisbehavingUpstream) -> None:
    results = await asyncio.gather(
        *(
            client.request("GET", upstream.base_url(name), deadline=Deadline.after(5))
            for name in ("reset-before", "close-before", "no-http", "short-body", "redirect") * 10
        ),
        return_exceptions=True,
    )
    assert all(isinstance(result, GatewayError) for result in results)
