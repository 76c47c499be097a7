"""Counts what a request asks of PostgreSQL and Redis, which is the same on any machine. It judges nothing.

    PYTHONPATH=tests python -m benchmarks.gateway.operations [--clients 1 16 64]

See docs/explanation/scaling.md.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import asyncpg

from benchmarks.gateway import load, subjects
from benchmarks.gateway.comparisons import CLIENTS, SERVER
from benchmarks.gateway.scenarios import chat, turn
from benchmarks.gateway.subjects import Subject
from databases import postgres_server
from redis_server import RedisServer

REQUESTS = 640
REPORTED_WITHIN = 11.0
"""Seconds after which an idle connection of PostgreSQL has reported all that it did."""

_DATABASE = "SELECT xact_commit, xact_rollback, tup_inserted, tup_updated FROM pg_stat_database WHERE datname = $1"
_WAL = "SELECT wal_records, wal_bytes FROM pg_stat_wal"
_SYNCS = (
    "SELECT sum(writes)::bigint AS wal_writes, sum(fsyncs)::bigint AS wal_syncs FROM pg_stat_io WHERE object = 'wal'"
)

Counts = Mapping[str, float]


async def counted(url: str, redis: RedisServer, log: Path) -> Counts:
    """Return everything that was counted so far."""
    await asyncio.sleep(REPORTED_WITHIN)
    connection = await asyncpg.connect(url)
    try:
        database = await connection.fetchval("SELECT current_database()")
        found: dict[str, float] = {}
        for sql, given in ((_DATABASE, [database]), (_WAL, []), (_SYNCS, [])):
            row = await connection.fetchrow(sql, *given)
            assert row is not None
            found.update({name: float(value) for name, value in row.items()})
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
    finally:
        await connection.close()
    statements = sum(1 for line in log.read_bytes().splitlines() if b" execute " in line or b" statement: " in line)
    client = redis.client()
    commands = {
        name.removeprefix("cmdstat_"): float(each["calls"]) for name, each in client.info("commandstats").items()
    }
    traffic, computed = client.info("stats"), client.info("cpu")
    client.close()
    return {
        "statements": statements,
        "transactions": found["xact_commit"] + found["xact_rollback"],
        "rows inserted": found["tup_inserted"],
        "rows updated": found["tup_updated"],
        "WAL records": found["wal_records"],
        "WAL bytes": found["wal_bytes"],
        "WAL writes": found["wal_writes"],
        "WAL syncs": found["wal_syncs"],
        "bytes of the database": float(size),
        **{f"Redis {name}": calls for name, calls in commands.items()},
        "Redis CPU µs": (computed["used_cpu_user"] + computed["used_cpu_sys"]) * 1e6,
        "Redis bytes in": float(traffic["total_net_input_bytes"]),
        "Redis bytes out": float(traffic["total_net_output_bytes"]),
    }


async def measure(subject: Subject, url: str, redis: RedisServer, log: Path, clients: Sequence[int]) -> None:
    """Print what each load takes, per request."""
    columns: dict[str, Counts] = {}
    loads = [("chat", count, chat) for count in clients] + [("turn", count, partial(turn, count)) for count in clients]
    for name, count, make in loads:
        requests = make(subject, "")
        await load.run(subject.port, requests, count, 60, most=2)  # connections are opened
        before = await counted(url, redis, log)
        outcome = await load.run(subject.port, requests, count, 600, most=REQUESTS // count)
        after = await counted(url, redis, log)
        answers = len(outcome.latencies)
        columns[f"{name}, {count} clients"] = {each: (after[each] - before.get(each, 0)) / answers for each in after}
    sys.stdout.write(f"| For each | {' | '.join(columns)} |\n{'|---' * (len(columns) + 1)}|\n")
    for each in sorted({name for found in columns.values() for name in found}):
        values = [found.get(each, 0.0) for found in columns.values()]
        if any(value >= 0.01 for value in values):
            sys.stdout.write(f"| {each} | {' | '.join(f'{value:,.2f}' for value in values)} |\n")


async def _logged(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER SYSTEM SET log_statement = 'all'")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()


def main() -> None:
    """Count, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        vendor = stack.enter_context(subjects.upstream(folder, CLIENTS))
        server = stack.enter_context(postgres_server())
        url = asyncio.run(server.migrated())
        asyncio.run(_logged(url))
        redis = RedisServer(folder / "redis.log")
        stack.callback(redis.kill)
        environ = {"ORCHESTRATOR_DATABASE_URL": url, "ORCHESTRATOR_REDIS_URL": redis.url}
        subject = stack.enter_context(subjects.gateway("gateway", folder / "gateway", vendor, SERVER, environ))
        asyncio.run(measure(subject, url, redis, server.log, arguments.clients))


if __name__ == "__main__":
    main()
