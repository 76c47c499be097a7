"""Several processes on one database, a ledger of summaries, search by metadata, and totals that no report adds up.

Times are microseconds since the epoch, UTC; days are days since the epoch, UTC.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MAX_LABEL = 256
_ROWS = 1000
_COUNTERS = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def upgrade() -> None:
    """Add to what is there; nothing that was said is touched."""
    op.add_column("sessions", sa.Column("fence", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.add_column("sessions", sa.Column("parent_id", sa.Text(), comment="The session that it was forked from"))
    op.add_column("turns", sa.Column("process_id", sa.Text(), comment="Who answers it while it is pending"))
    op.add_column("turns", sa.Column("client", sa.Text(), comment="The public id of the client's key"))
    op.add_column("summaries", sa.Column("tokens_before", sa.BigInteger()))
    op.add_column("summaries", sa.Column("tokens_after", sa.BigInteger()))
    op.add_column("idempotency", sa.Column("process_id", sa.Text(), comment="Who holds it while it has no reply"))
    for table, state in (("turns", "state = 'pending'"), ("idempotency", "status IS NULL")):
        where = sa.text(state)
        op.create_index(f"{table}_process", table, ["process_id"], sqlite_where=where, postgresql_where=where)
    op.create_index("idempotency_age", "idempotency", ["created_at"])
    closed = sa.text("closed_at IS NOT NULL")
    op.create_index(
        "sessions_closed", "sessions", ["tenant", "closed_at"], sqlite_where=closed, postgresql_where=closed
    )
    op.create_index("messages_turn", "messages", ["tenant", "turn_id"])
    op.drop_index("summaries_session", "summaries")
    op.create_index("summaries_session", "summaries", ["tenant", "session_id", "upto_sequence"])
    _processes()
    _labels()
    _usage()
    _tenants()


def _processes() -> None:
    op.create_table(
        "processes",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("since", sa.BigInteger(), nullable=False, comment="Since when it was seen without a gap"),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("process_id", sa.Text(), nullable=False),
        sa.Column("finding", sa.Text(), comment="What the holder leaves for all others"),
    )


def _labels() -> None:
    op.create_table(
        "labels",
        sa.Column("tenant", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("value", sa.Text(), primary_key=True),
        sa.Column("created_at", sa.BigInteger(), primary_key=True, autoincrement=False, comment="Of the session"),
        sa.Column("session_id", sa.Text(), primary_key=True),
        sa.ForeignKeyConstraint(["tenant", "session_id"], ["sessions.tenant", "sessions.id"], ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_index("labels_session", "labels", ["tenant", "session_id"])
    connection = op.get_bind()
    sessions = sa.text("SELECT tenant, id, created_at, metadata FROM sessions WHERE metadata <> '{}'")
    label = sa.text("INSERT INTO labels VALUES (:tenant, :name, :value, :created_at, :session_id)")
    for batch in connection.execute(sessions).partitions(_ROWS):
        found = [
            {"tenant": tenant, "name": name, "value": value, "created_at": created_at, "session_id": session_id}
            for tenant, session_id, created_at, metadata in batch
            for name, value in _plain(metadata)
        ]
        if found:
            connection.execute(label, found)


def _plain(metadata: str) -> list[tuple[str, str]]:
    pairs = []
    for name, value in json.loads(metadata).items():
        if value is None or isinstance(value, list | dict):
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        if len(name) <= _MAX_LABEL and len(text) <= _MAX_LABEL:
            pairs.append((name, text))
    return pairs


def _usage() -> None:
    key = ("user_id", "client", "provider", "model", "operation")
    op.create_table(
        "usage",
        sa.Column("tenant", sa.Text(), primary_key=True),
        sa.Column("day", sa.Integer(), primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text(), primary_key=True) for name in key),
        sa.Column("shard", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTERS),
        sa.Column("cost", sa.Double(), nullable=False, comment="USD, of the calls whose price is known"),
        sa.Column("unpriced", sa.BigInteger(), nullable=False, comment="Calls whose price is unknown"),
        sa.Column("seconds", sa.Double(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("usage_user", "usage", ["tenant", "user_id", "day"])
    op.create_index("usage_client", "usage", ["tenant", "client", "day"])
    for table, operation, at, user, seconds, condition in (
        ("turns", "'chat'", "started_at", "s.user_id", "x.duration", "x.provider IS NOT NULL"),
        ("summaries", "'summarize'", "created_at", "s.user_id", "0", "x.provider IS NOT NULL"),
    ):
        sums = ", ".join(f"coalesce(sum(x.{name}), 0)" for name in _COUNTERS)
        op.execute(
            f"""
            INSERT INTO usage
            SELECT x.tenant, x.{at} / 86400000000, coalesce({user}, ''), '', x.provider, coalesce(x.model, ''),
                   {operation}, 0, count(*), {sums}, coalesce(sum(x.cost), 0),
                   sum(CASE WHEN x.cost IS NULL THEN 1 ELSE 0 END), sum({seconds})
            FROM {table} x JOIN sessions s ON s.tenant = x.tenant AND s.id = x.session_id
            WHERE {condition}
            GROUP BY 1, 2, 3, 5, 6
            """  # noqa: S608 - names of this file
        )


def _tenants() -> None:
    op.rename_table("tenants", "tenants_before")
    op.create_table(
        "tenants",
        sa.Column("tenant", sa.Text(), primary_key=True),
        sa.Column("shard", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("total_created", sa.BigInteger(), nullable=False),
        sa.Column("total_duration", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO tenants SELECT tenant, 0, total_created, total_duration FROM tenants_before")
    op.drop_table("tenants_before")


def downgrade() -> None:
    """Go back; what only the newer schema holds is lost."""
    op.rename_table("tenants", "tenants_after")
    op.create_table(
        "tenants",
        sa.Column("tenant", sa.Text(), primary_key=True),
        sa.Column("total_created", sa.BigInteger(), nullable=False),
        sa.Column("total_duration", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO tenants SELECT tenant, sum(total_created), sum(total_duration) FROM tenants_after GROUP BY tenant"
    )
    for table in ("tenants_after", "usage", "labels", "leases", "processes"):
        op.drop_table(table)
    op.drop_index("summaries_session", "summaries")
    op.create_index("summaries_session", "summaries", ["tenant", "session_id"])
    for index, table in (
        ("messages_turn", "messages"),
        ("sessions_closed", "sessions"),
        ("idempotency_age", "idempotency"),
        ("idempotency_process", "idempotency"),
        ("turns_process", "turns"),
    ):
        op.drop_index(index, table)
    for table, columns in (
        ("idempotency", ["process_id"]),
        ("summaries", ["tokens_before", "tokens_after"]),
        ("turns", ["process_id", "client"]),
        ("sessions", ["fence", "parent_id"]),
    ):
        for column in columns:
            op.drop_column(table, column)
