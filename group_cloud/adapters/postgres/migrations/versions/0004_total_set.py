"""The total set: tenants, a journal in daily partitions, incidents, runs, figures by day."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TENANT = """
CREATE TABLE tenant (
    id varchar PRIMARY KEY, names jsonb NOT NULL, created_at bigint NOT NULL
);
INSERT INTO tenant (id, names, created_at)
    VALUES ('default', '{"zh": "本集团", "en": "The group"}', 0);
ALTER TABLE factory ADD COLUMN tenant varchar NOT NULL DEFAULT 'default' REFERENCES tenant (id),
    ADD COLUMN uncounted bigint NOT NULL DEFAULT 0;
CREATE INDEX factory_tenant ON factory (tenant)
"""
_JOURNAL = """
DROP INDEX group_event_received;
DROP INDEX group_event_occurrence;
ALTER TABLE group_event RENAME TO group_event_old;
ALTER TABLE group_event_old RENAME CONSTRAINT group_event_pkey TO group_event_old_pkey;
CREATE TABLE group_event (
    source varchar NOT NULL, epoch varchar NOT NULL, lane varchar NOT NULL, seq bigint NOT NULL,
    site varchar NOT NULL, id varchar NOT NULL, type varchar NOT NULL, time bigint NOT NULL,
    received_at bigint NOT NULL, alarm varchar, occurrence varchar, body jsonb NOT NULL,
    PRIMARY KEY (received_at, source, epoch, lane, seq)
) PARTITION BY RANGE (received_at);
CREATE INDEX group_event_occurrence ON group_event (site, occurrence) WHERE occurrence IS NOT NULL;
CREATE INDEX group_event_alarm ON group_event (site, alarm, time) WHERE alarm IS NOT NULL;
CREATE INDEX group_event_time ON group_event USING brin (time)
"""
# One partition for each day that the old journal knows, and for these days.
_DAYS = """
DO $$
DECLARE day bigint; child text;
BEGIN
    FOR day IN SELECT DISTINCT received_at / 86400000 FROM group_event_old
        UNION SELECT extract(epoch FROM now())::bigint / 86400 + n FROM generate_series(-1, 2) n
    LOOP
        child := 'group_event_p'
            || to_char(to_timestamp(day * 86400) AT TIME ZONE 'UTC', 'YYYYMMDD');
        EXECUTE format('CREATE TABLE %I PARTITION OF group_event FOR VALUES FROM (%s) TO (%s)',
            child, day * 86400000, (day + 1) * 86400000);
    END LOOP;
END $$
"""
_COLUMNS = "source, epoch, lane, seq, site, id, type, time, received_at, alarm, occurrence, body"
_OCCURRENCE = """
CREATE TABLE group_occurrence (
    site varchar NOT NULL, occurrence varchar NOT NULL, alarm varchar NOT NULL,
    asset varchar NOT NULL, tag varchar NOT NULL, priority integer NOT NULL,
    version integer NOT NULL, raised_at bigint NOT NULL, returned_at bigint NOT NULL,
    acked_at bigint NOT NULL, annunciated boolean NOT NULL, counted boolean NOT NULL,
    PRIMARY KEY (site, occurrence)
);
CREATE INDEX group_occurrence_standing ON group_occurrence (site, raised_at)
    WHERE returned_at = 0 AND raised_at > 0;
CREATE INDEX group_occurrence_raised ON group_occurrence USING brin (raised_at);
CREATE TABLE stat_day (
    site varchar NOT NULL, day integer NOT NULL, priority integer NOT NULL,
    raised bigint NOT NULL, annunciated bigint NOT NULL, acked bigint NOT NULL,
    ack_ms bigint NOT NULL, acked_1m bigint NOT NULL, acked_10m bigint NOT NULL,
    returned bigint NOT NULL, standing_ms bigint NOT NULL, PRIMARY KEY (site, day, priority)
);
CREATE TABLE stat_alarm (
    site varchar NOT NULL, day integer NOT NULL, alarm varchar NOT NULL,
    raised bigint NOT NULL, annunciated bigint NOT NULL, standing_ms bigint NOT NULL,
    PRIMARY KEY (site, day, alarm)
);
CREATE TABLE stat_ten (
    site varchar NOT NULL, ten bigint NOT NULL, annunciated bigint NOT NULL,
    PRIMARY KEY (site, ten)
);
CREATE TABLE alarm_point (
    site varchar NOT NULL, alarm varchar NOT NULL, edge varchar NOT NULL, asset varchar NOT NULL,
    process varchar NOT NULL, asset_class varchar NOT NULL, tag_class varchar NOT NULL,
    priority integer NOT NULL, names jsonb NOT NULL, tuning jsonb, version varchar NOT NULL,
    PRIMARY KEY (site, alarm)
)
"""
_INCIDENT = """
CREATE TABLE group_incident (
    site varchar NOT NULL, id varchar NOT NULL, revision bigint NOT NULL, status varchar NOT NULL,
    merged_into varchar NOT NULL, opened_at bigint NOT NULL, acknowledged_at bigint,
    contained_at bigint, closed_at bigint, priority integer NOT NULL, asset varchar NOT NULL,
    alarms integer NOT NULL, standing integer NOT NULL, unacked integer NOT NULL,
    flood boolean NOT NULL, cause varchar NOT NULL, outcome varchar NOT NULL,
    owner varchar NOT NULL, received_at bigint NOT NULL, body jsonb NOT NULL,
    PRIMARY KEY (site, id)
);
CREATE INDEX group_incident_opened ON group_incident (opened_at, site, id);
CREATE INDEX group_incident_live ON group_incident (site, priority)
    WHERE status NOT IN ('closed', 'merged');
