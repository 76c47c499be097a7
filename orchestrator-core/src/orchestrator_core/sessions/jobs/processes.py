"""Processes that serve: which of them live, what dead ones left behind, and which one does what is done once."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator_core.sessions.jobs import copy_statements, statements
from orchestrator_core.sessions.steps import Steps, do, one, rows

_SECOND = 1_000_000


def join(process_id: str, dead: Sequence[str]) -> Steps[None]:
    """Enter a process that has just begun, and put in order what dead ones left."""
    yield from do(statements.ADD_PROCESS, process_id)
    yield from _bury(dead)


def join_alone(process_id: str) -> Steps[None]:
    """Enter a process that is the only one, and put in order what others left."""
    yield from do(statements.ADD_PROCESS, process_id)
    yield from do(statements.DELETE_OTHER_PROCESSES, process_id)
    yield from _bury(())


def beat(process_id: str, silence: float, dead: Sequence[str]) -> Steps[None]:
    """Say that a process lives, and put in order what dead ones left.

    Args:
        process_id: The process.
        silence: Seconds after which one that was not heard of is taken for dead.
        dead: Processes that are known to be dead.
    """
    if (yield from one(statements.BEAT, int(silence * _SECOND), process_id)) is None:
        yield from do(statements.ADD_PROCESS, process_id)
    yield from do(statements.DELETE_SILENT_PROCESSES, int(silence * _SECOND), process_id)
    yield from _bury(dead)


def leave(process_id: str) -> Steps[None]:
    """Take a process out, and put in order what it left."""
    yield from _bury([process_id])


def known() -> Steps[Sequence[str]]:
    """Return the ids of all processes."""
    return [process_id for (process_id,) in (yield from rows(statements.LIST_PROCESSES))]


def lease(name: str, holder: str, seconds: float, process_id: str) -> Steps[bool]:
    """Take or renew a lease; return whether it is the holder's now."""
    row = yield from one(statements.TAKE_LEASE, name, holder, int(seconds * _SECOND), process_id)
    return row is not None


def end_lease(name: str, holder: str) -> Steps[None]:
    """Give a lease up, where the holder has it."""
    yield from do(statements.END_LEASE, name, holder)


def leave_finding(name: str, holder: str, finding: str) -> Steps[None]:
    """Leave what was found under a lease, where the holder still has it."""
    yield from do(statements.LEAVE_FINDING, finding, name, holder)


def read_finding(name: str) -> Steps[str | None]:
    """Return what was left under a lease."""
    row = yield from one(statements.GET_FINDING, name)
    return None if row is None else row[0]


def _bury(dead: Sequence[str]) -> Steps[None]:
    for process_id in dead:
        yield from do(statements.DELETE_PROCESS, process_id)
    yield from do(statements.INTERRUPT_TURNS)
    yield from do(statements.FREE_CLAIMS)
    yield from do(copy_statements.FORGET_HIDDEN_SESSIONS)
