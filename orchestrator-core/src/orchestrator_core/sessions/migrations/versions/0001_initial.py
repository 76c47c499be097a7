"""The first schema.

Times are microseconds since the epoch, UTC. Every key begins with the tenant.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_USAGE = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)


def upgrade() -> None:
    """Make everything."""
    op.create_table(
        "tenants",
        sa.Column("tenant", sa.Text(), primary_key=True),
        sa.Column("total_created", sa.BigInteger(), nullable=False),
        sa.Column("total_duration", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    _sessions()
    _turns()
    _messages()
    _summaries()
    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.Text(), primary_key=True),
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), comment="NULL while the request is under way"),
        sa.Column("content_type", sa.Text()),
        sa.Column("body", sa.LargeBinary()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("idempotency_created", "idempotency", ["tenant", "created_at"])


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("tenant", sa.Text(), primary_key=True),
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("user_id", sa.Text()),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_turn_at", sa.BigInteger()),
        sa.Column("active_at", sa.BigInteger(), nullable=False, comment="The later of the two above"),
        sa.Column("closed_at", sa.BigInteger()),
        sa.Column("message_count", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("last_sequence", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("unsummarized", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("last_turn_id", sa.Text()),
        sa.Column("summary_id", sa.Text()),
        sa.Column("seen_summary_id", sa.Text(), comment="With which the last complete answer was made"),
        sa.Column("last_summary_at", sa.BigInteger()),
        sa.Column("providers", sa.Text(), nullable=False, server_default="[]"),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("total_cost", sa.Double()),
        sa.Column("answered_turns", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("answer_time", sa.Double(), nullable=False, server_default=sa.text("0"), comment="Seconds"),
        sqlite_with_rowid=False,
    )
    op.create_index("sessions_created", "sessions", ["tenant", "created_at", "id"])
    op.create_index("sessions_user", "sessions", ["tenant", "user_id", "created_at", "id"])
    op.create_index(
        "sessions_active",
        "sessions",
        ["tenant", "active_at"],
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )


def _turns() -> None:
    op.create_table(
        "turns",
        sa.Column("tenant", sa.Text(), primary_key=True),
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("summary_id", sa.Text(), comment="The newest summary that its answer was made with"),
        sa.Column("first_with_summary", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("first_sequence", sa.Integer(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False, comment="Without the answer"),
        sa.Column("user_messages", sa.Integer(), nullable=False),
        sa.Column("answer_sequence", sa.Integer()),
        sa.Column("provider", sa.Text()),
        sa.Column("model", sa.Text()),
        sa.Column("finish_reason", sa.Text()),
        *(sa.Column(name, sa.BigInteger()) for name in _USAGE),
        sa.Column("cost", sa.Double(), comment="USD"),
        sa.Column("price_version", sa.Text()),
        sa.Column("attempts", sa.Text(), nullable=False, server_default="[]"),
        sa.Column("adjustments", sa.Text(), nullable=False, server_default="[]"),
        sa.Column("error_code", sa.Text()),
        sa.Column("duration", sa.Double(), nullable=False, server_default=sa.text("0"), comment="Seconds"),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger()),
        _of_session(),
        sa.CheckConstraint(
            "state IN ('pending', 'complete', 'interrupted', 'failed', 'client_closed')", name="turns_state"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("turns_session", "turns", ["tenant", "session_id"])
    for name, columns, where in (
        ("turns_pending", ["tenant", "session_id"], "state = 'pending'"),
        ("turns_key", ["tenant", "idempotency_key"], "idempotency_key IS NOT NULL"),
    ):
        op.create_index(
            name, "turns", columns, unique=True, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("tenant", sa.Text(), primary_key=True),
        sa.Column("session_id", sa.Text(), primary_key=True),
        sa.Column("sequence", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("turn_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("parts", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        _of_session(),
    )


def _summaries() -> None:
    op.create_table(
        "summaries",
        sa.Column("tenant", sa.Text(), primary_key=True),
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("from_sequence", sa.Integer(), nullable=False),
        sa.Column("upto_sequence", sa.Integer(), nullable=False),
        sa.Column("replaces", sa.Text()),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text()),
        sa.Column("model", sa.Text()),
        *(sa.Column(name, sa.BigInteger()) for name in _USAGE),
        sa.Column("cost", sa.Double(), comment="USD"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        _of_session(),
    )
    op.create_index("summaries_session", "summaries", ["tenant", "session_id"])


def _of_session() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["tenant", "session_id"], ["sessions.tenant", "sessions.id"], ondelete="CASCADE")


def downgrade() -> None:
    """Remove everything, with all data."""
    for table in ("idempotency", "summaries", "messages", "turns", "sessions", "tenants"):
        op.drop_table(table)
