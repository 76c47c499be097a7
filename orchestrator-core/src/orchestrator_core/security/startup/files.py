"""Who else may read or change the files that hold secrets."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from orchestrator_core.security.startup.subject import Subject


def readable(subject: Subject) -> Iterator[str]:
    """Yield each file that every user of the machine can read.

    Kubernetes and Docker mount secrets readable by all inside the container, so that this is no reason to refuse.
    """
    for path in subject.config.secret_files:
        if _mode(path) & stat.S_IROTH:
            yield f"{path.name}: every user of this machine can read it; use `chmod 600`."


def writable(subject: Subject) -> Iterator[str]:
    """Yield each file that every user of the machine can change."""
    for path in subject.config.secret_files:
        if _mode(path) & stat.S_IWOTH:
            yield f"{path.name}: every user of this machine can change it; use `chmod 600`."


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0
