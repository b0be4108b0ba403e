"""Checkpoints of northbound sinks."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE sink_position (
    sink varchar PRIMARY KEY, xid bigint NOT NULL, no bigint NOT NULL, owner varchar NOT NULL,
    until bigint NOT NULL, events bigint NOT NULL, samples bigint NOT NULL,
    refused bigint NOT NULL, lost bigint NOT NULL
);
CREATE TABLE sink_sample (
    xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    no bigint GENERATED ALWAYS AS IDENTITY, at bigint NOT NULL, count integer NOT NULL,
    names text[] NOT NULL, tags bytea NOT NULL, times bytea NOT NULL, "values" bytea NOT NULL,
    qualities bytea NOT NULL, PRIMARY KEY (xid, no)
);
CREATE TABLE sink_refused (
    no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sink varchar NOT NULL, at bigint NOT NULL,
    what varchar NOT NULL, item jsonb NOT NULL, reason varchar NOT NULL
);
CREATE INDEX sink_refused_sink ON sink_refused (sink, no)
"""


def upgrade() -> None:
    for statement in _TABLES.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    for table in ("sink_refused", "sink_sample", "sink_position"):
        op.drop_table(table)
