"""No index of messages by their turns: nobody looks for them so, and every message was written to it."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take away what is not used."""
    op.drop_index("messages_turn", "messages")


def downgrade() -> None:
    """Go back."""
    op.create_index("messages_turn", "messages", ["tenant", "turn_id"])
