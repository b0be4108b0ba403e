"""What the site's files said of an alarm when a directive tuned it; whether people rewrote that.

A tuning that the engineer has rewritten runs on no edge any more.
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE alarm_setting ADD COLUMN site jsonb, "
        "ADD COLUMN superseded boolean NOT NULL DEFAULT false"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE alarm_setting DROP COLUMN superseded, DROP COLUMN site")
