"""Names for processes, by which others on the same machine can tell whether they live."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable
from pathlib import Path

_STARTED = 21
"""The place of the start time among the fields of /proc/<pid>/stat (proc(5): starttime is the 22nd)."""


def process_identity() -> str:
    """Return a name for this process: where it runs, its number, when it began, and something that is its alone."""
    return "|".join((_place(), str(os.getpid()), _started(os.getpid()) or "", secrets.token_hex(4)))


def dead_among(identities: Iterable[str]) -> list[str]:
    """Return those that ran here and run no more; of processes elsewhere nothing is known."""
    here = f"{_place()}|"
    return [identity for identity in identities if identity.startswith(here) and not _lives(identity)]


def _lives(identity: str) -> bool:
    _, pid, started, _ = identity.rsplit("|", 3)
    return _started(int(pid)) == started


def _place() -> str:
    """Return the host and its space of process numbers, which containers have of their own."""
    try:
        numbers = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        numbers = f"unknown-{os.getpid()}"  # without a way to look, no other process is judged
    return f"{socket.gethostname()}|{numbers}"


def _started(pid: int) -> str | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # a program's name may hold spaces and brackets
    return fields[_STARTED - 2] if fields[0] != "Z" else None
