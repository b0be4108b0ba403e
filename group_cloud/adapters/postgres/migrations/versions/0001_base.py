"""Positions and accounts; factories, journal, outcomes, models, proposals, rollouts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("username", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("roles", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("username"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "directive_counter",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("edge", sa.String(), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", "edge"),
    )
    op.create_table(
        "factory",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("names", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("active", sa.Integer(), nullable=False),
        sa.Column("unacked", sa.Integer(), nullable=False),
        sa.Column("worst_priority", sa.Integer(), nullable=True),
        sa.Column("edges_online", sa.Integer(), nullable=False),
        sa.Column("edges_total", sa.Integer(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("site"),
    )
    op.create_table(
        "frame_digest",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("epoch", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", "epoch", "lane", "first"),
    )
    op.create_table(
        "gap",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("epoch", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", "epoch", "lane", "first"),
    )
    op.create_table(
        "group_event",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("epoch", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("alarm", sa.String(), nullable=True),
        sa.Column("occurrence", sa.String(), nullable=True),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("source", "epoch", "lane", "seq"),
    )
    op.create_index(
        "group_event_received",
        "group_event",
        ["received_at"],
        unique=False,
        postgresql_using="brin",
    )
    op.create_table(
        "idempotent",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("username", sa.String(), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", "username", "route"),
    )
    op.create_table(
        "model_version",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("parent", sa.Integer(), nullable=True),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("model", "version"),
    )
    op.create_table(
        "outbox",
        sa.Column("epoch", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("epoch", "lane", "seq"),
    )
    op.create_table(
        "outbox_lane",
        sa.Column("epoch", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("born", sa.BigInteger(), nullable=False),
        sa.Column("produced", sa.BigInteger(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
        sa.Column("quarantined", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("epoch", "lane"),
    )
    op.create_table(
        "outcome",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("occurrence", sa.String(), nullable=False),
        sa.Column("edge", sa.String(), nullable=False),
        sa.Column("alarm", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("trained", sa.Boolean(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("site", "occurrence"),
    )
    op.create_index(
        "outcome_point", "outcome", ["site", "edge", "alarm", "raised_at"], unique=False
    )
    op.create_index(
        "outcome_untrained",
        "outcome",
        ["site"],
        unique=False,
        postgresql_where=sa.text("NOT trained"),
    )
    op.create_table(
        "playbook_outcome",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("playbook", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("site", "run"),
    )
    op.create_table(
        "proposal",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("edge", sa.String(), nullable=False),
        sa.Column("alarm", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("current", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("proposed", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("nuisance", sa.Integer(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "proposal_one_open",
        "proposal",
        ["site", "edge", "alarm"],
        unique=True,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index(
        "proposal_point", "proposal", ["site", "edge", "alarm", "created_at"], unique=False
    )
    op.create_table(
        "quarantined",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("epoch", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_quarantined_source"), "quarantined", ["source"], unique=False)
    op.create_table(
        "rollout",
        sa.Column("directive", sa.String(), nullable=False),
        sa.Column("proposal", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("edge", sa.String(), nullable=False),
        sa.Column("alarm", sa.String(), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("setting", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("params", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("directive"),
        sa.UniqueConstraint("site", "edge", "counter"),
    )
    op.create_index(op.f("ix_rollout_proposal"), "rollout", ["proposal"], unique=False)
    op.create_table(
        "source_epoch",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("epoch", sa.String(), nullable=False),
        sa.Column("boot", sa.String(), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", "epoch"),
    )
    op.create_table(
        "watermark",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("epoch", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("quarantined", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", "epoch", "lane"),
    )
    op.create_table(
        "web_session",
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("username", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_index(op.f("ix_web_session_username"), "web_session", ["username"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_web_session_username"), table_name="web_session")
    op.drop_table("web_session")
    op.drop_table("watermark")
    op.drop_table("source_epoch")
    op.drop_index(op.f("ix_rollout_proposal"), table_name="rollout")
    op.drop_table("rollout")
    op.drop_index(op.f("ix_quarantined_source"), table_name="quarantined")
    op.drop_table("quarantined")
    op.drop_index("proposal_point", table_name="proposal")
    op.drop_index(
        "proposal_one_open", table_name="proposal", postgresql_where=sa.text("status = 'open'")
    )
    op.drop_table("proposal")
    op.drop_table("playbook_outcome")
    op.drop_index(
        "outcome_untrained", table_name="outcome", postgresql_where=sa.text("NOT trained")
    )
    op.drop_index("outcome_point", table_name="outcome")
    op.drop_table("outcome")
    op.drop_table("outbox_lane")
    op.drop_table("outbox")
    op.drop_table("model_version")
    op.drop_table("idempotent")
    op.drop_index("group_event_received", table_name="group_event", postgresql_using="brin")
    op.drop_table("group_event")
    op.drop_table("gap")
    op.drop_table("frame_digest")
    op.drop_table("factory")
    op.drop_table("directive_counter")
    op.drop_table("audit")
    op.drop_table("account")
