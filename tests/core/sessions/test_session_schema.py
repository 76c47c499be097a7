from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory

from orchestrator_core.config import ConfigError, Settings, extras
from orchestrator_core.provider_api import SessionBusy, StorageError
from orchestrator_core.sessions import open_store, schema
from orchestrator_core.sessions.conversations import Conversations
from orchestrator_core.sessions.databases.memory import MemoryDatabase
from orchestrator_core.sessions.databases.postgres import PostgresDatabase
from orchestrator_core.sessions.databases.sqlite import SqliteDatabase
from orchestrator_core.sessions.jobs import client_statements, copy_statements, statements
from orchestrator_core.sessions.jobs.finding import Kind, count_few, find_sessions, walk_of
from orchestrator_core.sessions.jobs.usage import read_usage
from orchestrator_core.sessions.migrate import configuration
from stores import MAX_IDLE, Clock, ask, copy_to, plain_store

SQL = {
    name: text
    for module in (statements, copy_statements, client_statements)
    for name, text in vars(module).items()
    if name.isupper() and not name.startswith("_") and name not in ("SESSION", "LOCK_CLIENTS")
}
ALL_TENANTS = {
    "INTERRUPT_TURNS",
    "FREE_CLAIMS",
    "FORGET_CLAIMS",
    "FORGET_HIDDEN_SESSIONS",
    "ADD_PROCESS",
    "BEAT",
    "LIST_PROCESSES",
    "DELETE_PROCESS",
    "DELETE_SILENT_PROCESSES",
    "DELETE_OTHER_PROCESSES",
    "TAKE_LEASE",
    "END_LEASE",
    "LEAVE_FINDING",
    "GET_FINDING",
    "LIST_TENANTS",
    *(name for name in vars(client_statements) if name.isupper()),
}
"""What puts processes in order, and what one of them does for all; and the keys of clients, which name a tenant."""

FEW = re.compile(
    r"SCAN (processes|me|tenants)( USING .*)?|SCAN (turns|idempotency|sessions) USING INDEX \w+_process"
    r"|SCAN clients USING (COVERING )?INDEX \w+"
)
"""There are as many rows as processes that serve, as tenants, as clients, and as requests under way."""


WHOLE_TENANT = {"GET_TENANT"}
"""What adds up the few rows that a tenant has in its table; anything else would read all that a tenant has."""


@pytest.fixture
def behind(path: Path) -> Path:
    """A file of the first schema."""
    command.upgrade(configuration(f"sqlite:///{path}"), schema.REVISIONS[0])
    return path


def layout(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}


def test_the_known_revisions_are_those_of_alembic() -> None:
    scripts = ScriptDirectory.from_config(configuration("sqlite://"))
    assert scripts.get_heads() == [schema.HEAD]
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == schema.REVISIONS


async def test_a_new_file_is_given_what_the_migrations_would_make(path: Path) -> None:
    migrated = path.with_name("migrated.db")
    command.upgrade(configuration(f"sqlite:///{migrated}"), "head")
    await schema.prepare(path)
    written, made = ({" ".join(sql.split()) for sql in layout(each)} for each in (path, migrated))
    assert written == made, "after a new migration run `python scripts/newest_schema.py`"
    assert schema.current_revision(path) == schema.HEAD


def test_migrations_go_up_down_and_up_again(path: Path) -> None:
    config = configuration(f"sqlite:///{path}")
    command.upgrade(config, "head")
    first = layout(path)
    command.downgrade(config, "base")
    assert all("alembic_version" in sql for sql in layout(path))
    command.upgrade(config, "head")
    assert layout(path) == first


