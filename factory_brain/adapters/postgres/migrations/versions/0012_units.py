"""Product units, batches and their passages."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE unit_passage (
    station varchar COLLATE "C" NOT NULL, unit varchar COLLATE "C" NOT NULL,
    entered_at bigint NOT NULL, left_at bigint, batch varchar COLLATE "C" NOT NULL,
    asset varchar NOT NULL, source varchar NOT NULL, attributes jsonb NOT NULL,
    reported_at bigint NOT NULL, PRIMARY KEY (station, unit, entered_at),
    CONSTRAINT unit_passage_forward CHECK (left_at IS NULL OR left_at >= entered_at)
);
CREATE INDEX unit_passage_unit ON unit_passage (unit, entered_at);
CREATE INDEX unit_passage_batch ON unit_passage (batch, entered_at) WHERE batch <> '';
CREATE INDEX unit_passage_station ON unit_passage (station, entered_at);
CREATE INDEX unit_passage_entered ON unit_passage (entered_at, station, unit);
CREATE INDEX unit_passage_stay ON unit_passage USING gist (int8range(entered_at, left_at, '[]'));
CREATE TABLE unit_relation (
    parent varchar COLLATE "C" NOT NULL, child varchar COLLATE "C" NOT NULL,
    kind varchar NOT NULL, at bigint NOT NULL, station varchar NOT NULL, source varchar NOT NULL,
    PRIMARY KEY (parent, child, kind)
);
CREATE INDEX unit_relation_child ON unit_relation (child)
"""
# What a time line asks of others' tables: what was told about an occurrence, and its playbook runs.
_TOLD = """
CREATE FUNCTION occurrence_of_delivery(body bytea) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN RETURN convert_from(body, 'UTF8')::jsonb #>> '{data,occurrence}'; -- of a CloudEvent
EXCEPTION WHEN data_exception THEN RETURN NULL; END -- whatever it is, it must be stored
$$;
CREATE INDEX link_delivery_occurrence ON link_delivery (occurrence_of_delivery(body));
CREATE INDEX device_notice_occurrence ON device_notice ((body ->> 'occurrence'));
CREATE INDEX run_occurrence ON run (occurrence)
"""


def upgrade() -> None:
    for statement in [*_TABLES.split(";\n"), *_TOLD.split(";\n")]:
        op.execute(statement)


def downgrade() -> None:
    op.drop_index("run_occurrence", table_name="run")
    op.drop_index("device_notice_occurrence", table_name="device_notice")
    op.drop_index("link_delivery_occurrence", table_name="link_delivery")
    op.execute("DROP FUNCTION occurrence_of_delivery")
    op.drop_table("unit_relation")
    op.drop_table("unit_passage")
