"""The group's journal by occurrence: it folds the same operator state as the factory."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("group_event_occurrence", "group_event", ["site", "occurrence"], unique=False)


def downgrade() -> None:
    op.drop_index("group_event_occurrence", table_name="group_event")
