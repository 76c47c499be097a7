"""Commits whose end nobody was told, since the connection broke meanwhile. The server may go on with them."""

from __future__ import annotations

from typing import Any

from orchestrator_core.sessions.errors import busy
from orchestrator_core.sessions.steps import Steps, Transaction, one

_IS_AT_WORK = "SELECT 1 FROM pg_stat_activity WHERE pid = ? AND state <> 'idle'"
"""A process that has not read the commit yet is `idle in transaction`, and ends it after some seconds, or commits."""


class Uncertain(Exception):
    """The connection broke while the transaction was being committed.

    Attributes:
        result: What the transaction returned.
        pid: The server's process that commits it.
    """

    def __init__(self, result: Any, pid: int) -> None:
        super().__init__()
        self.result = result
        self.pid = pid


def once_ended(pid: int, transaction: Transaction[Any]) -> Steps[Any]:
    """Run a transaction that sees what a process of the server committed.

    Raises:
        StorageBusy: That process is not done: nobody else sees anything of what it writes yet.
    """
    if (yield from one(_IS_AT_WORK, pid)) is not None:
        raise busy()
    return (yield from transaction())
