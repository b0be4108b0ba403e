"""Shadow counting: nominated points, counted days, the record of faults and what was judged."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None
_JSON = postgresql.JSONB(astext_type=sa.Text())


def upgrade() -> None:
    op.create_table(
        "shadow_order",
        sa.Column("edge", sa.String(), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("edge"),
    )
    op.create_table(
        "shadow_point",
        sa.Column("alarm", sa.String(), nullable=False),
        sa.Column("edge", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("chosen_at", sa.BigInteger(), nullable=False),
        sa.Column("candidate", _JSON, nullable=False),
        sa.Column("given", _JSON, nullable=False),
        sa.Column("grid", _JSON, nullable=False),
        sa.Column("base", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("alarm"),
    )
    op.create_index("ix_shadow_point_edge", "shadow_point", ["edge"])
    _days()
    _faults()
    op.create_table(
        "outcome_told",
        sa.Column("occurrence", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("occurrence"),
    )
    op.create_index("outcome_told_at", "outcome_told", ["at"])


def _days() -> None:
    op.create_table(
        "shadow_day",
        sa.Column("alarm", sa.String(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("alarm", "day"),
    )
    op.create_index("shadow_day_day", "shadow_day", ["day"])


def _faults() -> None:
    op.create_table(
        "plant_fault",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("asset", sa.String(), nullable=False),
        sa.Column("line", sa.String(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("alarms", _JSON, nullable=False),
        sa.Column("incident", sa.String(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("comment", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("fault_start", "plant_fault", ["start", "id"])
    op.create_index("fault_recorded", "plant_fault", ["recorded_at"])
    op.create_index("fault_incident", "plant_fault", ["incident"])
    op.create_table(
        "shadow_judged",
        sa.Column("fault", sa.String(), nullable=False),
        sa.Column("alarm", sa.String(), nullable=False),
        sa.Column("fault_revision", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("coverage", sa.Float(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("fault", "alarm"),
    )


def downgrade() -> None:
    for table in (
        "outcome_told", "shadow_judged", "plant_fault", "shadow_day", "shadow_point",
        "shadow_order",
    ):  # fmt: skip
        op.drop_table(table)
