from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from orchestrator_core.config import load
from orchestrator_core.security.startup import transport
from orchestrator_core.security.startup.runtime import Runtime
from orchestrator_core.security.startup.subject import Subject


def found(check: Callable[[Subject], Iterable[str]], folder: Path, **environ: str) -> int:
    return len(list(check(Subject(load(environ, folder), runtime=Runtime(environ=environ)))))


@pytest.mark.parametrize(
    ("url", "plain", "unverified"),
    [
        ("postgresql://u:p@db.example.com/d", 0, 1),
        ("postgresql://u:p@db.example.com/d?sslmode=require", 0, 1),
        ("postgresql://u:p@db.example.com/d?sslmode=verify-ca", 0, 0),
        ("postgresql://u:p@db.example.com:5432/d?sslmode=verify-full", 0, 0),
        ("postgresql://u:p@db.example.com/d?sslmode=disable", 1, 0),
        ("postgres://u:p@127.0.0.1,db.example.com:5433/d?sslmode=disable", 1, 0),
        ("postgresql://u:p@127.0.0.1:5432,localhost:5433/d?sslmode=disable", 0, 0),
        ("postgresql://u:p@[::1]:5432/d?sslmode=disable", 0, 0),
        ("postgresql://u:p@[2001:db8::1]:5432/d?sslmode=disable", 1, 0),
        ("postgresql://u:p@[2001:db8::1]/d?sslmode=disable", 1, 0),
        ("postgresql://u:p@%2Frun%2Fpostgresql/d?sslmode=disable", 0, 0),
        ("postgresql:///d?host=/run/postgresql", 0, 0),
        ("postgresql:///d?host=db.example.com&sslmode=disable", 1, 0),
        ("sqlite:///orchestrator.db", 0, 0),
    ],
)
def test_the_way_to_the_database(tmp_path: Path, url: str, plain: int, unverified: int) -> None:
    assert found(transport.plain_database, tmp_path, ORCHESTRATOR_DATABASE_URL=url) == plain
    assert found(transport.unverified_database, tmp_path, ORCHESTRATOR_DATABASE_URL=url) == unverified


def test_the_url_counts_before_the_variable_of_the_driver(tmp_path: Path) -> None:
    url = "postgresql://u:p@db.example.com/d"
    stated = {"ORCHESTRATOR_DATABASE_URL": f"{url}?sslmode=verify-full", "PGSSLMODE": "disable"}
    assert found(transport.plain_database, tmp_path, **stated) == 0
    assert found(transport.plain_database, tmp_path, ORCHESTRATOR_DATABASE_URL=url, PGSSLMODE="disable") == 1
    assert found(transport.unverified_database, tmp_path, ORCHESTRATOR_DATABASE_URL=url, PGSSLMODE="verify-full") == 0


@pytest.mark.parametrize(
    ("url", "hosts", "plain"),
    [
        ("postgresql:///d?sslmode=disable", "db.example.com", 1),
        ("postgresql://u:p@/d?sslmode=disable", "db.example.com", 1),
        ("postgresql:///d?host=&sslmode=disable", "db.example.com", 1),
        ("postgresql:///d?sslmode=disable", "/run/postgresql,db.example.com:5433", 1),
        ("postgresql:///d?sslmode=disable", "[2001:db8::1]:5433", 1),
        ("postgresql:///d?sslmode=disable", "127.0.0.1:5433,[::1],/run/postgresql", 0),
        ("postgresql:///d?sslmode=disable", "", 0),
        ("postgresql://127.0.0.1/d?sslmode=disable", "db.example.com", 0),
        ("postgresql:///d?host=/run/postgresql&sslmode=disable", "db.example.com", 0),
        ("postgresql:///d?host=127.0.0.1:5433,[::1]:5433&sslmode=disable", "db.example.com", 0),
    ],
)
def test_the_variable_of_the_driver_names_the_host_where_the_url_has_none(
    tmp_path: Path, url: str, hosts: str, plain: int
) -> None:
    assert found(transport.plain_database, tmp_path, ORCHESTRATOR_DATABASE_URL=url, PGHOST=hosts) == plain
    unstated = url.replace("sslmode=disable", "")
    assert found(transport.unverified_database, tmp_path, ORCHESTRATOR_DATABASE_URL=unstated, PGHOST=hosts) == plain


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://redis.example.com:6379/0", 1),
        ("redis://u:p@redis.example.com:6379/0", 1),
        ("rediss://u:p@redis.example.com:6379/0", 0),
        ("redis://127.0.0.1:6379/0", 0),
        ("redis://[::1]:6379/0", 0),
        ("redis://localhost", 0),
    ],
)
def test_the_way_to_redis(tmp_path: Path, url: str, expected: int) -> None:
    assert found(transport.plain_redis, tmp_path, ORCHESTRATOR_REDIS_URL=url) == expected
