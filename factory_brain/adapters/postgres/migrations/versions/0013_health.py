"""The health of the system itself; what the alarm figures look for by time.

Arrivals of the last seconds and occurrences that reach into a period are found without reading a
day of the journal.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    episode = sa.Column("episode", sa.BigInteger(), server_default="0", nullable=False)
    op.add_column("system_condition", episode)
    for name in ("raised_at", "returned_at", "acked_at"):
        op.add_column("system_condition", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("system_condition", sa.Column("acked_by", sa.String(), nullable=True))
    op.execute("UPDATE system_condition SET episode = 1, raised_at = at WHERE active")
    op.execute("CREATE INDEX event_by_arrival ON event USING brin (received_at)")
    op.create_index("occurrence_returned", "occurrence", ["returned_at"], unique=False)


def downgrade() -> None:
    op.drop_index("occurrence_returned", table_name="occurrence")
    op.drop_index("event_by_arrival", table_name="event")
    for name in ("episode", "raised_at", "returned_at", "acked_at", "acked_by"):
        op.drop_column("system_condition", name)
