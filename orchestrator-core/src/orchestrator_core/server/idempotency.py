"""`Idempotency-Key`: a request that is sent again gets the answer that it already had."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog
from aiohttp import web

from orchestrator_core.provider_api import GatewayError, IdempotencyMismatch, InvalidRequest, StorageError
from orchestrator_core.server.body import read_bytes
from orchestrator_core.server.context import CONTEXT
from orchestrator_core.server.endpoint import Endpoint, Handler
from orchestrator_core.server.errors import render
from orchestrator_core.server.lifecycle import LIFECYCLE, Lifecycle
from orchestrator_core.server.query import SESSION_ID
from orchestrator_core.server.sse import MAX_KEPT
from orchestrator_core.sessions.models import StoredReply

HEADER = "Idempotency-Key"
SETTLE_DELAYS = (0.5, 2.0, 5.0, 15.0, 30.0)
"""Seconds before each further try to keep a reply."""

REPLAYED = "Idempotency-Replayed"

_logger = structlog.get_logger(__name__)

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_FACT = re.compile(r"x-orchestrator-(?!request-id|overhead-ms).+", re.IGNORECASE)
"""Headers that tell of an answer, and not of the one request that it was made for."""

_TRANSIENT = frozenset({401, 403, 408, 409, 429})
"""Statuses below 500 after which the same request may well succeed: they are not kept."""


def idempotency_key(request: web.Request) -> str | None:
    """Return the client's key.

    Raises:
        InvalidRequest: It is empty, too long, or has other characters than visible ASCII.
    """
    key = request.headers.get(HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequest(f"{HEADER} takes 1 to 255 visible ASCII characters.", param=HEADER)
    return key


def once(request: web.Request, handler: Handler, endpoint: Endpoint | None) -> Awaitable[web.StreamResponse]:
    """Answer a request by its handler, or from the store where it has a key that is known there.

    Args:
        request: The request.
        handler: Serves it.
        endpoint: What it is made to; None where nothing is there.

    Raises:
        InvalidRequest: The key is empty, too long, or has other characters than visible ASCII.
    """
    key = idempotency_key(request) if endpoint is not None and endpoint.idempotent else None
    if endpoint is None or key is None:
        return handler(request)
    return _answer(request, handler, key, endpoint.body_media_types)


async def _answer(request: web.Request, handler: Handler, key: str, media_types: Sequence[str]) -> web.StreamResponse:
    context = request[CONTEXT]
    context.body = await read_bytes(request, media_types=media_types)
    context.fingerprint = _fingerprint(request, context.body)
    store, tenant = context.gateway.store, context.principal.tenant
    known = await store.claim(tenant, key, context.fingerprint)
    if isinstance(known, StoredReply):
        return web.Response(
            status=known.status,
            body=known.body,
            headers={**known.headers, "Content-Type": known.content_type, REPLAYED: "true"},
        )
    claim = _Claim(request, key, known)
    try:
        context.transcript, context.settle = [], claim.answered
        response = await handler(request)
        await claim.answered(response)
        return response
    except GatewayError as error:
        # The key of a turn that another request began stays with that one.
        if not context.prepared and not isinstance(error, IdempotencyMismatch):
            await claim.answered(render(error, context.surface, context.request_id), error)
        raise
    finally:
        await claim.settle(None)


class _Claim:
    """The key of a request under way: it is settled once, by the first who does."""

    def __init__(self, request: web.Request, key: str, since: int) -> None:
        self._request = request
        self._key = key
        self._since = since
        self._settled = False

    async def answered(self, response: web.StreamResponse, error: GatewayError | None = None) -> None:
        """Keep an answer; of a stream, what was sent so far is all of it."""
        await self.settle(_reply(self._request, response, error))

    async def settle(self, reply: StoredReply | None) -> None:
        """Keep the reply of the key; None gives the key free. It is done even where the client leaves meanwhile."""
        if self._settled:
            return
        self._settled = True
        context, lifecycle = self._request[CONTEXT], self._request.app[LIFECYCLE]
        store, tenant = context.gateway.store, context.principal.tenant
        await lifecycle.keep(_settle(lifecycle, partial(store.settle, tenant, self._key, self._since, reply)))


async def _settle(lifecycle: Lifecycle, settle: Callable[[], Awaitable[None]]) -> None:
    """Keep the reply of a key. A store that is away never costs the client the answer: it is tried again later."""
    try:
        await settle()
    except StorageError as error:
        _logger.warning("Reply not kept", error=error.code)
        lifecycle.own(_settle_later(settle))


async def _settle_later(settle: Callable[[], Awaitable[None]]) -> None:
    for delay in SETTLE_DELAYS:
        await asyncio.sleep(delay)
        try:
            await settle()
        except StorageError as error:
            _logger.warning("Reply not kept", error=error.code)
        else:
            return


def _session_of_path(request: web.Request) -> str | None:
    """Return the session that a request is made to: what it is answered goes when the session does."""
    return request.match_info.get(SESSION_ID.name)


def _fingerprint(request: web.Request, body: bytes) -> str:
    digest = hashlib.sha256()
    for part in (
        request.method,
        request.rel_url.raw_path,
        request.headers.get("Accept", ""),
        request.headers.get("X-Session-Id", ""),
        request.headers.get("X-Orchestrator-Strict", ""),
    ):
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    digest.update(body)
    return digest.hexdigest()


def _reply(request: web.Request, response: web.StreamResponse, error: GatewayError | None) -> StoredReply | None:
    if response.status >= 500 or response.status in _TRANSIENT:
        return None
    context = request[CONTEXT]
    if isinstance(response, web.Response):
        body = response.body
    elif context.transcript is None:
        return None  # longer than is kept; a turn of a session is given again from the session
    else:
        body = b"".join(context.transcript)
    if body is not None and (not isinstance(body, bytes) or len(body) > MAX_KEPT):
        return None
    about = context if error is None or error.session_id is None else error
    ids = {"X-Session-Id": about.session_id, "X-Turn-Id": about.turn_id}
    facts = {name: value for name, value in response.headers.items() if _FACT.fullmatch(name)}
    facts |= {name: value for name, value in ids.items() if value is not None}
    return StoredReply(
        status=response.status,
        content_type=response.headers.get("Content-Type", ""),
        body=body or b"",
        headers=facts,
        session_id=about.session_id or _session_of_path(request),
    )
