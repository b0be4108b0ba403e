"""Playbooks of the group: versions it keeps, their roll-outs, pushes to factories."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE playbook_variant (
    playbook varchar NOT NULL, version integer NOT NULL, text varchar NOT NULL,
    sha256 varchar NOT NULL, signature bytea NOT NULL, signed_by varchar NOT NULL,
    errors integer NOT NULL, findings jsonb NOT NULL, note varchar NOT NULL,
    added_by varchar NOT NULL, added_at bigint NOT NULL, PRIMARY KEY (playbook, version)
);
CREATE TABLE playbook_rollout (
    id varchar PRIMARY KEY, state varchar NOT NULL, ended boolean NOT NULL,
    playbook varchar NOT NULL, version integer, inputs jsonb NOT NULL, sites jsonb NOT NULL,
    created_at bigint NOT NULL, created_by varchar NOT NULL, agreed_by varchar NOT NULL,
    reason varchar NOT NULL, expires_at bigint NOT NULL, dwell_ms bigint NOT NULL,
    min_runs integer NOT NULL, resumes varchar NOT NULL, stage_at bigint NOT NULL,
    hold varchar NOT NULL, code varchar NOT NULL, params jsonb NOT NULL, evidence jsonb NOT NULL,
    at bigint NOT NULL
);
CREATE INDEX playbook_rollout_going ON playbook_rollout (created_at) WHERE NOT ended;
CREATE TABLE playbook_push (
    id varchar PRIMARY KEY, rollout varchar NOT NULL, site varchar NOT NULL,
    counter bigint NOT NULL, kind varchar NOT NULL, restores varchar NOT NULL,
    status varchar NOT NULL, payload bytea NOT NULL, signature bytea NOT NULL, version integer,
    code varchar NOT NULL, params jsonb NOT NULL, at bigint NOT NULL
);
CREATE INDEX ix_playbook_push_rollout ON playbook_push (rollout);
CREATE UNIQUE INDEX playbook_push_number ON playbook_push (site, counter);
CREATE INDEX playbook_push_unheard ON playbook_push (site) WHERE status IN ('signed', 'sent')
"""


def upgrade() -> None:
    for statement in _UP.split(";"):
        op.execute(statement)


def downgrade() -> None:
    for table in ("playbook_push", "playbook_rollout", "playbook_variant"):
        op.execute(f"DROP TABLE {table}")