def test_a_migration_that_fails_leaves_nothing(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE messages (x)")
    with pytest.raises(Exception, match="messages"):
        command.upgrade(configuration(f"sqlite:///{path}"), "head")
    assert layout(path) == {"CREATE TABLE messages (x)"}


@pytest.mark.parametrize("name", SQL)
def test_every_statement_fits_the_schema_and_uses_an_index(path: Path, name: str) -> None:
    copy_to(path)
    with closing(sqlite3.connect(path)) as connection:
        sql = SQL[name]
        numbers = [int(number) for number in re.findall(r"\?(\d+)", sql)]
        count = max(numbers, default=sql.count("?"))
        connection.create_function("now_micros", 0, lambda: 0)
        sql = sql.replace("FOR UPDATE", "")
        if name.startswith("IMPORT_") or name == "INSERT_LABELS":  # as many rows as there are
            count = sql.partition("(")[2].count(",") + 1
            sql += f"VALUES ({', '.join('?' * count)})"
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", (None,) * count)]
    scans = [step for step in plan if step.startswith("SCAN") or "TEMP B-TREE" in step]
    assert not [step for step in scans if not (name in ALL_TENANTS and FEW.fullmatch(step))]
    assert name in WHOLE_TENANT or not [step for step in plan if "(tenant=?)" in step]
    assert name in ALL_TENANTS or "tenant" in sql


def test_active_sessions_are_counted_in_an_index_alone(path: Path) -> None:
    copy_to(path)
    with closing(sqlite3.connect(path)) as connection:
        ((*_, step),) = connection.execute(f"EXPLAIN QUERY PLAN {statements.COUNT_ACTIVE}", (None, None))
    assert step.startswith("SEARCH sessions USING COVERING INDEX sessions_active")


WALKS = {
    "newest": r"SEARCH s USING INDEX sessions_created \(tenant=\?( AND \(created_at,id\)<\(\?,\?\))?\)",
    "closed": r"SEARCH s USING INDEX sessions_closed_newest \(tenant=\?( AND \(created_at,id\)<\(\?,\?\))?\)",
    "user": r"SEARCH s USING INDEX sessions_user \(tenant=\? AND user_id=\?( AND \(created_at,id\)<\(\?,\?\))?\)",
    "label": r"SEARCH l USING PRIMARY KEY "
    r"\(tenant=\? AND name=\? AND value=\?( AND \(created_at,session_id\)<\(\?,\?\))?\)",
}
TERMS: Mapping[Kind, str] = {
    "user": r"INDEX sessions_user \(tenant=\? AND user_id=\?\)",
    "label": r"PRIMARY KEY \(tenant=\? AND name=\? AND value=\?\)",
    "active": r"INDEX sessions_active \(tenant=\? AND active_at>\?\)",
    "expired": r"INDEX sessions_active \(tenant=\? AND active_at<\?\)",
    "closed": r"INDEX sessions_closed_newest \(tenant=\?\)",
}
WAYS = [
    {"labels": labels, "user": user, "status": status, "inactive": inactive, "after": after}
    for labels, user, status, inactive, after in product(
        (0, 1, 2), (False, True), (None, "active", "expired", "closed"), (False, True), (False, True)
    )
]


def planned(connection: sqlite3.Connection, sql: str) -> list[str]:
    assert "tenant = ?" in sql
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", (None,) * sql.count("?"))]


def test_every_way_to_find_sessions_walks_an_index_in_order_by_all_that_it_holds(path: Path) -> None:
    copy_to(path)
    with closing(sqlite3.connect(path)) as connection:
        for way in WAYS:
            kinds: list[Kind] = ["user"] if way["user"] else []
            kinds += ["label"] if way["labels"] else []
            kinds += [way["status"]] if way["status"] else []
            walked = walk_of(kinds)
            sql = find_sessions(walked=walked, few=None, **way)
            plan = planned(connection, sql)
            assert not [step for step in plan if step.startswith("SCAN") or "TEMP B-TREE" in step], sql
            match = re.fullmatch(WALKS[walked], plan[0])
            assert match is not None, (plan[0], sql)
            assert bool(match[1]) == way["after"], (plan[0], sql)


def test_what_few_sessions_have_is_found_by_it(path: Path) -> None:
    copy_to(path)
    with closing(sqlite3.connect(path)) as connection:
        for kind, index in TERMS.items():
            (count,) = [step for step in planned(connection, count_few(kind)) if "SEARCH" in step]
            assert re.fullmatch(f"SEARCH [sl] USING (COVERING )?{index}", count)
            for way in WAYS:
                plan = planned(connection, find_sessions(walked="few", few=kind, **way))
                searches = [step for step in plan if step.startswith("SEARCH")]
                assert re.fullmatch(f"SEARCH [sl] USING (COVERING )?{index}", searches[0]), plan
                assert searches[1].startswith("SEARCH s USING"), plan
                assert "(tenant=? AND id=?)" in searches[1], plan


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("given", [(), ("user_id",), ("client",), ("provider", "model")])
def test_totals_of_usage_are_read_by_an_index(path: Path, given: tuple[str, ...], own: bool) -> None:
    copy_to(path)
    with closing(sqlite3.connect(path)) as connection:
        sql = read_usage(("provider", "day"), given, own=own, since=True, until=True)
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", (None,) * sql.count("?"))]
    assert plan[0].startswith("SEARCH usage USING")


@pytest.mark.parametrize("revision", [None, *schema.REVISIONS])
async def test_a_file_is_made_or_brought_up_to_date(path: Path, revision: str | None) -> None:
    if revision is not None:
        command.upgrade(configuration(f"sqlite:///{path}"), revision)
    store = plain_store(path, max_idle=MAX_IDLE)
    await store.open()
    await store.create_session("t")
    await store.close()
    assert schema.current_revision(path) == schema.HEAD


@pytest.mark.parametrize("seconds", [60, 7200])
async def test_a_turn_is_abandoned_once_no_request_can_be_under_way_any_more(seconds: float) -> None:
    store = open_store(Settings(database_url="memory:", total_timeout=seconds))
    assert isinstance(store, Conversations)
    store._clock = clock = Clock()
    await store.open()
    session = (await ask(store, "one")).session.id
    clock.advance(timedelta(seconds=seconds))
    with pytest.raises(SessionBusy):
        await ask(store, "two", session)
    clock.advance(timedelta(minutes=3))
    await ask(store, "two", session)
    await store.close()


async def test_an_unknown_revision_asks_for_an_upgrade(path: Path) -> None:
    copy_to(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StorageError, match="Upgrade the gateway"):
        await schema.prepare(path)


async def test_a_file_of_another_program_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StorageError, match="another program"):
        await schema.prepare(path)
    assert layout(path) == {"CREATE TABLE theirs (x)"}


