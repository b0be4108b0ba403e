"""Proposals: what the factories' history says of them, and which sites ask for two people."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE TABLE proposal_history (proposal varchar PRIMARY KEY REFERENCES proposal (id) "
        "ON DELETE CASCADE, digest varchar NOT NULL, at bigint NOT NULL, body jsonb NOT NULL)"
    )
    op.execute(
        "CREATE TABLE site_policy (site varchar PRIMARY KEY, four_eyes boolean NOT NULL, "
        "version varchar NOT NULL)"
    )


def downgrade() -> None:
    for table in ("site_policy", "proposal_history"):
        op.drop_table(table)