CREATE INDEX group_incident_occurrences ON group_incident USING gin ((body->'occurrences'));
ALTER TABLE playbook_outcome ADD COLUMN version integer NOT NULL DEFAULT 0,
    ADD COLUMN release varchar NOT NULL DEFAULT '', ADD COLUMN variant varchar NOT NULL DEFAULT '',
    ADD COLUMN alarm varchar NOT NULL DEFAULT '', ADD COLUMN occurrence varchar NOT NULL DEFAULT '',
    ADD COLUMN success boolean, ADD COLUMN started_at bigint NOT NULL DEFAULT 0,
    ADD COLUMN ended_at bigint NOT NULL DEFAULT 0, ADD COLUMN duration_s double precision,
    ADD COLUMN drill boolean NOT NULL DEFAULT false;
CREATE INDEX playbook_outcome_ended ON playbook_outcome (ended_at, site, run);
CREATE INDEX playbook_outcome_of ON playbook_outcome (playbook, version, variant);
ALTER TABLE outcome ADD COLUMN said_at bigint NOT NULL DEFAULT 0,
    ADD COLUMN cause varchar NOT NULL DEFAULT '';
CREATE INDEX outcome_cause ON outcome (site, cause) WHERE cause <> ''
"""


def _run(script: str) -> None:
    for statement in script.split(";\n"):
        op.execute(statement)


def upgrade() -> None:
    _run(_TENANT)
    _run(_JOURNAL)
    op.execute(_DAYS)
    op.execute(f"INSERT INTO group_event ({_COLUMNS}) SELECT {_COLUMNS} FROM group_event_old")
    op.execute("DROP TABLE group_event_old")
    _run(_OCCURRENCE)
    _run(_INCIDENT)


def downgrade() -> None:
    op.execute("ALTER TABLE outcome DROP COLUMN said_at, DROP COLUMN cause")
    op.execute("DROP INDEX playbook_outcome_ended, playbook_outcome_of")
    names = (
        "version", "release", "variant", "alarm", "occurrence", "success", "started_at",
        "ended_at", "duration_s", "drill",
    )  # fmt: skip
    op.execute("ALTER TABLE playbook_outcome " + ", ".join(f"DROP COLUMN {name}" for name in names))
    for table in (
        "group_incident",
        "alarm_point",
        "stat_ten",
        "stat_alarm",
        "stat_day",
        "group_occurrence",
    ):
        op.execute(f"DROP TABLE {table}")
    op.execute("ALTER TABLE group_event RENAME TO group_event_new")
    op.execute("ALTER TABLE group_event_new RENAME CONSTRAINT group_event_pkey TO group_event_n_pk")
    for index in ("group_event_occurrence", "group_event_alarm", "group_event_time"):
        op.execute(f"DROP INDEX {index}")
    op.execute(
        "CREATE TABLE group_event (source varchar, epoch varchar, lane varchar, seq bigint, "
        "site varchar NOT NULL, id varchar NOT NULL, type varchar NOT NULL, time bigint NOT NULL, "
        "received_at bigint NOT NULL, alarm varchar, occurrence varchar, body jsonb NOT NULL, "
        "PRIMARY KEY (source, epoch, lane, seq))"
    )
    op.execute(f"INSERT INTO group_event ({_COLUMNS}) SELECT {_COLUMNS} FROM group_event_new")
    op.execute("DROP TABLE group_event_new")
    op.execute("CREATE INDEX group_event_received ON group_event USING brin (received_at)")
    op.execute("CREATE INDEX group_event_occurrence ON group_event (site, occurrence)")
    op.execute("DROP INDEX factory_tenant")
    op.execute("ALTER TABLE factory DROP COLUMN tenant, DROP COLUMN uncounted")
    op.execute("DROP TABLE tenant")
