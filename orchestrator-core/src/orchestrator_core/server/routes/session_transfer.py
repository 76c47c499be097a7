"""Sessions as files: out of one gateway, into another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from aiohttp import hdrs, web

from orchestrator_core.provider_api import InvalidRequest, NotFound, StorageError
from orchestrator_core.server.body import read_bytes
from orchestrator_core.server.context import gateway, principal, tell_session
from orchestrator_core.server.endpoint import Endpoint
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.json_answer import json_response
from orchestrator_core.server.query import SESSION_ID, session_id
from orchestrator_core.server.routes.session_bodies import SESSION_EXAMPLE, SessionBody, session_body
from orchestrator_core.server.sse import send_bounded
from orchestrator_core.server.transfer import MEDIA_TYPE

FILE_TYPES: Final = (MEDIA_TYPE, "application/octet-stream")
"""What a file may be sent as: many clients do not know what it is."""

_TEXT = {"type": "string", "description": "One JSON object a line: header, session, turns, summaries, end."}
_FILE = (
    '{"type":"header","format":"orchestrator-session","version":1,"exported_at":"2026-11-21T09:40:00Z",'
    '"gateway":"0.1.0"}\n'
    '{"type":"session","id":"sess_019a7c3e51f20a1b2c3d4e5f60718293","user_id":"ada","metadata":{"topic":"engines"},'
    '"status":"active","created_at":"2026-11-21T09:30:00Z"}\n'
    '{"type":"end","turns":0,"messages":0,"summaries":0}\n'
)


async def export(request: web.Request) -> web.StreamResponse:
    """Send a session as lines of JSON."""
    # Few gateways export or import: what the lines are checked by takes half a MiB.
    from orchestrator_core.server.transfer.writing import export as lines_of  # noqa: PLC0415 - as above

    store, tenant = gateway(request).store, principal(request).tenant
    session = await store.get_session(tenant, session_id(request))
    response = web.StreamResponse(
        headers={"Content-Type": MEDIA_TYPE, "Content-Disposition": f'attachment; filename="{session.id}.jsonl"'}
    )
    if request.method == hdrs.METH_HEAD:  # what aiohttp is given for it would follow the head all the same
        await response.prepare(request)
        return response
    async with aclosing(lines_of(store, tenant, session)) as lines:
        async for some in lines:
            await send_bounded(request, response, some)
    await send_bounded(request, response, b"", last=True)
    return response


async def import_(request: web.Request) -> web.Response:
    """Make a session of what was exported."""
    from orchestrator_core.server.transfer.reading import read_conversation  # noqa: PLC0415 - as in `export`

    data = await read_bytes(request, media_types=FILE_TYPES)
    # In a thread: a file of many megabytes takes a second to be read.
    conversation = await asyncio.to_thread(read_conversation, data)
    session = await gateway(request).store.import_session(principal(request).tenant, conversation)
    gateway(request).metrics.sessions_created.inc()
    tell_session(request, session.id)
    return json_response(session_body(session), status=201)


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/api/sessions/{id}/export",
        handler=export,
        summary="Export a session as lines of JSON",
        tag="Sessions",
        surface=Surface.API,
        description=(
            "Turns with their messages and bills, signatures of providers among them, and the summaries. It is sent "
            "as it is read, whatever its length; a file without the line `end` was cut off."
        ),
        media_types={MEDIA_TYPE: _TEXT},
        errors=(NotFound, StorageError),
        parameters=(SESSION_ID,),
    ),
    Endpoint(
        method="POST",
        path="/api/sessions/import",
        handler=import_,
        summary="Import a session that was exported",
        tag="Sessions",
        surface=Surface.API,
        description=(
            "All of it, or nothing and the number of the first line that is wrong. Ids are made anew, `parent_id` is "
            "the id that it had, and the new session is active. What it cost counts in no totals but its own."
        ),
        body_media_types=FILE_TYPES,
        body_schema=_TEXT,
        body_example=_FILE,
        response=SessionBody,
        status=201,
        errors=(InvalidRequest, StorageError),
        response_example={**SESSION_EXAMPLE, "parent_id": "sess_019a7b0000000a1b2c3d4e5f60718293"},
        idempotent=True,
    ),
)
