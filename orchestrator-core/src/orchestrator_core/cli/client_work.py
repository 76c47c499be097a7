"""What `orchestrator clients` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator_core.cli.clients import NONE
from orchestrator_core.cli.stored import stored
from orchestrator_core.config import Config
from orchestrator_core.config.grants import Budget, Grant
from orchestrator_core.orchestration.clients import Clients, IssuedKey
from orchestrator_core.orchestration.spending import stored_state
from orchestrator_core.provider_api import NotFound
from orchestrator_core.server.routes.client_bodies import client_body
from orchestrator_core.sessions.clients import MAX_CLIENTS, Client, ClientStore

_PLAIN = ("role", "requests_per_minute", "session_requests_per_minute")

Row = Mapping[str, Any]


async def create(config: Config, name: str, tenant: str | None, given: Mapping[str, Any]) -> Row:
    """Make a client, and describe it with its key."""
    grant, expires_at = _granted(Grant(), given), given["expires"]
    async with stored(config, "beside") as store:
        issued = await Clients(store.clients).create(
            name, grant, tenant=tenant, expires_at=None if expires_at == NONE else expires_at
        )
    return _issued(issued)


async def rows(config: Config, *, revoked: bool) -> list[Row]:
    """Describe clients, oldest first."""
    found: list[Row] = []
    async with stored(config, "read") as store:
        more = True
        while more:
            page = await store.clients.list(revoked=revoked, limit=MAX_CLIENTS, offset=len(found))
            found += [_row(client) for client in page.items]
            more = page.has_more
    return found


async def row(config: Config, text: str) -> Row:
    """Describe a client, with what is left of its budget."""
    async with stored(config, "read") as store:
        client = await store.clients.get(await _id_of(store.clients, text))
        budget = client.grant.budget
        if budget is None:
            return _row(client)
        return {**_row(client), "budget": await stored_state(store, client.tenant, client.id, budget)}


async def update(config: Config, text: str, name: str | None, given: Mapping[str, Any]) -> Row:
    """Change a client, and describe it."""

    def change(client: Client) -> Client:
        expires_at = client.expires_at if given["expires"] is None else given["expires"]
        return replace(
            client,
            name=client.name if name is None else name,
            grant=_granted(client.grant, given),
            expires_at=None if expires_at == NONE else expires_at,
        )

    async with stored(config, "beside") as store:
        client_id = await _id_of(store.clients, text)
        return _row(await Clients(store.clients).update(client_id, change))


async def rotate(config: Config, text: str, overlap: timedelta) -> Row:
    """Give a client a new key, and describe it with that."""
    async with stored(config, "beside") as store:
        client_id = await _id_of(store.clients, text)
        return _issued(await Clients(store.clients).rotate(client_id, overlap))


async def revoke(config: Config, text: str) -> Row:
    """Revoke a client, and describe it."""
    async with stored(config, "beside") as store:
        client_id = await _id_of(store.clients, text)
        return _row(await Clients(store.clients).revoke(client_id))


async def _id_of(store: ClientStore, text: str) -> str:
    """Return the id of a client that is named by its id or its name.

    Raises:
        NotFound: There is none.
    """
    for client in (await store.list(revoked=False, limit=MAX_CLIENTS)).items:
        if text in (client.id, client.name):
            return client.id
    try:
        return (await store.get(text)).id
    except NotFound:
        raise NotFound("There is no client with this id or name. `orchestrator clients list` shows them.") from None


def _granted(grant: Grant, given: Mapping[str, Any]) -> Grant:
    """Return a grant with what the options say of it."""
    changes = {name: _or_none(given[name]) for name in _PLAIN if given[name] is not None}
    for name, collection in (("providers", frozenset), ("models", tuple)):
        if given[name] is not None:
            names = _or_none(given[name])
            changes[name] = None if names is None else collection(names)
    return replace(grant, **changes, budget=_budget(grant.budget, given))


def _budget(budget: Budget | None, given: Mapping[str, Any]) -> Budget | None:
    budget = budget or Budget()
    for name in ("usd", "tokens"):
        if given[f"budget_{name}"] is not None:
            budget = replace(budget, **{name: _or_none(given[f"budget_{name}"])})
    if given["budget_period"] is not None:
        return replace(budget, period=given["budget_period"])  # of nothing, it is refused
    return None if budget.usd is None and budget.tokens is None else budget


def _or_none(value: Any) -> Any:
    return None if value == NONE else value


def _row(client: Client) -> Row:
    return client_body(client, datetime.now(UTC))


def _issued(issued: IssuedKey) -> Row:
    return {**_row(issued.client), "key": issued.key}
