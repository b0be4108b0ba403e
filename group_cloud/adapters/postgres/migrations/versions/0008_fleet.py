"""The fleet: what each factory's brain and edges last said of themselves."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE TABLE fleet_report (site varchar PRIMARY KEY, at bigint NOT NULL, "
        "received_at bigint NOT NULL, body jsonb NOT NULL)"
    )


def downgrade() -> None:
    op.execute("DROP TABLE fleet_report")
