"""Messages of the group to this factory's desk."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE TABLE group_message (id varchar PRIMARY KEY, text varchar NOT NULL, "
        "priority integer NOT NULL, author varchar NOT NULL, at bigint NOT NULL, "
        "expires_at bigint NOT NULL, received_at bigint NOT NULL, acked_at bigint, "
        "acked_by varchar NOT NULL, reply varchar NOT NULL)"
    )
    op.execute("CREATE INDEX group_message_at ON group_message (at, id)")


def downgrade() -> None:
    op.execute("DROP TABLE group_message")