async def test_a_path_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere" / "x.db", tmp_path):
        with pytest.raises(StorageError):
            await plain_store(path, max_idle=MAX_IDLE, busy_timeout=0.1).open()


async def test_a_failed_migration_is_told(behind: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StorageError, match="could not be migrated"):
        await schema.prepare(behind)


async def test_a_migration_has_a_deadline(behind: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "MIGRATE_WITHIN", 0.01)
    with pytest.raises(StorageError, match=r"is as it was\. Run `orchestrator db upgrade`"):
        await schema.prepare(behind)


async def test_an_upgrade_that_was_asked_for_has_none(behind: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "MIGRATE_WITHIN", 0.01)
    await schema.upgrade_to_head(f"sqlite:///{behind}")

    assert schema.current_revision(behind) == schema.HEAD


def test_the_settings_name_each_database(path: Path) -> None:
    made = {
        url: type(open_store(Settings(database_url=url)).database)  # type: ignore[attr-defined] - every store has one
        for url in (f"sqlite:///{path}", "memory:", "postgresql://u@h/db", "postgres://u@h/db")
    }
    assert list(made.values()) == [SqliteDatabase, MemoryDatabase, PostgresDatabase, PostgresDatabase]


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"orchestrator-core\[postgresql\]") as caught:
        open_store(Settings(database_url="postgresql://u:hunter2@h/db"))
    assert "hunter2" not in str(caught.value)


def test_serving_imports_neither_sqlalchemy_nor_alembic() -> None:
    program = (
        "import sys, orchestrator_core.sessions.databases.sqlite, orchestrator_core.sessions.conversations; "
        "print({'sqlalchemy', 'alembic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


async def test_a_migration_that_a_signal_ended_names_it(behind: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying = behind.with_name("dying")
    dying.write_text("#!/bin/sh\nkill -TERM $$\n")
    dying.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(dying))
    with pytest.raises(StorageError, match="ended by SIGTERM"):
        await schema.prepare(behind)


async def test_a_migration_is_out_of_reach_of_the_groups_signals_and_ends_with_its_parent(
    behind: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = behind.with_name("seen")
    slow = behind.with_name("slow")
    slow.write_text(f"#!/bin/sh\necho $$ > {seen}.new && mv {seen}.new {seen}\nexec sleep 60\n")
    slow.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(slow))
    preparing = asyncio.create_task(schema.prepare(behind))
    async with asyncio.timeout(5):
        while not seen.exists():
            await asyncio.sleep(0.01)
    child = int(seen.read_text())
    assert os.getpgid(child) == child != os.getpgid(0)
    preparing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await preparing
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
