"""The clients of the gateway and their keys."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from orchestrator_core.orchestration.clients import check_not_revoked
from orchestrator_core.provider_api import Conflict, InvalidRequest, NotFound, PermissionDenied, StorageError
from orchestrator_core.security.client_keys import ID_LENGTH
from orchestrator_core.security.principal import ANONYMOUS
from orchestrator_core.server.body import read_model
from orchestrator_core.server.context import gateway, principal
from orchestrator_core.server.endpoint import Endpoint, Parameter
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.json_answer import json_response
from orchestrator_core.server.query import MAX_OFFSET, OFFSET, integer, limit_parameter
from orchestrator_core.server.routes.client_bodies import (
    ClientBody,
    ClientChangeBody,
    ClientPageBody,
    IssuedKeyBody,
    NewClientBody,
    RotationBody,
    changed,
    client_body,
    grant_body,
    grant_of,
    moment,
)
from orchestrator_core.sessions.clients import Client

MAX_CLIENTS = 100

_ID = re.compile(rf"[a-z0-9]{{{ID_LENGTH}}}")
_ID_PATTERN = "{id:(?!me$)[^/]+}"
"""`me` is a resource of its own."""

_EXAMPLE_ID = "4f7k2m9q1x8z"


async def create(request: web.Request) -> web.Response:
    """Make a client with its key.

    Raises:
        PermissionDenied: Nobody has a key yet: whoever makes the first one locks everybody else out.
    """
    if principal(request) is ANONYMOUS:
        raise PermissionDenied(
            "The first key is made where the gateway runs, with `orchestrator clients create NAME --role admin`: from "
            "then on everybody is asked for one."
        )
    body = await read_model(request, NewClientBody)
    expires_at = moment(body.expires_at)
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise InvalidRequest("expires_at must be a time to come.", param="expires_at")
    issued = await gateway(request).clients.create(body.name, grant_of(body), tenant=body.tenant, expires_at=expires_at)
    return await _answer(request, issued.client, key=issued.key, status=201)


async def page(request: web.Request) -> web.Response:
    """Read a page of clients."""
    revoked = request.query.get("revoked", "false")
    if revoked not in ("true", "false"):
        raise InvalidRequest("revoked must be true or false.", param="revoked")
    found = await gateway(request).store.clients.list(
        revoked=revoked == "true",
        limit=integer(request, "limit", default=20, minimum=1, maximum=MAX_CLIENTS),
        offset=integer(request, "offset", default=0, minimum=0, maximum=MAX_OFFSET),
    )
    now = datetime.now(UTC)
    return json_response({"clients": [client_body(client, now) for client in found.items], "has_more": found.has_more})


async def own(request: web.Request) -> web.Response:
    """Read the client that asks. Whoever has no key of the store is one without a name."""
    caller = principal(request)
    try:
        body = await _with_budget(request, await gateway(request).store.clients.get(caller.id))
    except NotFound:
        nothing = dict.fromkeys(("created_at", "expires_at", "revoked_at", "previous_key_until"))
        known = {"id": caller.id, "name": caller.id, "tenant": caller.tenant, "status": "active"}
        body = {**known, **grant_body(caller.grant), **nothing}
    return json_response(body)


async def read(request: web.Request) -> web.Response:
    """Read a client; one that is revoked is in the list alone."""
    client = await gateway(request).store.clients.get(_client_id(request))
    check_not_revoked(client)
    return json_response(await _with_budget(request, client))


async def update(request: web.Request) -> web.Response:
    """Change a client."""
    known = _client_id(request)
    body = await read_model(request, ClientChangeBody)
    client = await gateway(request).clients.update(known, lambda client: changed(client, body))
    return await _answer(request, client)


async def rotate(request: web.Request) -> web.Response:
    """Give a client a new key."""
    known = _client_id(request)
    body = await read_model(request, RotationBody)
    issued = await gateway(request).clients.rotate(known, timedelta(seconds=body.overlap_seconds))
    return await _answer(request, issued.client, key=issued.key)


async def revoke(request: web.Request) -> web.Response:
    """Refuse a client's keys from now on, for good."""
    await gateway(request).clients.revoke(_client_id(request))
    await gateway(request).keys.read()
    return web.Response(status=204)


async def _with_budget(request: web.Request, client: Client) -> dict[str, Any]:
    """Describe a client with what is left of its budget."""
    body, budget = client_body(client, datetime.now(UTC)), client.grant.budget
    if budget is not None:
        body["budget"] = await gateway(request).spending.state(client.tenant, client.id, budget)
    return body


async def _answer(request: web.Request, client: Client, *, key: str | None = None, status: int = 200) -> web.Response:
    """Return a client that was changed, with a key that was made, when all of it holds here."""
    await gateway(request).keys.read()
    body = await _with_budget(request, client)
    return json_response(body if key is None else {**body, "key": key}, status)


