"""What starts playbooks: what has fired, what is held or gathered, how far was looked.

A key may have several runs (queued, side by side), an occurrence several of one playbook.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "trigger_fired",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("n", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("playbook", sa.String(), nullable=False),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("alarm", sa.String(), nullable=True),
        sa.Column("occurrence", sa.String(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=True),
        sa.Column("why", sa.String(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("n"),
    )
    op.create_index("trigger_fired_occurrence", "trigger_fired", ["occurrence"])
    op.create_index("trigger_fired_run", "trigger_fired", ["run", "outcome"])
    op.create_index("trigger_fired_decided", "trigger_fired", ["decided_at"])
    op.create_index(
        "trigger_fired_queued", "trigger_fired", ["playbook", "key", "n"],
        postgresql_where=sa.text("outcome = 'queued'"),
    )  # fmt: skip
    op.create_table(
        "trigger_held",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("playbook", sa.String(), nullable=False),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("occurrence", sa.String(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("firing", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_trigger_held_occurrence", "trigger_held", ["occurrence"])
    op.create_index("trigger_held_due", "trigger_held", ["due"])
    op.create_table(
        "trigger_window",
        sa.Column("playbook", sa.String(), nullable=False),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=True),
        sa.Column("firing", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("playbook", "trigger", "by"),
    )
    op.create_index(
        "trigger_window_due", "trigger_window", ["due"],
        postgresql_where=sa.text("due IS NOT NULL"),
    )  # fmt: skip
    op.create_index("trigger_window_until", "trigger_window", ["until"])
    op.create_table(
        "trigger_seen",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.Column("says", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "trigger_incident",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("trigger_incident_at", "trigger_incident", ["at"])
    op.create_index("emitted_place", "emitted", ["xid", "n"])


def downgrade() -> None:
    op.drop_index("emitted_place", table_name="emitted")
    for table in (
        "trigger_incident", "trigger_seen", "trigger_window", "trigger_held", "trigger_fired",
    ):  # fmt: skip
        op.drop_table(table)
