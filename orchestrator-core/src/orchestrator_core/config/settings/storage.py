"""The settings of the database and of what processes share."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, Field

from orchestrator_core.config.settings.base import Count, Seconds, SettingsGroup

SQLITE = "sqlite:///"
MEMORY = "memory:"
POSTGRES = ("postgresql://", "postgres://")
"""How the addresses of databases begin."""

_HOST = re.compile(r"(\[[^\[\]\s]*\]|[^:\[\]\s]*)(:\d{1,5})?")
"""A host of PostgreSQL's address, of which there may be several, with its port."""

_REDIS_OPTIONS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
"""None that would weaken TLS, take away a time limit, or put a password where nothing masks it."""


def _database(value: str) -> str:
    name = value.removeprefix(SQLITE)
    if name in {"", ":memory:"}:
        raise ValueError("a database in memory loses every conversation: use sqlite:///file, or memory: for tests")
    if name != value and "?" in name:
        raise ValueError("sqlite:///file takes no parameters")
    if value.startswith(POSTGRES) and "service" in parse_qs(value.partition("?")[2]):
        raise ValueError("a service would hide where the database is, and its TLS; write both into the address")
    if name == value and value != MEMORY and not (value.startswith(POSTGRES) and _is_url(value)):
        raise ValueError(
            "expected sqlite:///file (relative), sqlite:////path/to/file, postgresql://user:password@host/database, "
            "or memory: for tests"
        )
    return value


def _is_url(value: str) -> bool:
    try:
        user, _, hosts = urlsplit(value).netloc.rpartition("@")
    except ValueError:
        return False
    # The driver takes the first @ for the end of the password.
    return "@" not in user and all(map(_HOST.fullmatch, hosts.split(",")))


def _redis(value: str | None) -> str | None:
    if value is None:
        return None
    expected = "expected redis://host:6379/0, or rediss://host:6379/0 for TLS; a user and password are percent-encoded"
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("redis", "rediss") and parts.hostname and parts.port != 0
        options = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError(expected) from None
    if not valid or parts.fragment or not re.fullmatch(r"/?\d{0,5}", parts.path):
        raise ValueError(expected)
    if options and (parts.scheme == "redis" or not _REDIS_OPTIONS.issuperset(options)):
        raise ValueError(f"the only options are those of rediss://: {', '.join(sorted(_REDIS_OPTIONS))}")
    return value


class StorageSettings(SettingsGroup):
    """Where conversations are kept, and what processes share."""

    database_url: Annotated[str, AfterValidator(_database)] = Field(
        default="sqlite:///orchestrator.db",
        repr=False,
        description="Where conversations are stored: `sqlite:///<path>` for one process, "
        "`postgresql://user:password@host/database` for several, `memory:` for tests.",
    )
    database_connections: Count = Field(default=10, description="Connections of each process to PostgreSQL.")
    session_retention_days: Seconds | None = Field(
        default=None,
        description="Days for which sessions that ended are kept before they are deleted; without it for ever.",
    )
    redis_url: Annotated[str | None, AfterValidator(_redis)] = Field(
        default=None,
        repr=False,
        description="Where several processes share their limits and the locks of sessions: "
        "`redis://[user:password@]host[:port][/database]`, with TLS `rediss://`.",
    )
    expected_processes: Count = Field(
        default=4,
        description="Processes that share a Redis, on all machines together. While it is away, each admits its part "
        "of every limit of requests.",
    )
