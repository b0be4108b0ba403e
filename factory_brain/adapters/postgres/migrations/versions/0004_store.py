"""The event store: journal and historian in daily partitions, roll-ups, the journal's feeds.

What was stored before is copied into partitions of its own days.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_EVENT = """
CREATE TABLE event (
    source varchar COLLATE "C" NOT NULL, epoch varchar COLLATE "C" NOT NULL,
    lane varchar COLLATE "C" NOT NULL, received_at bigint NOT NULL, seq bigint NOT NULL,
    id varchar NOT NULL, type varchar NOT NULL, time bigint NOT NULL, late boolean NOT NULL,
    alarm varchar, occurrence varchar, body json NOT NULL,
    PRIMARY KEY (source, epoch, lane, seq, received_at)
) PARTITION BY RANGE (received_at);
CREATE INDEX event_in_occurrence ON event (occurrence) WHERE occurrence IS NOT NULL;
CREATE INDEX event_of_alarm ON event (alarm, time) WHERE alarm IS NOT NULL;
CREATE INDEX event_by_time ON event USING brin (time)
"""
_SAMPLE = """
CREATE TABLE tag_name (no serial PRIMARY KEY, tag varchar NOT NULL UNIQUE);
CREATE TABLE sample_raw (
    at bigint NOT NULL, value double precision, tag_no integer NOT NULL, quality smallint NOT NULL,
    PRIMARY KEY (tag_no, at)
) PARTITION BY RANGE (at)
"""
_VIEW = """
CREATE VIEW sample AS
SELECT t.tag, s.at, s.value, s.quality FROM sample_raw s JOIN tag_name t ON t.no = s.tag_no
"""
_SUMMED = """
CREATE TABLE {} (
    tag_no integer NOT NULL, at bigint NOT NULL, count integer NOT NULL, good integer NOT NULL,
    sum double precision, min double precision, max double precision, last double precision,
    last_at bigint NOT NULL, PRIMARY KEY (tag_no, at)
) PARTITION BY RANGE (at)
"""
_REST = """
CREATE TABLE rollup_dirty (
    id bigserial PRIMARY KEY, since bigint NOT NULL, until bigint NOT NULL, tags integer[] NOT NULL
);
CREATE TABLE alarm_day (
    alarm varchar NOT NULL, day integer NOT NULL, received_day integer NOT NULL,
    raised integer NOT NULL, annunciated integer NOT NULL, returned integer NOT NULL,
    acknowledged integer NOT NULL, PRIMARY KEY (alarm, day, received_day)
);
CREATE TABLE alarm_day_done (received_day integer PRIMARY KEY);
CREATE TABLE feed_consumer (consumer varchar PRIMARY KEY);
CREATE TABLE feed_position (
    consumer varchar NOT NULL, source varchar NOT NULL, epoch varchar NOT NULL,
    lane varchar NOT NULL, seq bigint NOT NULL, received_at bigint NOT NULL,
    PRIMARY KEY (consumer, source, epoch, lane)
)
"""
# One partition for each day that the old table knows, named as the product names them.
_DAYS = """
DO $$
DECLARE day bigint; child text;
BEGIN
    FOR day IN SELECT DISTINCT {column} / 86400000 FROM {old} LOOP
        child := '{new}_p' || to_char(to_timestamp(day * 86400) AT TIME ZONE 'UTC', 'YYYYMMDD');
        EXECUTE format('CREATE TABLE %I PARTITION OF {new} FOR VALUES FROM (%s) TO (%s)',
            child, day * 86400000, (day + 1) * 86400000);
    END LOOP;
END $$
"""
# And for these days: the product makes the following ones ahead.
_THESE_DAYS = """
DO $$
DECLARE day bigint; child text;
BEGIN
    FOR day IN SELECT extract(epoch FROM now())::bigint / 86400 + n FROM generate_series(-1, 2) n
    LOOP
        child := 'event_p' || to_char(to_timestamp(day * 86400) AT TIME ZONE 'UTC', 'YYYYMMDD');
        IF to_regclass(child) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF event FOR VALUES FROM (%s) TO (%s)',
                child, day * 86400000, (day + 1) * 86400000);
        END IF;
    END LOOP;
END $$
"""
_EVENT_COLUMNS = (
    "source, epoch, lane, received_at, seq, id, type, time, late, alarm, occurrence, body"
)


def _run(script: str) -> None:
    for statement in script.split(";\n"):
        op.execute(statement)


def upgrade() -> None:
    for name in ("event_occurrence", "event_alarm_time"):
        op.drop_index(name, table_name="event")
    op.execute("ALTER TABLE event RENAME TO event_old")
    op.execute("ALTER TABLE event_old RENAME CONSTRAINT event_pkey TO event_old_pkey")
    _run(_EVENT)
    op.execute(_DAYS.format(column="received_at", old="event_old", new="event"))
    values = _EVENT_COLUMNS.replace("body", "body::text::json")
    op.execute(_THESE_DAYS)
    op.execute(f"INSERT INTO event ({_EVENT_COLUMNS}) SELECT {values} FROM event_old")
    op.execute("DROP TABLE event_old")
    op.execute("ALTER TABLE sample RENAME TO sample_old")
    _run(_SAMPLE)
    for table in ("sample_minute", "sample_hour"):
        op.execute(_SUMMED.format(table))
    _run(_REST)
    op.execute("INSERT INTO tag_name (tag) SELECT DISTINCT tag FROM sample_old")
    op.execute(_DAYS.format(column="at", old="sample_old", new="sample_raw"))
    op.execute(
        "INSERT INTO sample_raw (at, value, tag_no, quality) SELECT at, value, no, quality "
        "FROM sample_old JOIN tag_name USING (tag)"
    )
    op.execute(
        "INSERT INTO rollup_dirty (since, until, tags) SELECT min(at), max(at), "
        "array_agg(DISTINCT tag_no) FROM sample_raw GROUP BY at / 3600000"
    )
    op.execute("DROP TABLE sample_old")
    op.execute(_VIEW)


def downgrade() -> None:
    op.execute("ALTER TABLE event RENAME TO event_new")
    op.execute("ALTER TABLE event_new RENAME CONSTRAINT event_pkey TO event_new_pkey")
    op.execute(
        "CREATE TABLE event (source varchar, epoch varchar, lane varchar, seq bigint, "
        "id varchar NOT NULL, type varchar NOT NULL, time bigint NOT NULL, "
        "received_at bigint NOT NULL, late boolean NOT NULL, alarm varchar, occurrence varchar, "
        "body jsonb NOT NULL, PRIMARY KEY (source, epoch, lane, seq))"
    )
    values = _EVENT_COLUMNS.replace("body", "body::text::jsonb")
    op.execute(f"INSERT INTO event ({_EVENT_COLUMNS}) SELECT {values} FROM event_new")
    op.execute("DROP TABLE event_new")
    op.create_index("event_occurrence", "event", ["occurrence"])
    op.create_index("event_alarm_time", "event", ["alarm", "time"])
    op.execute("ALTER VIEW sample RENAME TO sample_view")
    op.execute(
        "CREATE TABLE sample (tag varchar, at bigint, value double precision, "
        "quality smallint NOT NULL, PRIMARY KEY (tag, at))"
    )
    op.execute("INSERT INTO sample SELECT tag, at, value, quality FROM sample_view")
    op.execute("DROP VIEW sample_view")
    for table in (
        "sample_raw", "tag_name", "sample_minute", "sample_hour", "rollup_dirty", "alarm_day",
        "alarm_day_done", "feed_position", "feed_consumer",
    ):  # fmt: skip
        op.drop_table(table)
