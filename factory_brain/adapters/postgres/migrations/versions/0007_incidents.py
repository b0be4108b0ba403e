"""Incidents and what belongs to them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _text(name: str, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.String(), nullable=nullable)


def _big(name: str, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _number(name: str) -> sa.Column:
    return sa.Column(name, sa.Integer(), nullable=False)


def _json(name: str) -> sa.Column:
    return sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), nullable=False)


def _flag(name: str) -> sa.Column:
    return sa.Column(name, sa.Boolean(), nullable=False)


def upgrade() -> None:
    op.execute("CREATE SEQUENCE incident_change")
    op.create_table(
        "incident",
        _text("id"), _text("status"), _text("merged_into", nullable=True), _big("first_at"),
        _big("last_at"), _json("first_out"), _text("asset"), _number("priority"),
        _number("alarms"), _number("standing"), _number("unacked"),
        _big("returned_at", nullable=True), _flag("settled"), _flag("flood"), _text("owner"),
        _big("opened_at"), _big("acknowledged_at", nullable=True), _text("acknowledged_by"),
        _big("contained_at", nullable=True), _text("contained_by"),
        _big("closed_at", nullable=True), _text("closed_by"), _text("cause"), _text("outcome"),
        _number("reopened"), _big("changed"), sa.PrimaryKeyConstraint("id"),
    )  # fmt: skip
    op.create_index("incident_first_at", "incident", ["first_at", "id"])
    op.create_index("incident_changed", "incident", ["changed"])
    # What of this was told to the group: newest revision, and when.
    op.create_table(
        "told_upward",
        _text("kind"),
        _text("name"),
        _big("revision"),
        _text("status"),
        _big("at"),
        sa.PrimaryKeyConstraint("kind", "name"),
    )
    op.create_table(
        "incident_member",
        _text("occurrence"), _text("alarm"), _text("asset"), _text("edge"), _big("at"),
        sa.Column("uncertainty", sa.Integer(), nullable=True), _number("clock_offset"),
        sa.Column("clock_version", sa.Integer(), nullable=True), _text("grp"), _big("group_at"),
        _text("group_first"), _text("incident"), _text("first_out"), _text("hidden_behind"),
        _text("hidden_rule"), _json("marks"), _big("closed_at", nullable=True),
        _text("labelled"), _flag("to_label"), _big("changed"),
        sa.PrimaryKeyConstraint("occurrence"),
    )  # fmt: skip
    for columns in (["at"], ["incident"], ["alarm", "at"], ["grp"], ["changed"]):
        op.create_index(f"incident_member_{columns[0]}", "incident_member", columns)
    for name, where in (("to_label", "to_label"), ("hidden", "hidden_behind <> ''")):
        op.create_index(
            f"incident_member_{name}", "incident_member", ["occurrence"],
            postgresql_where=sa.text(where),
        )  # fmt: skip
    op.create_table(
        "incident_entry",
        _text("id"), _text("incident"), _big("at"), _text("lane"), _text("kind"),
        _json("params"), _text("actor", nullable=True), sa.PrimaryKeyConstraint("id"),
    )  # fmt: skip
    op.create_index("incident_entry_of", "incident_entry", ["incident", "at"])
    op.create_table(
        "incident_join",
        _text("one"), _text("other"), _text("actor"), _big("at"),
        sa.PrimaryKeyConstraint("one", "other"),
    )  # fmt: skip


def downgrade() -> None:
    for table in ("told_upward", "incident_join", "incident_entry", "incident_member", "incident"):
        op.drop_table(table)
    op.execute("DROP SEQUENCE incident_change")
