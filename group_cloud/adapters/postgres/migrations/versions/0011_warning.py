"""Early warning: windows that factories sent, learners, models that went down."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE warning_plant (
    site varchar NOT NULL, plant varchar NOT NULL, line varchar NOT NULL, tags jsonb NOT NULL,
    at bigint NOT NULL, PRIMARY KEY (site, plant)
);
CREATE TABLE warning_window (
    plant varchar NOT NULL, at bigint NOT NULL, site varchar NOT NULL, revision bigint NOT NULL,
    label integer NOT NULL, fault varchar NOT NULL, vector bytea NOT NULL,
    learnt boolean NOT NULL, received_at bigint NOT NULL, PRIMARY KEY (plant, at, site)
);
CREATE INDEX warning_window_new ON warning_window (plant, at) WHERE NOT learnt;
CREATE TABLE warning_learner (
    tenant varchar NOT NULL, plant varchar NOT NULL, day integer NOT NULL, state bytea NOT NULL,
    figures jsonb NOT NULL, sites jsonb NOT NULL, at bigint NOT NULL, PRIMARY KEY (tenant, plant)
);
CREATE TABLE warning_model (
    id varchar PRIMARY KEY, tenant varchar NOT NULL, plant varchar NOT NULL, tags jsonb NOT NULL,
    status varchar NOT NULL, model jsonb NOT NULL, figures jsonb NOT NULL,
    created_at bigint NOT NULL, first_by varchar NOT NULL, decided_by varchar NOT NULL,
    decided_at bigint, reason varchar NOT NULL
);
CREATE INDEX warning_model_of ON warning_model (tenant, plant, created_at);
CREATE TABLE warning_push (
    id varchar PRIMARY KEY, model varchar NOT NULL, site varchar NOT NULL, plant varchar NOT NULL,
    counter bigint NOT NULL, kind varchar NOT NULL, status varchar NOT NULL,
    payload bytea NOT NULL, signature bytea NOT NULL, expires_at bigint NOT NULL,
    code varchar NOT NULL, params jsonb NOT NULL, at bigint NOT NULL
);
CREATE UNIQUE INDEX warning_push_number ON warning_push (site, counter);
CREATE INDEX warning_push_of ON warning_push (model)
"""


def upgrade() -> None:
    for statement in _UP.split(";"):
        op.execute(statement)


def downgrade() -> None:
    for table in (
        "warning_push", "warning_model", "warning_learner", "warning_window", "warning_plant"
    ):  # fmt: skip
        op.execute(f"DROP TABLE {table}")
