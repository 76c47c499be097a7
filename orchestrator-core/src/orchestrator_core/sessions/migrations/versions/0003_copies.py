"""Sessions that are there only when they are whole, replies deleted with their session, and settings of turns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add to what is there."""
    op.add_column("sessions", sa.Column("filled_by", sa.Text(), comment="The process that copies into it, to its end"))
    op.add_column("turns", sa.Column("settings", sa.Text(), comment="With what it was asked for, as JSON"))
    op.add_column("idempotency", sa.Column("session_id", sa.Text(), comment="The session that the reply tells of"))
    for name, table, columns, where in (
        ("sessions_process", "sessions", ["filled_by"], "filled_by IS NOT NULL"),
        ("sessions_closed_newest", "sessions", ["tenant", "created_at", "id"], "closed_at IS NOT NULL"),
        ("idempotency_session", "idempotency", ["tenant", "session_id"], "session_id IS NOT NULL"),
    ):
        op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
    # SQLite looks the conditions up in the rows, even that of the index itself, unless their columns are in the index.
    _active("tenant", "active_at", "closed_at", "filled_by")


def _active(*columns: str) -> None:
    op.drop_index("sessions_active", "sessions")
    where = sa.text("closed_at IS NULL")
    op.create_index("sessions_active", "sessions", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Go back; sessions that are not whole go with it."""
    op.execute("DELETE FROM sessions WHERE filled_by IS NOT NULL")
    _active("tenant", "active_at")
    for name, table in (
        ("idempotency_session", "idempotency"),
        ("sessions_closed_newest", "sessions"),
        ("sessions_process", "sessions"),
    ):
        op.drop_index(name, table)
    op.drop_column("idempotency", "session_id")
    op.drop_column("turns", "settings")
    op.drop_column("sessions", "filled_by")
