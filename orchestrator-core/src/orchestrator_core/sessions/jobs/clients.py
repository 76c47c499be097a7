"""Keeping the keys of the clients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from orchestrator_core.config.grants import Budget, Grant, Period, Role
from orchestrator_core.provider_api import Conflict, NotFound
from orchestrator_core.sessions.clients import MAX_CLIENTS, Client
from orchestrator_core.sessions.jobs import client_statements as statements
from orchestrator_core.sessions.jobs.rows import micros_of, moment
from orchestrator_core.sessions.steps import Steps, do, lock, one, rows


class ClientRow(NamedTuple):
    """A row of the table."""

    id: str
    tenant: str
    created_at: int
    name: str
    role: Role
    digest: str
    previous_digest: str | None
    previous_until: int | None
    providers: str | None
    models: str | None
    requests_per_minute: int | None
    session_requests_per_minute: int | None
    budget_usd: float | None
    budget_tokens: int | None
    budget_period: Period | None
    expires_at: int | None
    revoked_at: int | None
    revision: int

    @classmethod
    def of(cls, client: Client) -> ClientRow:
        """Return a key as it is written."""
        grant, budget = client.grant, client.grant.budget
        return cls(
            id=client.id,
            tenant=client.tenant,
            created_at=micros_of(client.created_at),
            name=client.name,
            role=grant.role,
            digest=client.digest,
            previous_digest=client.previous_digest,
            previous_until=_written(client.previous_until),
            providers=None if grant.providers is None else to_json(sorted(grant.providers)).decode(),
            models=None if grant.models is None else to_json(grant.models).decode(),
            requests_per_minute=grant.requests_per_minute,
            session_requests_per_minute=grant.session_requests_per_minute,
            budget_usd=budget.usd if budget else None,
            budget_tokens=budget.tokens if budget else None,
            budget_period=budget.period if budget else None,
            expires_at=_written(client.expires_at),
            revoked_at=_written(client.revoked_at),
            revision=client.revision,
        )

    def client(self) -> Client:
        """Return the key."""
        budget = None
        if self.budget_period is not None:
            budget = Budget(usd=self.budget_usd, tokens=self.budget_tokens, period=self.budget_period)
        grant = Grant(
            role=self.role,
            providers=None if self.providers is None else frozenset(from_json(self.providers)),
            models=None if self.models is None else tuple(from_json(self.models)),
            requests_per_minute=self.requests_per_minute,
            session_requests_per_minute=self.session_requests_per_minute,
            budget=budget,
        )
        return Client(
            id=self.id,
            name=self.name,
            tenant=self.tenant,
            grant=grant,
            digest=self.digest,
            previous_digest=self.previous_digest,
            previous_until=_read(self.previous_until),
            created_at=moment(self.created_at),
            expires_at=_read(self.expires_at),
            revoked_at=_read(self.revoked_at),
            revision=self.revision,
        )


def create(client: Client) -> Steps[Client]:
    """Add a key."""
    revision = yield from _begin()
    (count,) = (yield from one(statements.COUNT_CLIENTS)) or (0,)
    if count >= MAX_CLIENTS:
        raise Conflict(f"There are {MAX_CLIENTS} client keys, which is the most. Revoke those that nobody uses.")
    yield from _check_name(client)
    made = replace(client, revision=revision)
    yield from do(statements.INSERT_CLIENT, *ClientRow.of(made))
    return made


def update(client_id: str, change: Callable[[Client], Client]) -> Steps[Client]:
    """Change a key; see `ClientStore.update`."""
    revision = yield from _begin()
    before = yield from get(client_id)
    after = change(before)
    after = replace(after, id=before.id, tenant=before.tenant, created_at=before.created_at, revision=revision)
    if after.revoked_at is None:
        yield from _check_name(after)
    _, _, _, *columns = ClientRow.of(after)
    yield from do(statements.UPDATE_CLIENT, *columns, client_id)
    return after


def get(client_id: str) -> Steps[Client]:
    """Read a key."""
    row = yield from one(statements.GET_CLIENT, client_id)
    if row is None:
        raise NotFound("There is no client with this id.", param="id")
    return ClientRow._make(row).client()


def page(*, revoked: bool, limit: int, offset: int) -> Steps[Sequence[Client]]:
    """Read a page of keys, and one more where there is one."""
    sql = statements.LIST_CLIENTS if revoked else statements.LIST_VALID_CLIENTS
    return _clients((yield from rows(sql, limit + 1, offset)))


def changed(after: int) -> Steps[Sequence[Client]]:
    """Read the keys that changed after a revision."""
    return _clients((yield from rows(statements.LIST_CHANGED_CLIENTS, after)))


def _begin() -> Steps[int]:
    """Let no other change come between, and return the next revision."""
    yield from lock(statements.LOCK_CLIENTS)
    row = yield from one(statements.NEXT_REVISION)
    return 1 if row is None else int(row[0]) + 1


def _check_name(client: Client) -> Steps[None]:
    row = yield from one(statements.FIND_CLIENT_NAME, client.name)
    if row is not None and row[0] != client.id:
        raise Conflict("A client with this name exists; revoke it, or take another name.", param="name")


def _clients(found: Sequence[Any]) -> Sequence[Client]:
    return [ClientRow._make(row).client() for row in found]


def _written(time: datetime | None) -> int | None:
    return None if time is None else micros_of(time)


def _read(time: int | None) -> datetime | None:
    return None if time is None else moment(time)
