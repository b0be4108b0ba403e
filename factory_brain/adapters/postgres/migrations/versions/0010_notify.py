"""Notifications and their delivery log."""

import sqlalchemy as sa
import sqlmodel
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def _text(name: str, *, key: bool = False, null: bool = False) -> sa.Column:
    return sa.Column(name, sqlmodel.AutoString(), nullable=null, primary_key=key)


def _big(name: str, *, null: bool = False) -> sa.Column:
    return sa.Column(name, sa.BigInteger(), nullable=null)


def _int(name: str) -> sa.Column:
    return sa.Column(name, sa.Integer(), nullable=False)


def _flag(name: str) -> sa.Column:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _json(name: str) -> sa.Column:
    return sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), nullable=False)


def upgrade() -> None:
    _cases()
    _messages()
    _log()
    op.create_table(
        "roster_override", _text("id", key=True), _text("roster"), _big("since"), _big("until"),
        _text("instead_of", null=True), _text("by", null=True), _text("why"), _text("actor"),
        _big("at"), _big("cancelled_at", null=True),
    )  # fmt: skip
    op.create_index("ix_roster_override_roster", "roster_override", ["roster"])
    op.create_table(
        "notify_key",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
    )
    # What playbooks say to people; told is when it was handed to those who are named.
    op.add_column("notification", _big("told_at", null=True))
    op.execute("UPDATE notification SET told_at = at")
    op.create_index(
        "notification_untold", "notification", ["at"], postgresql_where=sa.text("told_at IS NULL")
    )


def _cases() -> None:
    op.create_table(
        "notify_case", _text("id", key=True), _text("occurrence"), _text("alarm"),
        _text("ladder"), _text("rule"), _text("edge"), _int("priority"), _int("version"),
        _big("at"), _big("base"), _text("status"), _text("why"), _int("round"), _int("step"),
        _int("told"), _big("stepped_at"), _big("nag_at", null=True), _big("due", null=True),
        _big("ack_until", null=True), _flag("unreached"), _flag("ack_over"), _flag("answered"),
    )  # fmt: skip
    op.create_index("ix_notify_case_occurrence", "notify_case", ["occurrence"])
    op.create_index(
        "notify_case_due", "notify_case", ["priority", "due"],
        postgresql_where=sa.text("due IS NOT NULL"),
    )  # fmt: skip


def _messages() -> None:
    op.create_table(
        "notify_message", _text("id", key=True), _text("person"), _text("kind"),
        _text("case_id", null=True), _int("n"), _text("occurrence"), _text("alarm"),
        _int("version"), _text("edge"), _int("priority"), _json("facts"), _json("kinds"),
        _big("at"), _big("due", null=True), _text("status"), _text("reason"), _int("channel"),
        _int("attempt"), _text("summary", null=True), _big("ended_at", null=True),
        _big("confirmed_at", null=True), _int("claims"),
    )  # fmt: skip
    op.create_index(
        "notify_message_due",
        "notify_message",
        ["status", "due"],
        postgresql_where=sa.text("due IS NOT NULL"),
    )
    op.create_index("notify_message_person", "notify_message", ["person", "at"])
    op.create_index("notify_message_case", "notify_message", ["case_id", "n"])
    op.create_index("notify_message_confirmed", "notify_message", ["confirmed_at"])


def _log() -> None:
    op.create_table(
        "notify_log",
        sa.Column("n", sa.BigInteger(), sa.Identity(), nullable=False, primary_key=True),
        _big("at"), _text("outcome"), _text("message", null=True), _text("person"),
        _text("kind"), _text("channel"), _text("occurrence"), _text("alarm"), _int("priority"),
        _text("reason"), _big("latency_ms", null=True),
    )  # fmt: skip
    op.create_index("notify_log_person", "notify_log", ["person", "n"])
    op.create_index("notify_log_occurrence", "notify_log", ["occurrence", "n"])
    op.create_index("notify_log_at", "notify_log", ["at"])


def downgrade() -> None:
    op.drop_index("notification_untold", table_name="notification")
    op.drop_column("notification", "told_at")
    for table in ("notify_key", "roster_override", "notify_log", "notify_message", "notify_case"):
        op.drop_table(table)
