"""Grants by area, service accounts, sign-in by OpenID Connect, the wider audit chain."""

from shared.postgres.revision_identity import downgrade_identity, upgrade_identity

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    upgrade_identity()


def downgrade() -> None:
    downgrade_identity()
