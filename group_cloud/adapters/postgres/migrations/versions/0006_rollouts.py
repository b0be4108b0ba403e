"""Roll-outs: change sets in stages; a directive is a part of one and may bring several settings."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_PLAN = """
CREATE TABLE rollout_plan (
    id varchar PRIMARY KEY, state varchar NOT NULL, ended boolean NOT NULL, stage varchar,
    stage_at bigint NOT NULL, policy_name varchar NOT NULL, policy jsonb NOT NULL,
    changes jsonb NOT NULL, points jsonb NOT NULL, sites jsonb NOT NULL, proposals jsonb NOT NULL,
    created_at bigint NOT NULL, created_by varchar NOT NULL, agreed_by varchar NOT NULL,
    reason varchar NOT NULL, expires_at bigint NOT NULL, code varchar NOT NULL,
    params jsonb NOT NULL, hold varchar NOT NULL, hold_params jsonb NOT NULL,
    excluded jsonb NOT NULL, at bigint NOT NULL
);
CREATE INDEX rollout_plan_going ON rollout_plan (created_at) WHERE NOT ended;
CREATE INDEX rollout_plan_points ON rollout_plan USING gin (points) WHERE NOT ended;
CREATE INDEX rollout_plan_proposals ON rollout_plan USING gin (proposals)
"""
_DIRECTIVES = """
ALTER TABLE rollout ADD COLUMN plan varchar NOT NULL DEFAULT '',
    ADD COLUMN stage varchar NOT NULL DEFAULT '',
    ADD COLUMN kind varchar NOT NULL DEFAULT 'settings',
    ADD COLUMN proposals jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN changes jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN left_out jsonb NOT NULL DEFAULT '[]';
UPDATE rollout SET proposals = jsonb_build_array(proposal),
    changes = jsonb_build_object(alarm, setting),
    left_out = CASE WHEN withdrawn THEN jsonb_build_array(alarm) ELSE '[]'::jsonb END;
ALTER TABLE rollout DROP COLUMN proposal, DROP COLUMN alarm, DROP COLUMN setting,
    DROP COLUMN withdrawn, DROP CONSTRAINT rollout_site_edge_counter_key,
    ALTER COLUMN plan DROP DEFAULT, ALTER COLUMN stage DROP DEFAULT,
    ALTER COLUMN kind DROP DEFAULT, ALTER COLUMN proposals DROP DEFAULT,
    ALTER COLUMN changes DROP DEFAULT, ALTER COLUMN left_out DROP DEFAULT;
ALTER TABLE rollout RENAME COLUMN left_out TO withdrawn;
CREATE INDEX ix_rollout_plan ON rollout (plan);
CREATE UNIQUE INDEX rollout_number ON rollout (site, edge, (kind = 'dry_run'), counter);
CREATE INDEX rollout_proposals ON rollout USING gin (proposals);
CREATE INDEX rollout_unheard ON rollout (status) WHERE status IN ('signed', 'sent')
"""
_BACK = """
DROP TABLE rollout_plan;
DELETE FROM rollout WHERE kind = 'dry_run';
DROP INDEX ix_rollout_plan, rollout_number, rollout_proposals, rollout_unheard;
ALTER TABLE rollout RENAME COLUMN withdrawn TO left_out;
ALTER TABLE rollout ADD COLUMN proposal varchar NOT NULL DEFAULT '',
    ADD COLUMN alarm varchar NOT NULL DEFAULT '', ADD COLUMN setting jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN withdrawn boolean NOT NULL DEFAULT false;
UPDATE rollout SET proposal = coalesce(proposals->>0, ''), withdrawn = left_out <> '[]'::jsonb,
    alarm = (SELECT min(k) FROM jsonb_object_keys(changes) k),
    setting = changes->(SELECT min(k) FROM jsonb_object_keys(changes) k);
ALTER TABLE rollout DROP COLUMN plan, DROP COLUMN stage, DROP COLUMN kind, DROP COLUMN proposals,
    DROP COLUMN changes, DROP COLUMN left_out, ALTER COLUMN proposal DROP DEFAULT,
    ALTER COLUMN alarm DROP DEFAULT, ALTER COLUMN setting DROP DEFAULT,
    ALTER COLUMN withdrawn DROP DEFAULT,
    ADD CONSTRAINT rollout_site_edge_counter_key UNIQUE (site, edge, counter);
CREATE INDEX ix_rollout_proposal ON rollout (proposal)
"""


def _run(script: str) -> None:
    for statement in script.split(";\n"):
        op.execute(statement)


def upgrade() -> None:
    _run(_PLAN)
    op.execute("DROP INDEX ix_rollout_proposal")
    _run(_DIRECTIVES)


def downgrade() -> None:
    _run(_BACK)
