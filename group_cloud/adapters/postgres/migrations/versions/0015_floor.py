"""The floor under which verdicts are too old to be learnt."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE nuisance_model ADD COLUMN floor bigint NOT NULL DEFAULT 0")


def downgrade() -> None:
    op.execute("ALTER TABLE nuisance_model DROP COLUMN floor")
