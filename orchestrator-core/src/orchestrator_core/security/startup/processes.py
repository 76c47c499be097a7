"""Whether the processes that serve can share what they have to."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator_core.config import Settings
from orchestrator_core.config.extras import missing_extra
from orchestrator_core.config.settings import MEMORY, POSTGRES, SQLITE
from orchestrator_core.security.startup.mounts import on_network
from orchestrator_core.security.startup.subject import Subject


def alone(subject: Subject) -> Iterator[str]:
    """Yield what keeps a gateway from running with several workers, where it is to."""
    settings = subject.settings
    if settings.workers == 1:
        return
    if not settings.database_url.startswith(POSTGRES):
        yield (
            "ORCHESTRATOR_WORKERS: several workers need a database that processes can share, and SQLite serves one "
            "process alone. Set ORCHESTRATOR_DATABASE_URL=postgresql://user:password@host/database, or "
            "leave ORCHESTRATOR_WORKERS and --workers out."
        )
    if problem := missing_extra("ORCHESTRATOR_WORKERS", "gunicorn", "workers"):
        yield problem


def one_process_database(subject: Subject) -> Iterator[str]:
    """Yield that several processes are expected over SQLite, which serves one."""
    settings = subject.settings
    if _replicas(settings) and not settings.database_url.startswith(POSTGRES):
        yield (
            "ORCHESTRATOR_EXPECTED_PROCESSES: several processes need a database that they can share, and SQLite serves "
            "one alone. Set ORCHESTRATOR_DATABASE_URL=postgresql://user:password@host/database."
        )


def separate_limits(subject: Subject) -> Iterator[str]:
    """Yield that several processes would each admit the whole of every limit, since they have no Redis in common."""
    settings = subject.settings
    limited = settings.client_limit is not None or settings.session_limit is not None
    if limited and settings.redis_url is None and (settings.workers > 1 or _replicas(settings)):
        name = "ORCHESTRATOR_WORKERS" if settings.workers > 1 else "ORCHESTRATOR_EXPECTED_PROCESSES"
        yield (
            f"{name}: each of several processes would admit the whole of every limit. Set ORCHESTRATOR_REDIS_URL, so "
            "that they count together."
        )


def network_file_system(subject: Subject) -> Iterator[str]:
    """Yield that SQLite's file is on a network file system, where its locks mean nothing.

    https://www.sqlite.org/wal.html
    """
    url = subject.settings.database_url
    if url.startswith(SQLITE) and on_network((subject.config.directory / url.removeprefix(SQLITE)).resolve()):
        yield (
            "ORCHESTRATOR_DATABASE_URL: the file is on a network file system, where SQLite loses data. Put it on a "
            "local disk, or use PostgreSQL."
        )


def forgetful_database(subject: Subject) -> Iterator[str]:
    """Yield that conversations are in memory, and end with the process."""
    if subject.settings.database_url == MEMORY:
        yield "ORCHESTRATOR_DATABASE_URL: a database in memory loses every conversation; use a file or PostgreSQL."


def _replicas(settings: Settings) -> bool:
    """Whether the operator says that several processes serve. The default is for those who do not say."""
    return "expected_processes" in settings.model_fields_set and settings.expected_processes > 1
