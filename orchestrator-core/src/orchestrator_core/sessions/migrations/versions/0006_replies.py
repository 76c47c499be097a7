"""Headers of replies that are given again, and what turns with a key were asked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add to what is there."""
    op.add_column("idempotency", sa.Column("headers", sa.Text(), comment="The gateway's own facts, as JSON"))
    op.add_column("turns", sa.Column("fingerprint", sa.Text(), comment="A digest of the request that has the key"))


def downgrade() -> None:
    """Go back; what is added is lost."""
    op.drop_column("turns", "fingerprint")
    op.drop_column("idempotency", "headers")
