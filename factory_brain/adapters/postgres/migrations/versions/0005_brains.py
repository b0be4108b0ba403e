"""Leases of several brains, and what one brain tells the others of its commits.

The notes are written by triggers, so that every way of writing is seen, and only while there is
more than one brain. They are hints (unlogged): who misses some reads everything anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

WATCHED = {
    "occurrence": "SELECT DISTINCT 'occurrence', occurrence FROM changed",
    "fact": "SELECT DISTINCT 'said', alarm FROM changed "
    "UNION SELECT DISTINCT 'occurrence', occurrence FROM changed WHERE occurrence <> ''",
    "system_condition": "SELECT DISTINCT 'system', '' FROM changed WHERE code <> 'write_probe'",
    "run": "SELECT DISTINCT 'run', id FROM changed",
    "journal": "SELECT DISTINCT 'run', run FROM changed",
}


def upgrade() -> None:
    op.create_table(
        "brain",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("boot", sa.String(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attended", sa.Boolean(), nullable=False),
        sa.Column("horn", sa.JSON(), nullable=False),
        sa.Column("life", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", "boot"),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ttl_ms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "brain_news",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("xid", sa.BigInteger(), nullable=False,
                  server_default=sa.text("((pg_current_xact_id())::text)::bigint")),
        sa.Column("by", sa.String(), nullable=False,
                  server_default=sa.text("current_setting('application_name'::text)")),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False,
                  server_default=sa.text("now()")),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        prefixes=["UNLOGGED"],
    )  # fmt: skip
    op.create_index("brain_news_xid", "brain_news", ["xid"], unique=False)
    for table, rows in WATCHED.items():
        op.execute(
            f"CREATE FUNCTION brain_news_of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ "
            "BEGIN IF (SELECT count(*) FROM brain) > 1 THEN "
            f"INSERT INTO brain_news (kind, key) {rows}; END IF; RETURN NULL; END $$"
        )
        for verb in ("INSERT", "UPDATE"):
            op.execute(
                f"CREATE TRIGGER brain_news_{verb.lower()} AFTER {verb} ON {table} "
                "REFERENCING NEW TABLE AS changed FOR EACH STATEMENT "
                f"EXECUTE FUNCTION brain_news_of_{table}()"
            )


def downgrade() -> None:
    for table in WATCHED:
        for verb in ("insert", "update"):
            op.execute(f"DROP TRIGGER brain_news_{verb} ON {table}")
        op.execute(f"DROP FUNCTION brain_news_of_{table}()")
    for table in ("brain_news", "lease", "brain"):
        op.drop_table(table)
