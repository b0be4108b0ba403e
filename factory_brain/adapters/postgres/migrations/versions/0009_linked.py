"""Linked devices: webhooks in and out, notices."""

import sqlalchemy as sa
import sqlmodel
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def _text(name: str, *, key: bool = False, null: bool = False) -> sa.Column:
    return sa.Column(name, sqlmodel.AutoString(), nullable=null, primary_key=key)


def _big(name: str, *, key: bool = False, null: bool = False) -> sa.Column:
    return sa.Column(name, sa.BigInteger(), nullable=null, primary_key=key, autoincrement=False)


def _json(name: str, *, null: bool = False) -> sa.Column:
    return sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), nullable=null)


def upgrade() -> None:
    _inbound()
    _outbound()
    _devices()


def _inbound() -> None:
    op.create_table("hook_source", _text("link", key=True), _text("epoch"), _big("seq"))
    op.create_table(
        "hook_message", _text("link", key=True), _text("id", key=True), _json("answer"), _big("at")
    )
    op.create_index("hook_message_at", "hook_message", ["link", "at"])
    op.create_table(
        "hook_alarm", _text("alarm", key=True), _text("link"), _json("data"),
        _big("shelved_until", null=True),
    )  # fmt: skip
    op.create_index("ix_hook_alarm_link", "hook_alarm", ["link"])
    op.create_table(
        "hook_event", _text("link", key=True), _big("seq", key=True),
        sa.Column("event", sa.LargeBinary(), nullable=False),
    )  # fmt: skip
    op.create_table("hook_fact", _text("id", key=True), _big("at"))


def _outbound() -> None:
    op.create_table(
        "link_delivery", _text("id", key=True),
        sa.Column("n", sa.BigInteger(), sa.Identity(), nullable=False, unique=True),
        _text("outbound"), _text("type"), sa.Column("body", sa.LargeBinary(), nullable=False),
        _big("at"), sa.Column("attempt", sa.Integer(), nullable=False), _big("due"),
        _text("status"), sa.Column("status_code", sa.Integer(), nullable=True),
        _text("error", null=True), _big("ended_at", null=True),
    )  # fmt: skip
    op.create_index(
        "link_delivery_due", "link_delivery", ["outbound", "due"],
        postgresql_where=sa.text("status = 'due'"),
    )  # fmt: skip
    op.create_index("link_delivery_n", "link_delivery", ["outbound", "status", "n"])
    op.create_table(
        "link_outbound", _text("outbound", key=True), _big("disabled_at", null=True),
        sa.Column("failing", sa.Integer(), nullable=False), _text("error", null=True),
    )  # fmt: skip

    op.create_table("link_position", _text("name", key=True), _big("seq"))
    op.create_table("link_incident", _text("id", key=True), _text("status"))


def _devices() -> None:
    op.create_table(
        "link_device", _text("device", key=True), _big("seq"),
        sa.Column("online", sa.Boolean(), nullable=False), _big("seen_at", null=True),
    )  # fmt: skip
    op.create_table(
        "device_notice", _text("device", key=True), _big("seq", key=True), _text("id"),
        _json("body"), _big("at"), _big("expires_at"), _text("status"),
        sa.Column("attempts", sa.Integer(), nullable=False), _big("sent_at", null=True),
        _big("ended_at", null=True), _json("answer", null=True), sa.UniqueConstraint("id"),
    )  # fmt: skip
    op.create_index(
        "device_notice_waiting", "device_notice", ["device", "seq"],
        postgresql_where=sa.text("status = 'waiting'"),
    )  # fmt: skip
    op.create_table(
        "device_said", _text("device", key=True), _text("id", key=True), _json("answer"), _big("at")
    )


def downgrade() -> None:
    for table in (
        "device_said", "device_notice", "link_device", "link_incident", "link_position",
        "link_outbound", "link_delivery",
        "hook_fact", "hook_event", "hook_alarm", "hook_message", "hook_source",
    ):  # fmt: skip
        op.drop_table(table)
