"""The dispatch centre: resources, assignments to incidents, messages to factories' desks."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE resource (
    id varchar PRIMARY KEY, tenant varchar NOT NULL REFERENCES tenant (id), kind varchar NOT NULL,
    names jsonb NOT NULL, skills jsonb NOT NULL, site varchar NOT NULL, available boolean NOT NULL,
    contact varchar NOT NULL, changed_at bigint NOT NULL
);
CREATE TABLE assignment (
    id varchar PRIMARY KEY, site varchar NOT NULL, incident varchar NOT NULL,
    chain varchar NOT NULL, resource varchar, skills jsonb NOT NULL, state varchar NOT NULL,
    offered_at bigint NOT NULL, accept_by bigint NOT NULL, on_site_by bigint NOT NULL,
    accept_s bigint NOT NULL, at bigint NOT NULL, escalated boolean NOT NULL,
    missed boolean NOT NULL, by varchar NOT NULL, note varchar NOT NULL, history jsonb NOT NULL
);
CREATE INDEX assignment_of ON assignment (site, incident, offered_at);
CREATE UNIQUE INDEX assignment_busy ON assignment (resource)
    WHERE state IN ('offered', 'accepted', 'en_route', 'on_site');
CREATE INDEX assignment_due ON assignment (accept_by)
    WHERE state IN ('offered', 'accepted', 'en_route', 'on_site') OR NOT escalated;
CREATE TABLE desk_message (
    id varchar PRIMARY KEY, site varchar NOT NULL, text varchar NOT NULL,
    priority integer NOT NULL, author varchar NOT NULL, at bigint NOT NULL,
    expires_at bigint NOT NULL, status varchar NOT NULL, received_at bigint, acked_at bigint,
    acked_by varchar NOT NULL, reply varchar NOT NULL
);
CREATE INDEX desk_message_site ON desk_message (site, at);
CREATE INDEX desk_message_waits ON desk_message (site, at) WHERE status = 'sent'
"""


def upgrade() -> None:
    for statement in _TABLES.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    for table in ("desk_message", "assignment", "resource"):
        op.execute(f"DROP TABLE {table}")
