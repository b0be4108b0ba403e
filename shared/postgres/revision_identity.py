"""What the revisions "identity" of both tiers do to the tables that both tiers have.

Called by the two revisions only; like them it is never changed once it is out.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

_AUDIT_TEXTS = ("zone", "tier", "site", "address", "why")
_GUARD = """
CREATE FUNCTION andon_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'restrict_violation';
END $$
"""


def json_type() -> postgresql.JSONB:
    """A jsonb column's type."""
    return postgresql.JSONB(astext_type=sa.Text())


def append_only(table: str) -> None:
    """Refuse UPDATE, DELETE and TRUNCATE on `table`."""
    op.execute(
        f"CREATE TRIGGER {table}_rows BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION andon_append_only()"
    )
    op.execute(
        f"CREATE TRIGGER {table}_whole BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION andon_append_only()"
    )


def upgrade_identity() -> None:
    """Grants, sessions that end when idle, service accounts, the wider audit chain."""
    _accounts()
    op.create_table(
        "service_account",
        sa.Column("client", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("grants", json_type(), nullable=False),
        sa.Column("actions", json_type(), nullable=True),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("client"),
    )
    op.execute(_GUARD)
    for name in _AUDIT_TEXTS:
        column = sa.Column(name, sa.String(), nullable=False, server_default="")
        op.add_column("audit", column)
    op.add_column("audit", sa.Column("before", json_type(), nullable=True))
    op.add_column("audit", sa.Column("after", json_type(), nullable=True))
    form = sa.Column("form", sa.SmallInteger(), nullable=False, server_default="1")
    op.add_column("audit", form)
    for name in (*_AUDIT_TEXTS, "form"):
        op.alter_column("audit", name, server_default=None)
    op.create_index("audit_action", "audit", ["action", "id"])
    op.create_index("audit_actor", "audit", ["actor", "id"])
    op.create_index("audit_target", "audit", ["target", "id"])
    op.create_table(
        "audit_anchor",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("tier", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    append_only("audit")
    append_only("audit_anchor")


def _accounts() -> None:
    op.add_column("account", sa.Column("grants", json_type(), nullable=True))
    op.execute(
        "UPDATE account SET grants = coalesce((SELECT jsonb_agg(jsonb_build_array(role, '')) "
        "FROM jsonb_array_elements_text(roles) AS role), '[]')"
    )
    op.alter_column("account", "grants", nullable=False)
    op.drop_column("account", "roles")
    op.add_column("account", sa.Column("password_at", sa.BigInteger(), nullable=True))
    op.add_column("account", sa.Column("last_login_at", sa.BigInteger(), nullable=True))
    for column in (
        sa.Column("seen_at", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("provider", sa.String(), nullable=False, server_default="local"),
        sa.Column("grants", json_type(), nullable=True),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("sid", sa.String(), nullable=True),
        sa.Column("refresh", sa.LargeBinary(), nullable=True),
        sa.Column("refresh_at", sa.BigInteger(), nullable=True),
    ):
        op.add_column("web_session", column)
    op.execute("UPDATE web_session SET seen_at = created_at")
    op.alter_column("web_session", "seen_at", server_default=None)
    op.alter_column("web_session", "provider", server_default=None)
    op.create_index("web_session_subject", "web_session", ["subject"])


def downgrade_identity() -> None:
    """Back; entries of the audit log that were made since keep their first columns only."""
    for table in ("audit_anchor", "audit"):
        op.execute(f"DROP TRIGGER {table}_rows ON {table}")
        op.execute(f"DROP TRIGGER {table}_whole ON {table}")
    op.drop_table("audit_anchor")
    for name in ("audit_action", "audit_actor", "audit_target"):
        op.drop_index(name, "audit")
    for name in (*_AUDIT_TEXTS, "before", "after", "form"):
        op.drop_column("audit", name)
    op.execute("DROP FUNCTION andon_append_only()")
    op.drop_table("service_account")
    op.drop_index("web_session_subject", "web_session")
    for name in ("seen_at", "provider", "grants", "subject", "sid", "refresh", "refresh_at"):
        op.drop_column("web_session", name)
    op.add_column("account", sa.Column("roles", json_type(), nullable=True))
    op.execute(
        "UPDATE account SET roles = coalesce((SELECT jsonb_agg(DISTINCT each->>0) "
        "FROM jsonb_array_elements(grants) AS each), '[]')"
    )
    op.alter_column("account", "roles", nullable=False)
    for name in ("grants", "password_at", "last_login_at"):
        op.drop_column("account", name)
