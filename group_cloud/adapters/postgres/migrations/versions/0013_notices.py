"""Notices of drift, and the learners of nuisance."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE drift_watch (
    site varchar NOT NULL, feed varchar NOT NULL, began integer NOT NULL, day integer NOT NULL,
    at bigint NOT NULL, data jsonb NOT NULL, PRIMARY KEY (site, feed)
);
CREATE TABLE drift_notice (
    id varchar PRIMARY KEY, site varchar NOT NULL, what varchar NOT NULL, alarm varchar NOT NULL,
    edge varchar NOT NULL, kind varchar NOT NULL, day integer NOT NULL,
    before double precision NOT NULL, now double precision NOT NULL, trend jsonb NOT NULL,
    state varchar NOT NULL, opened_at bigint NOT NULL, taken_at bigint, taken_by varchar NOT NULL,
    closed_at bigint, closed_by varchar NOT NULL, reason varchar NOT NULL
);
CREATE UNIQUE INDEX drift_notice_one_open ON drift_notice (site, what, alarm)
    WHERE state <> 'closed';
CREATE INDEX drift_notice_opened ON drift_notice (opened_at);
CREATE TABLE nuisance_label (
    site varchar NOT NULL, occurrence varchar NOT NULL, alarm varchar NOT NULL,
    place bigint NOT NULL, nuisance boolean NOT NULL,
    raised_at bigint NOT NULL, seen jsonb NOT NULL, logistic double precision,
    bayes double precision, said double precision, PRIMARY KEY (site, occurrence)
);
CREATE INDEX nuisance_label_place ON nuisance_label (site, place);
CREATE TABLE nuisance_model (
    site varchar PRIMARY KEY, learnt bigint NOT NULL, champion varchar NOT NULL,
    at bigint NOT NULL, data jsonb NOT NULL
);
CREATE TABLE nuisance_point (
    site varchar NOT NULL, alarm varchar NOT NULL, edge varchar NOT NULL,
    probability double precision NOT NULL, low double precision NOT NULL,
    high double precision NOT NULL, labels integer NOT NULL, nuisance integer NOT NULL,
    raised integer NOT NULL, last_true_at bigint, because jsonb NOT NULL, at bigint NOT NULL,
    PRIMARY KEY (site, alarm)
);
CREATE TABLE shelving_proposal (
    id varchar PRIMARY KEY, site varchar NOT NULL, edge varchar NOT NULL, alarm varchar NOT NULL,
    kind varchar NOT NULL, hours integer NOT NULL, status varchar NOT NULL,
    labels integer NOT NULL, evidence jsonb NOT NULL, created_at bigint NOT NULL,
    decided_at bigint, decided_by varchar NOT NULL, reason varchar NOT NULL,
    message varchar NOT NULL
);
CREATE UNIQUE INDEX shelving_proposal_one_open ON shelving_proposal (site, alarm)
    WHERE status = 'open';
CREATE INDEX shelving_proposal_point ON shelving_proposal (site, alarm, created_at);
CREATE INDEX outcome_judged ON outcome (site, alarm) WHERE label IN ('true', 'nuisance')
    OR (label = '' AND body->>'dismissed' = 'true')
"""


def upgrade() -> None:
    for statement in _UP.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP INDEX outcome_judged")
    for table in (
        "shelving_proposal", "nuisance_point", "nuisance_model", "nuisance_label", "drift_notice",
        "drift_watch",
    ):  # fmt: skip
        op.execute(f"DROP TABLE {table}")
