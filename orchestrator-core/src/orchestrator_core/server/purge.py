"""Deletes in the background, once for all processes, what is kept no longer."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from orchestrator_core.orchestration import Gateway
from orchestrator_core.provider_api import StorageError
from orchestrator_core.server.leader import Leader

INTERVAL = 600.0
"""Seconds between two rounds."""

BATCH = 50
"""Sessions, and replies, that one transaction deletes, so that nobody waits long for it."""

PAUSE = 0.1
"""Seconds between two transactions of a round, for everybody else."""

_logger = structlog.get_logger(__name__)


async def purge_again_and_again(gateway: Gateway) -> None:
    """Delete what is over, the first time at once, until cancelled."""
    leader = Leader(gateway.store, "purge", 1.5 * INTERVAL)
    while True:
        try:
            deleted = await purge(gateway, leader)
            if deleted:
                _logger.info("Deleted what is kept no longer", sessions_and_replies=deleted)
        except StorageError as error:
            _logger.warning("Nothing deleted: the store is away", code=error.code)
        except Exception:
            _logger.exception("Nothing deleted; tried again later")
        await asyncio.sleep(INTERVAL)


async def purge(gateway: Gateway, leader: Leader) -> int:
    """Delete all that is over, while this process leads; return how much it was.

    Raises:
        StorageError: The store cannot be reached.
    """
    days = gateway.config.settings.session_retention_days
    retention = None if days is None else timedelta(days=days)
    total = 0
    while await leader.leads():
        deleted = await gateway.store.purge_expired(retention, limit=BATCH)
        if not deleted:
            break
        total += deleted
        await asyncio.sleep(PAUSE)
    return total
