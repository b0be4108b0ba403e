"""Settings that people try over a factory's history before they propose any."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE TABLE setting_try (id varchar PRIMARY KEY, site varchar NOT NULL, "
        "edge varchar NOT NULL, alarm varchar NOT NULL, current jsonb NOT NULL, "
        "proposed jsonb NOT NULL, digest varchar NOT NULL, asked_by varchar NOT NULL, "
        "asked_at bigint NOT NULL, answered_at bigint, body jsonb)"
    )
    op.execute("CREATE INDEX setting_try_asked ON setting_try (asked_at)")


def downgrade() -> None:
    op.execute("DROP TABLE setting_try")
