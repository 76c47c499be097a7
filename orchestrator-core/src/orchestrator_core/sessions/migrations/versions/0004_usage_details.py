"""What of a usage has a price of its own, so that a bill can be computed again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = ("turns", "summaries")


def upgrade() -> None:
    """Add to what is there; of older usage the details are not known."""
    for table in _TABLES:
        op.add_column(table, sa.Column("usage_details", sa.Text(), comment="Audio, long caches, searches, as JSON"))


def downgrade() -> None:
    """Go back; the details are lost."""
    for table in _TABLES:
        op.drop_column(table, "usage_details")
