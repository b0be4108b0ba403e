"""Likeness: what the group says a flood resembles."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE TABLE flood_likeness (incident varchar PRIMARY KEY, number bigint NOT NULL, "
        "expires_at bigint NOT NULL, received_at bigint NOT NULL, body bytea NOT NULL)"
    )
    op.execute("CREATE INDEX flood_likeness_expires ON flood_likeness (expires_at)")


def downgrade() -> None:
    op.execute("DROP TABLE flood_likeness")
