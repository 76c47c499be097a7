"""Making, replacing and revoking the keys of clients, for the command and for the HTTP interface alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from orchestrator_core.config.grants import MAX_NAMES, Grant
from orchestrator_core.provider_api import InvalidRequest, NotFound
from orchestrator_core.security.client_keys import make_key
from orchestrator_core.sessions.clients import Client, ClientStore

MAX_OVERLAP: Final = timedelta(days=30)
"""The longest time for which a key that was replaced is still taken."""

MAX_NAME: Final = 100
"""Characters of a client's name, and of a tenant's."""

NAME: Final = r"^[^\x00-\x1f\x7f-\x9f]+$"
TENANT: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""What the whole of a client's name and of a tenant's has to match."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key that was just made, for its client alone: it is not kept.

    Attributes:
        client: Whose key it is.
        key: The whole key.
    """

    client: Client
    key: str


class Clients:
    """The keys of the clients."""

    def __init__(self, store: ClientStore, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Work on a store; `now` is UTC."""
        self._store = store
        self._now = now

    async def create(
        self, name: str, grant: Grant, *, tenant: str | None = None, expires_at: datetime | None = None
    ) -> IssuedKey:
        """Make a client with its key.

        Args:
            name: What people call it.
            grant: What it may do.
            tenant: Whose sessions and usage it sees; None makes a tenant of its own.
            expires_at: When the key is not taken any more, UTC.

        Raises:
            InvalidRequest: No client can be so.
            Conflict: Another client has the name.
        """
        key = make_key()
        client = Client(
            id=key.id,
            name=name,
            tenant=key.id if tenant is None else tenant,
            grant=grant,
            digest=key.digest,
            created_at=self._now(),
            expires_at=expires_at,
        )
        return IssuedKey(await self._store.create(_checked(client)), key.text)

    async def rotate(self, client_id: str, overlap: timedelta = timedelta(0)) -> IssuedKey:
        """Give a client a new key.

        Args:
            client_id: Which client.
            overlap: For how long the present key is taken too; any key before that is refused at once.

        Raises:
            NotFound: There is no such client, or it is revoked.
        """
        key, now = make_key(client_id), self._now()

        def change(client: Client) -> Client:
            check_not_revoked(client)
            kept = overlap > timedelta(0)
            return replace(
                client,
                digest=key.digest,
                previous_digest=client.digest if kept else None,
                previous_until=now + overlap if kept else None,
            )

        return IssuedKey(await self._store.update(client_id, change), key.text)

    async def revoke(self, client_id: str) -> Client:
        """Refuse a client's keys from now on, for good.

        Raises:
            NotFound: There is no such client, or it is revoked.
        """
        now = self._now()

        def change(client: Client) -> Client:
            check_not_revoked(client)
            return replace(client, revoked_at=now, previous_digest=None, previous_until=None)

        return await self._store.update(client_id, change)

    async def update(self, client_id: str, change: Callable[[Client], Client]) -> Client:
        """Change the name, the grant or the expiry of a client.

        Raises:
            InvalidRequest: No client can be so.
            NotFound: There is no such client, or it is revoked.
            Conflict: Another one has the name.
        """

        def changed(client: Client) -> Client:
            check_not_revoked(client)
            return _checked(change(client))

        return await self._store.update(client_id, changed)


def check_not_revoked(client: Client) -> None:
    """Make sure that a client is there for more than the record.

    Raises:
        NotFound: It is revoked.
    """
    if client.revoked_at is not None:
        raise NotFound("This client is revoked, for good. Make a new one.", param="id")


def _checked(client: Client) -> Client:
    """Return a client that can be one, whoever asks for it.

    Raises:
        InvalidRequest: It cannot.
    """
    grant, budget = client.grant, client.grant.budget
    if not _matches(NAME, client.name):
        raise InvalidRequest(f"A client's name has 1 to {MAX_NAME} printable characters.", param="name")
    if not _matches(TENANT, client.tenant):
        raise InvalidRequest(
            f"A tenant's name has 1 to {MAX_NAME} letters, digits, dots, dashes and underscores, and begins with a "
            "letter or a digit.",
            param="tenant",
        )
    for param, names in (("providers", grant.providers), ("models", grant.models)):
        if names is not None and not 0 < len(names) <= MAX_NAMES:
            raise InvalidRequest(f"A client may be limited to 1 to {MAX_NAMES} {param}.", param=param)
    if budget is not None and budget.usd is None and budget.tokens is None:
        raise InvalidRequest("A budget limits money, tokens, or both: say how much.", param="budget")
    return client


def _matches(pattern: str, text: str) -> bool:
    # What an argument of a command has that is no text comes as a lone surrogate.
    plain = text.encode(errors="ignore").decode()
    return plain == text and len(text) <= MAX_NAME and re.fullmatch(pattern, text) is not None
