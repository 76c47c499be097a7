"""What a caller is told of a database that cannot serve now."""

from __future__ import annotations

from orchestrator_core.provider_api import InternalError, StorageBusy, StorageError, StorageFull

RETRY_AFTER = 1.0
"""Seconds after which a caller that found the store busy may come again."""


def busy() -> StorageBusy:
    """Return the error of a store that had no time for a caller."""
    return StorageBusy("The conversation store is busy. Try again.", retry_after=RETRY_AFTER)


def full() -> StorageFull:
    """Return the error of a store without room."""
    return StorageFull("The conversation store has no room left. Free disk space; nothing was stored.")


def unusable() -> StorageError:
    """Return the error of a store that failed; the reason is for the log alone."""
    return StorageError("The conversation store cannot be used now. Its log says why.", retry_after=RETRY_AFTER)


def unstorable() -> InternalError:
    """Return the error of a value that the database refuses; another try would end the same."""
    return InternalError("Something of this cannot be stored. The gateway's log says what the database refused.")


def closed() -> StorageError:
    """Return the error of a store that is not open."""
    return StorageError("The conversation store is closed.", retry_after=RETRY_AFTER)
