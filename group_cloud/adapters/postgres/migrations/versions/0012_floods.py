"""Memory of floods: what each flood was told to be like, what is remembered, what points watch."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE flood (
    site varchar NOT NULL, incident varchar NOT NULL, revision bigint NOT NULL,
    first_at bigint NOT NULL, ended_at bigint, goes_on boolean NOT NULL,
    begun_at bigint NOT NULL, asked integer NOT NULL, settled boolean NOT NULL,
    cause varchar NOT NULL, number bigint NOT NULL, told varchar NOT NULL,
    PRIMARY KEY (site, incident)
);
CREATE INDEX flood_open ON flood (first_at) WHERE goes_on AND NOT settled;
CREATE INDEX flood_begun ON flood (begun_at);
CREATE TABLE flood_answer (
    site varchar NOT NULL, incident varchar NOT NULL, horizon integer NOT NULL, at bigint NOT NULL,
    tenant varchar NOT NULL, known boolean NOT NULL, settled boolean NOT NULL,
    why varchar NOT NULL, trust double precision NOT NULL, remembered integer NOT NULL,
    complete boolean NOT NULL, nearest jsonb, others jsonb NOT NULL, novel boolean,
    PRIMARY KEY (site, incident, horizon)
);
CREATE TABLE flood_episode (
    site varchar NOT NULL, incident varchar NOT NULL, revision bigint NOT NULL, at bigint NOT NULL,
    cause varchar NOT NULL, cause_names jsonb NOT NULL, done jsonb NOT NULL,
    words varchar NOT NULL, took_min double precision NOT NULL, alarms jsonb NOT NULL,
    learned_at bigint NOT NULL, forgotten boolean NOT NULL, PRIMARY KEY (site, incident)
);
CREATE INDEX group_incident_flood ON group_incident (site, id) WHERE flood;
ALTER TABLE alarm_point ADD COLUMN kind varchar NOT NULL DEFAULT '',
    ADD COLUMN side varchar NOT NULL DEFAULT ''
"""


def upgrade() -> None:
    for statement in _TABLES.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE alarm_point DROP COLUMN kind, DROP COLUMN side")
    op.execute("DROP INDEX group_incident_flood")
    for table in ("flood_episode", "flood_answer", "flood"):
        op.execute(f"DROP TABLE {table}")
