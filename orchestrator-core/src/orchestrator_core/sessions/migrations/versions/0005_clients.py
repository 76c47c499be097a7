"""The keys of the clients, and an index for the usage of all tenants.

Times are microseconds since the epoch, UTC.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add to what is there."""
    op.create_table(
        "clients",
        sa.Column("id", sa.Text(), primary_key=True, comment="The public part of the key"),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of the key"),
        sa.Column("previous_digest", sa.Text(), comment="That of the key before the last rotation"),
        sa.Column("previous_until", sa.BigInteger()),
        sa.Column("providers", sa.Text(), comment="JSON"),
        sa.Column("models", sa.Text(), comment="JSON"),
        sa.Column("requests_per_minute", sa.BigInteger()),
        sa.Column("session_requests_per_minute", sa.BigInteger()),
        sa.Column("budget_usd", sa.Double()),
        sa.Column("budget_tokens", sa.BigInteger()),
        sa.Column("budget_period", sa.Text()),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.Column("revision", sa.BigInteger(), nullable=False),
    )
    valid = sa.text("revoked_at IS NULL")
    op.create_index("clients_revision", "clients", ["revision"], unique=True)
    op.create_index("clients_age", "clients", ["created_at", "id"])
    op.create_index("clients_valid", "clients", ["created_at", "id"], sqlite_where=valid, postgresql_where=valid)
    op.create_index("clients_name", "clients", ["name"], unique=True, sqlite_where=valid, postgresql_where=valid)
    op.create_index("usage_day", "usage", ["day"])


def downgrade() -> None:
    """Go back; the keys are lost."""
    op.drop_index("usage_day", "usage")
    op.drop_table("clients")
