"""The client keys of the store, as this process knows them: no request waits for the database to be let in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from orchestrator_core.provider_api import StorageBusy, StorageError
from orchestrator_core.security.client_keys import KnownKey
from orchestrator_core.security.principal import Principal
from orchestrator_core.sessions.clients import Client, ClientStore

REFRESH_EVERY: Final = 2.0
"""The most seconds after which a change that another process made is known here, as long as the store is there."""

PACE: Final = 0.25
"""The least seconds between two looks into the store, however many unknown keys are sent."""

WAIT: Final = 2.0
"""The most seconds that a request with an unknown key waits for a look."""

log = structlog.get_logger(__name__)


class ClientDirectory:
    """Every key that is not revoked, in memory; what changed is read again and again.

    While the store is away, what was known last holds.
    """

    def __init__(self, store: ClientStore, clock: Callable[[], float] = time.monotonic) -> None:
        """Know no key yet; `start` it.

        Args:
            store: Where the keys are kept.
            clock: Monotonic seconds.
        """
        self._store = store
        self._clock = clock
        self._keys: dict[str, KnownKey] = {}
        self._revision = 0
        self._looked = -PACE
        self._reading = asyncio.Lock()
        self._look: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def any_made(self) -> bool:
        """Whether a key was ever made, be it that it is revoked by now: then nobody is let in without one."""
        return self._revision > 0

    async def start(self) -> None:
        """Learn all keys, and go on learning.

        Raises:
            StorageError: The store cannot be read.
        """
        await self.read()
        self._task = asyncio.create_task(self._keep_up(), name="client keys")

    async def close(self) -> None:
        """Stop."""
        tasks = [task for task in (self._task, self._look) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def find(self, client_id: str) -> KnownKey | None:
        """Return what is known of a key that is not revoked."""
        return self._keys.get(client_id)

    async def read(self) -> None:
        """Learn what changed before this call, at once: for whoever made the change.

        Raises:
            StorageError: The store cannot be read.
        """
        async with self._reading:
            began = self._clock()
            for client in await self._store.changed(self._revision):
                if client.revoked_at is None:
                    self._keys[client.id] = _known(client)
                else:
                    self._keys.pop(client.id, None)
                self._revision = client.revision
            self._looked = began

    async def refresh(self) -> None:
        """Learn what changed before this call: for anybody. Those who call within `PACE` share one look.

        Raises:
            StorageError: The store cannot be read in time.
        """
        called = self._clock()
        try:
            async with asyncio.timeout(WAIT):
                while self._looked < called:
                    await asyncio.shield(self._one_look())
        except TimeoutError:
            raise StorageBusy("The client keys cannot be read now. Try again.", retry_after=1.0) from None

    def _one_look(self) -> asyncio.Task[None]:
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._look_soon())
            self._look.add_done_callback(_retrieve)  # those who waited may all be gone
        return self._look

    async def _look_soon(self) -> None:
        await asyncio.sleep(max(0.0, self._looked + PACE - self._clock()))
        await self.read()

    async def _keep_up(self) -> None:
        away = False
        while True:
            await asyncio.sleep(REFRESH_EVERY)
            try:
                await asyncio.shield(self._one_look())
            except StorageError as error:
                if not away:
                    log.warning("client keys are not read: what was known holds", code=error.code)
                away = True
            except Exception:
                log.exception("client keys are not read: what was known holds")
            else:
                away = False


def _known(client: Client) -> KnownKey:
    return KnownKey(
        principal=Principal(id=client.id, tenant=client.tenant, grant=client.grant),
        digest=client.digest,
        expires_at=client.expires_at.timestamp() if client.expires_at else None,
        previous=client.previous_digest,
        previous_until=client.previous_until.timestamp() if client.previous_until else 0.0,
    )


def _retrieve(look: asyncio.Task[None]) -> None:
    if not look.cancelled():
        look.exception()
