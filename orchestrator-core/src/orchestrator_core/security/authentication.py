"""Who a client is, by the credential that it sends."""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Callable
from typing import Protocol

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import Secret, Unauthenticated
from orchestrator_core.security.client_keys import KnownKey, client_of, digest_of, looks_own, opens
from orchestrator_core.security.principal import ANONYMOUS, DEFAULT_PRINCIPAL, Principal

_HELP = "Send the gateway's client key as `Authorization: Bearer <key>`."


def basic_password(credential: str) -> str | None:
    """Return the password of HTTP Basic (RFC 7617), whoever the user is; None where it is malformed.

    Args:
        credential: What stands in `Authorization` after `Basic`.
    """
    try:
        decoded = b64decode(credential.strip().encode(), validate=True).decode()
    except ValueError:
        return None
    _, colon, password = decoded.partition(":")
    return password if colon else None


class KeyDirectory(Protocol):
    """The keys of the store, as this process knows them: `orchestration.ClientDirectory`."""

    @property
    def any_made(self) -> bool:
        """Whether a key was ever made, be it that it is revoked by now."""
        ...

    def find(self, client_id: str) -> KnownKey | None:
        """Return what is known of a key that is not revoked, by its public id."""
        ...

    async def refresh(self) -> None:
        """Learn what changed in the store, within a bounded time."""
        ...


class Authenticator:
    """Checks client credentials: the key of the configuration, and those of the store."""

    def __init__(self, settings: Settings, directory: KeyDirectory, clock: Callable[[], float] = time.time) -> None:
        """Make the check.

        Args:
            settings: `client_key`, and whether this is production, where nobody is let in without a credential.
            directory: The keys of the store.
            clock: Seconds since the epoch.
        """
        self._client_key = settings.client_key
        self._required = settings.production
        self._directory = directory
        self._clock = clock

    @property
    def asks(self) -> bool:
        """Whether anybody is asked for a credential."""
        return self._required or self._client_key is not None or self._directory.any_made

    async def authenticate(self, credential: str | None) -> Principal:
        """Return whoever sent this credential.

        A key that this process does not know may have just been made, or replaced: then the store is asked before it
        is refused, which takes the same time whatever is wrong with it.

        Args:
            credential: The client's credential, without `Bearer`; None where there was none.

        Raises:
            Unauthenticated: It is missing or wrong.
        """
        if credential and self._is_configured(credential):
            return DEFAULT_PRINCIPAL
        client_id = client_of(credential) if credential else None
        if client_id is not None and credential is not None:
            digest = digest_of(credential)
            principal = self._owner(client_id, digest)
            if principal is None:
                await self._directory.refresh()
                principal = self._owner(client_id, digest)
            if principal is not None:
                return principal
        if not self.asks:
            return ANONYMOUS
        if not credential:
            raise Unauthenticated(f"This request has no client credential. {_HELP}")
        raise Unauthenticated(f"The client credential is wrong, or not valid any more. {_HELP}")

    def is_own(self, credential: str) -> bool:
        """Whether a text is a key of the gateway's clients, or looks like one: nobody else may be given it."""
        return looks_own(credential) or self._is_configured(credential)

    def _is_configured(self, credential: str) -> bool:
        # ASCII only: a header's other bytes may be no text at all. The comparison takes constant time.
        return self._client_key is not None and credential.isascii() and Secret(credential) == self._client_key

    def _owner(self, client_id: str, digest: str) -> Principal | None:
        key = self._directory.find(client_id)
        return key.principal if opens(key, digest, self._clock()) and key is not None else None
