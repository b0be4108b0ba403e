"""Playbook runs and journal and answers and deliveries."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
_JSON = postgresql.JSONB(astext_type=sa.Text())


def upgrade() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("schedule", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("detach", sa.Boolean(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_delivery_run"), "delivery", ["run"], unique=False)
    op.create_table(
        "device_fence",
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("epoch", sa.String(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device"),
    )
    op.create_table(
        "journal",
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run", "path", "attempt", "phase"),
    )
    op.create_table(
        "notification",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("to", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("message", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "playbook_version",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("playbook", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("semantics", sa.Integer(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index(
        op.f("ix_playbook_version_playbook"), "playbook_version", ["playbook"], unique=False
    )
    op.create_table(
        "run",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("playbook", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("alarm", sa.String(), nullable=True),
        sa.Column("occurrence", sa.String(), nullable=True),
        sa.Column("context", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("deadline_at", sa.BigInteger(), nullable=False),
        sa.Column("wake_at", sa.BigInteger(), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("asks", _JSON, nullable=False, server_default="[]"),
        sa.Column("control", _JSON, nullable=False, server_default="{}"),
        sa.Column("watch", _JSON, nullable=False, server_default="[]"),
        sa.Column("priority", sa.Integer(), nullable=False, server_default="3"),
        sa.Column("slot", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("news", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "run_due",
        "run",
        ["wake_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('running', 'waiting')"),
    )
    op.create_index(
        "run_of_key", "run", ["playbook", "key"], postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_index(
        "run_ended", "run", ["ended_at"], postgresql_where=sa.text("ended_at IS NOT NULL")
    )
    op.create_index("notification_run", "notification", ["run"])
    op.create_table(
        "signal",
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run", "path"),
    )
    op.create_index(
        "run_held", "run", ["owner"], unique=False, postgresql_where=sa.text("owner IS NOT NULL")
    )
    op.create_index(
        "run_watching", "run", ["id"], unique=False,
        postgresql_where=sa.text("watch <> '[]'::jsonb AND status IN ('running', 'waiting')"),
    )  # fmt: skip
    op.create_index(
        "delivery_due", "delivery", ["due"], unique=False,
        postgresql_where=sa.text("status = 'due'"),
    )  # fmt: skip
    op.create_table(
        "vote",
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.Column("comment", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run", "path", "who"),
    )
    op.create_table(
        "incident_word",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("playbook", sa.String(), nullable=False),
        sa.Column("occurrence", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("data", _JSON, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "emitted",
        sa.Column("n", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("data", _JSON, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("xid", sa.BigInteger(), nullable=False,
                  server_default=sa.text("((pg_current_xact_id())::text)::bigint")),
        sa.PrimaryKeyConstraint("n"),
        sa.UniqueConstraint("id", name="emitted_once"),
    )  # fmt: skip
    op.create_index("emitted_at", "emitted", ["at"], unique=False)
    op.create_table(
        "endpoint_off",
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint"),
    )


def downgrade() -> None:
    for table in ("endpoint_off", "emitted", "incident_word", "vote"):
        op.drop_table(table)
    op.drop_index("delivery_due", table_name="delivery", postgresql_where=sa.text("status = 'due'"))
    op.drop_table("signal")
    op.drop_index("run_of_key", table_name="run", postgresql_where=sa.text("ended_at IS NULL"))
    op.drop_index(
        "run_due", table_name="run", postgresql_where=sa.text("status IN ('running', 'waiting')")
    )
    op.drop_table("run")
    op.drop_index(op.f("ix_playbook_version_playbook"), table_name="playbook_version")
    op.drop_table("playbook_version")
    op.drop_table("notification")
    op.drop_table("journal")
    op.drop_table("device_fence")
    op.drop_index(op.f("ix_delivery_run"), table_name="delivery")
    op.drop_table("delivery")
