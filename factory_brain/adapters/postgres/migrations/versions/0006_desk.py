"""The alarm desk: comments, attachments, permits, hand-over."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attachment",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("occurrence", sa.String(), nullable=True),
        sa.Column("incident", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("deleted_by", sa.String(), nullable=True),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("attachment_occurrence", "attachment", ["occurrence"], unique=False)
    op.create_index("attachment_incident", "attachment", ["incident"], unique=False)
    json = postgresql.JSONB(astext_type=sa.Text())
    op.create_table(
        "handover",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("shift", json, nullable=False),
        sa.Column("next_shift", json, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("counts", json, nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=True),
        sa.Column("signed_by", sa.String(), nullable=True),
        sa.Column("sign_note", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("handover_created", "handover", ["created_at"], unique=False)
    # What was said about an alarm, and what still waits for its edge.
    op.create_index("fact_alarm", "fact", ["alarm", "action"], unique=False)


def downgrade() -> None:
    op.drop_index("fact_alarm", table_name="fact")
    op.drop_index("handover_created", table_name="handover")
    op.drop_table("handover")
    op.drop_index("attachment_incident", table_name="attachment")
    op.drop_index("attachment_occurrence", table_name="attachment")
    op.drop_table("attachment")
