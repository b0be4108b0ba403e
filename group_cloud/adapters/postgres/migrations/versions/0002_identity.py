"""Grants, service accounts, sign-in by OpenID Connect, the audit chain, factories' anchors."""

import sqlalchemy as sa
from alembic import op

from shared.postgres.revision_identity import append_only, downgrade_identity, upgrade_identity

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    upgrade_identity()
    op.create_table(
        "audit_witness",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", "id", "hash"),
    )
    append_only("audit_witness")


def downgrade() -> None:
    op.execute("DROP TRIGGER audit_witness_rows ON audit_witness")
    op.execute("DROP TRIGGER audit_witness_whole ON audit_witness")
    op.drop_table("audit_witness")
    downgrade_identity()
