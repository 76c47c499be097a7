"""The HTTP client that core gives to providers, on aiohttp; one connection pool for each provider instance."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from functools import cache, lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

import aiohttp
from multidict import CIMultiDict

from orchestrator_core.provider_api import (
    Auth,
    Deadline,
    GatewayError,
    Overloaded,
    ProviderBadResponse,
    ProviderRedirect,
    ProviderTimeout,
    Secret,
    ShuttingDown,
    UpstreamResponse,
    UpstreamStream,
)
from orchestrator_core.resilience.waits import Waits
from orchestrator_core.upstream.failures import before_headers
from orchestrator_core.upstream.limits import RETRY_AFTER, UpstreamLimits
from orchestrator_core.upstream.stream import Answer

if TYPE_CHECKING:
    import httpx

KEEP_ALIVE = 30.0
"""Seconds for which an idle connection is kept: shorter than the load balancers of the vendors keep theirs."""

Waiting: TypeAlias = Callable[[], AbstractContextManager[None]]
"""Gives what stands around the waits of one call, so that somebody can tell how long they were."""

SHORTEST_MASKED = 8
"""Characters. A shorter credential is a stand-in for a local server, such as `none`: masking it would spoil answers."""

_CONTENT_TYPE = ("content-type",)
"""The header that aiohttp would add to a call without a body."""

Leaving: TypeAlias = Callable[[str], Mapping[str, str]]
"""Is told of each URL that is called, and gives headers to send beside all others."""


def _nothing_to_add(_: str) -> Mapping[str, str]:
    return {}


class PooledClient:
    """Calls one provider; it implements `UpstreamClient`."""

    def __init__(
        self,
        auth: Auth,
        limits: UpstreamLimits,
        waiting: Waiting = nullcontext,
        leaving: Leaving = _nothing_to_add,
    ) -> None:
        """Prepare a client; it connects when it is first used.

        Args:
            auth: Makes the headers that carry a credential.
            limits: The bounds on connections, calls and sizes.
            waiting: Stands around each wait.
            leaving: Is told of each call.
        """
        self._auth = auth
        self._leaving = leaving
        self._waiting = waiting
        self._limits = limits
        self._calls = 0
        self._waits = Waits()
        self._pool: aiohttp.ClientSession | None = None
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        deadline: Deadline,
        credential: Secret | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        max_bytes: int | None = None,
    ) -> UpstreamResponse:
        """Send a request and read the whole answer, see `UpstreamClient.request`."""
        answer = await self._open(
            method, url, headers, body, deadline=deadline, wait=deadline.remaining(), credential=credential
        )
        try:
            return UpstreamResponse(answer.status, answer.headers, await answer.read(max_bytes))
        finally:
            self._end(answer)

    def stream(
        self,
        method: str,
        url: str,
        *,
        deadline: Deadline,
        credential: Secret | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> AbstractAsyncContextManager[UpstreamStream]:
        """Send a request and open its answer, see `UpstreamClient.stream`."""
        wait = min(deadline.first_event, deadline.remaining())
        opening = self._open(method, url, headers, body, deadline=deadline, wait=wait, credential=credential)
        return _Stream(opening, self._end)

    async def send(
        self, request: httpx.Request, *, deadline: Deadline, credential: Secret | None = None
    ) -> httpx.Response:
        """Send any request, see `UpstreamClient.send`."""
        # Whoever has a request of httpx has imported it; all others need not pay for it.
        from orchestrator_core.upstream.httpx_adapter import make_response, read_request  # noqa: PLC0415

        headers, body = await read_request(request)
        answer = await self.request(
            request.method, str(request.url), deadline=deadline, credential=credential, headers=headers, body=body
        )
        return make_response(answer, request)

    async def close(self) -> None:
        """Close the connections; calls in flight fail, later ones are refused."""
        self._closed = True
        if self._pool is not None:
            await self._pool.close()

    async def _open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        *,
        deadline: Deadline,
        wait: float,
        credential: Secret | None,
    ) -> Answer:
        """Send a request and wait up to `wait` seconds for the headers of its answer, which has to be ended."""
        pool = self._open_pool()
        sent, masked = self._headers(headers, body, credential)
        sent.update(self._leaving(url))
        waiting, limit = self._waiting(), self._waits.within(wait)
        response: aiohttp.ClientResponse | None = None
        self._calls += 1
        try:
            with waiting, limit:
                response = await pool.request(
                    method,
                    url,
                    headers=sent,
                    data=body,
                    skip_auto_headers=None if body else _CONTENT_TYPE,
                    allow_redirects=False,
                    timeout=_connect_timeout(deadline.connect),
                )
            _check(response)
            return Answer(
                response,
                self._limits,
                deadline,
                first_event_at=limit.until,
                masked=masked,
                waiting=waiting,
                waits=self._waits,
            )
        except BaseException as error:
            failure = self._failure(error)
            self._calls -= 1
            if response is not None:
                response.close()
            if failure is not None:
                raise failure from None
            raise

    def _end(self, answer: Answer) -> None:
        """Close the connection, unless the answer is at its end: then it is kept for the next call."""
        self._calls -= 1
        answer.close()

    def _failure(self, error: BaseException) -> GatewayError | None:
        """Return what an error says that came before the answer's headers; None of what is no error of the call's."""
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            if self._calls > self._limits.max_connections:
                return Overloaded(
                    "All connections to this provider are busy. Try again shortly.", retry_after=RETRY_AFTER
                )
            return ProviderTimeout("Connecting to the provider took too long. Check the base URL.")
        if isinstance(error, TimeoutError):
            return ProviderTimeout("The provider did not answer in time. Try again.")
        return before_headers(error) if isinstance(error, aiohttp.ClientError) else None

    def _headers(
        self, headers: Mapping[str, str] | None, body: bytes | None, credential: Secret | None
    ) -> tuple[CIMultiDict[str], Secret | None]:
        """Return the headers to send, and the credential if it has to be masked in the answer."""
        sent: CIMultiDict[str] = CIMultiDict()
        if body:
            sent["content-type"] = "application/json"
        if headers:
            sent.update(headers)
        if credential is None:
            return sent, None
        value = credential.reveal()
        sent.update(self._auth(value))
        return sent, credential if len(value) >= SHORTEST_MASKED else None

    def _open_pool(self) -> aiohttp.ClientSession:
        if self._closed:
            raise ShuttingDown("The gateway is stopping.")
        if self._pool is None:
            self._pool = aiohttp.ClientSession(
                # aiohttp checks certificates, with the list that it read when it was imported.
                connector=aiohttp.TCPConnector(limit=self._limits.max_connections, keepalive_timeout=KEEP_ALIVE),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"user-agent": _user_agent(), "accept-encoding": "identity"},
                auto_decompress=False,
                trust_env=False,
                proxy=self._limits.proxy,
            )
        return self._pool


class _Stream:
    """The context in which an answer is open."""

    __slots__ = ("_answer", "_end", "_opening")

    def __init__(self, opening: Awaitable[Answer], end: Callable[[Answer], None]) -> None:
        self._opening = opening
        self._end = end

    async def __aenter__(self) -> Answer:
        self._answer = await self._opening
        return self._answer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._answer.settle()
        finally:
            self._end(self._answer)


class ClientFactory:
    """Makes a client for each provider instance, and closes them all.

    The clients share nothing but the list of trusted certificates: the system's, or what `SSL_CERT_FILE` and
    `SSL_CERT_DIR` name.
    """

    def __init__(
        self, limits: UpstreamLimits, waiting: Waiting = nullcontext, leaving: Leaving = _nothing_to_add
    ) -> None:
        """Prepare a factory.

        Args:
            limits: What every client that it makes has for itself.
            waiting: Stands around each wait for a provider.
            leaving: Is told of each call to one.
        """
        self._leaving = leaving
        self._limits = limits
        self._waiting = waiting
        self._clients: list[PooledClient] = []

    def client(self, auth: Auth) -> PooledClient:
        """Make a client that sends credentials as `auth` says."""
        client = PooledClient(auth, self._limits, self._waiting, self._leaving)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        """Close every client."""
        clients, self._clients = self._clients, []
        await asyncio.gather(*(client.close() for client in clients))


def _check(response: aiohttp.ClientResponse) -> None:
    if 300 <= response.status < 400:
        raise ProviderRedirect(
            "The provider answered with a redirect, which is not followed. Set the base URL to where it leads.",
            upstream_status=response.status,
        )
    encoding = response.headers.get("Content-Encoding")
    if encoding is not None and encoding.strip().lower() not in {"", "identity"}:
        raise ProviderBadResponse(
            "The provider's answer is compressed, which was not asked for.", upstream_status=response.status
        )


@lru_cache(maxsize=16)
def _connect_timeout(seconds: float) -> aiohttp.ClientTimeout:
    """Bound connecting alone, waiting for a free connection among it; the call as a whole has its own bound."""
    return aiohttp.ClientTimeout(total=None, connect=seconds)


@cache
def _user_agent() -> str:
    # Reading metadata costs milliseconds that a command without a call should not pay.
    from importlib_metadata import version  # noqa: PLC0415

    return f"orchestrator/{version('orchestrator-core')}"
