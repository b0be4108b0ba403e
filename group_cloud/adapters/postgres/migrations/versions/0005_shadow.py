"""Shadow counting: counts by day, verdicts on faults, the record of faults, nominations."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE shadow_count (
    site varchar NOT NULL, edge varchar NOT NULL, alarm varchar NOT NULL, day integer NOT NULL,
    revision bigint NOT NULL, since bigint NOT NULL, until bigint NOT NULL,
    coverage double precision NOT NULL, digest varchar NOT NULL, named jsonb NOT NULL,
    body jsonb NOT NULL, activations bytea NOT NULL, standing bytea NOT NULL,
    received_at bigint NOT NULL, PRIMARY KEY (site, edge, alarm, day)
);
CREATE INDEX shadow_count_day ON shadow_count (site, day);
CREATE TABLE shadow_verdict (
    site varchar NOT NULL, fault varchar NOT NULL, alarm varchar NOT NULL, edge varchar NOT NULL,
    revision bigint NOT NULL, fault_revision integer NOT NULL, coverage double precision NOT NULL,
    grid jsonb NOT NULL, named jsonb NOT NULL, delays bytea NOT NULL, received_at bigint NOT NULL,
    PRIMARY KEY (site, fault, alarm)
);
CREATE INDEX shadow_verdict_alarm ON shadow_verdict (site, alarm);
CREATE TABLE fault (
    site varchar NOT NULL, id varchar NOT NULL, revision integer NOT NULL, asset varchar NOT NULL,
    line varchar NOT NULL, start bigint NOT NULL, "end" bigint NOT NULL, cause varchar NOT NULL,
    actor varchar NOT NULL, recorded_at bigint NOT NULL, alarms jsonb NOT NULL,
    incident varchar NOT NULL, withdrawn boolean NOT NULL, received_at bigint NOT NULL,
    PRIMARY KEY (site, id)
);
CREATE INDEX fault_end ON fault (site, "end");
CREATE TABLE nomination (
    site varchar NOT NULL, edge varchar NOT NULL, counter bigint NOT NULL,
    fingerprint varchar NOT NULL, payload bytea NOT NULL, signature bytea NOT NULL,
    at bigint NOT NULL, expires_at bigint NOT NULL, PRIMARY KEY (site, edge)
)
"""


def upgrade() -> None:
    for statement in _TABLES.split(";"):
        op.execute(statement)


def downgrade() -> None:
    for table in ("nomination", "fault", "shadow_verdict", "shadow_count"):
        op.drop_table(table)
