"""Directives that wait for people of the factory: who said what, and what the edge's trial told.

The directives themselves are in `directive_relay`.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE TABLE directive_consent (edge varchar NOT NULL, counter bigint NOT NULL, "
        "actor varchar NOT NULL, accept boolean NOT NULL, reason varchar NOT NULL, "
        "at bigint NOT NULL, PRIMARY KEY (edge, counter, actor))"
    )
    op.execute(
        "CREATE TABLE directive_trial (rollout varchar NOT NULL, edge varchar NOT NULL, "
        "alarm varchar NOT NULL, before integer NOT NULL, after integer NOT NULL, "
        "coverage_s double precision NOT NULL, at bigint NOT NULL, "
        "PRIMARY KEY (rollout, edge, alarm))"
    )
    op.execute("CREATE INDEX directive_trial_at ON directive_trial (at)")


def downgrade() -> None:
    op.execute("DROP TABLE directive_trial")
    op.execute("DROP TABLE directive_consent")
