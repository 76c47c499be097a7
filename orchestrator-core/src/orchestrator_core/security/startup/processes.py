"""Whether the processes that serve can share what they have to."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator_core.config.extras import missing_extra
from orchestrator_core.config.settings import MEMORY, POSTGRES
from orchestrator_core.security.startup.subject import Subject


def alone(subject: Subject) -> Iterator[str]:
    """Yield what keeps a gateway from running in several processes, where it is to."""
    settings = subject.settings
    if settings.workers == 1:
        return
    if not settings.database_url.startswith(POSTGRES):
        yield (
            f"ORCHESTRATOR_WORKERS: {settings.workers} workers need a database that processes can share, and SQLite "
            "serves one process alone. Set ORCHESTRATOR_DATABASE_URL=postgresql://user:password@host/database, or "
            "leave ORCHESTRATOR_WORKERS and --workers out."
        )
    if problem := missing_extra("ORCHESTRATOR_WORKERS", "gunicorn", "workers"):
        yield problem


def forgetful_database(subject: Subject) -> Iterator[str]:
    """Yield that conversations end with the process."""
    if subject.settings.database_url == MEMORY:
        yield "ORCHESTRATOR_DATABASE_URL: a database in memory loses every conversation; use a file or PostgreSQL."