def _client_id(request: web.Request) -> str:
    text = request.match_info["id"]
    if not _ID.fullmatch(text):
        raise NotFound("There is no client with this id.", param="id")
    return text


_CLIENT_ID = Parameter(
    name="id",
    place="path",
    description="The client's public id.",
    schema={"type": "string", "examples": [_EXAMPLE_ID]},
    required=True,
)
_CLIENT: Mapping[str, Any] = {
    "id": _EXAMPLE_ID,
    "name": "billing service",
    "role": "client",
    "tenant": "billing",
    "status": "active",
    "providers": ["echo"],
    "models": ["echo/echo-*"],
    "requests_per_minute": 300,
    "session_requests_per_minute": None,
    "budget": {"usd": 50.0, "tokens": None, "period": "month"},
    "created_at": "2026-11-21T09:30:00.000Z",
    "expires_at": None,
    "revoked_at": None,
    "previous_key_until": None,
}
_ISSUED = {**_CLIENT, "key": f"ock_{_EXAMPLE_ID}_the-secret-part-is-shown-this-once"}
_TAG = "Clients"

ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="POST",
        path="/api/clients",
        handler=create,
        summary="Make a client with its key",
        description="The key is in this answer alone: only a hash of it is kept. It is taken at once by this process, "
        "and by all others as soon as they see it. The first client of all is made by the command: it ends that "
        "nobody is asked for a credential.",
        tag=_TAG,
        surface=Surface.API,
        role="admin",
        request=NewClientBody,
        response=IssuedKeyBody,
        status=201,
        errors=(Conflict, StorageError),
        request_examples={
            "smallest": {"name": "billing service"},
            "limited": {
                "name": "reports",
                "tenant": "billing",
                "providers": ["echo"],
                "models": ["echo/echo-*"],
                "requests_per_minute": 300,
                "budget": {"usd": 50.0, "period": "month"},
            },
        },
        response_example=_ISSUED,
    ),
    Endpoint(
        method="GET",
        path="/api/clients",
        handler=page,
        summary="List clients",
        tag=_TAG,
        surface=Surface.API,
        role="admin",
        response=ClientPageBody,
        errors=(StorageError,),
        response_example={"clients": [_CLIENT], "has_more": False},
        parameters=(
            limit_parameter(20, MAX_CLIENTS),
            OFFSET,
            Parameter(
                name="revoked",
                place="query",
                description="Whether to show those too that are revoked.",
                schema={"type": "boolean", "default": False},
            ),
        ),
    ),
    Endpoint(
        method="GET",
        path="/api/clients/me",
        handler=own,
        summary="Read the client that asks",
        tag=_TAG,
        surface=Surface.API,
        response=ClientBody,
        errors=(StorageError,),
        response_example=_CLIENT,
    ),
    Endpoint(
        method="GET",
        path=f"/api/clients/{_ID_PATTERN}",
        handler=read,
        summary="Read a client",
        tag=_TAG,
        surface=Surface.API,
        role="admin",
        response=ClientBody,
        errors=(NotFound, StorageError),
        response_example=_CLIENT,
        parameters=(_CLIENT_ID,),
    ),
    Endpoint(
        method="PATCH",
        path=f"/api/clients/{_ID_PATTERN}",
        handler=update,
        summary="Change a client's name, limits or expiry",
        description="What is left out stays; null takes a limit away. The tenant never changes.",
        tag=_TAG,
        surface=Surface.API,
        role="admin",
        request=ClientChangeBody,
        response=ClientBody,
        errors=(NotFound, Conflict, StorageError),
        request_examples={"limit": {"requests_per_minute": 60}, "no_budget": {"budget": None}},
        response_example=_CLIENT,
        parameters=(_CLIENT_ID,),
    ),
    Endpoint(
        method="DELETE",
        path=f"/api/clients/{_ID_PATTERN}",
        handler=revoke,
        summary="Revoke a client's keys, for good",
        description="Calls under way end as they would have. Its sessions and its usage stay.",
        tag=_TAG,
        surface=Surface.API,
        role="admin",
        status=204,
        errors=(NotFound, StorageError),
        parameters=(_CLIENT_ID,),
    ),
    Endpoint(
        method="POST",
        path="/api/clients/{id}/rotate",
        handler=rotate,
        summary="Give a client a new key",
        description="The new key is in this answer alone. The present one is taken for `overlap_seconds` more.",
        tag=_TAG,
        surface=Surface.API,
        role="admin",
        request=RotationBody,
        response=IssuedKeyBody,
        errors=(NotFound, StorageError),
        request_examples={"at_once": {}, "an_hour_of_both": {"overlap_seconds": 3600}},
        response_example=_ISSUED,
        parameters=(_CLIENT_ID,),
    ),
)
