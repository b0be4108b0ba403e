"""Authoring of playbooks: releases, what is withdrawn, inputs set in the console, drafts, remarks.

Other brains are told of what is released; a release is never changed, whoever tries.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None
_JSON = postgresql.JSONB(astext_type=sa.Text())
TOLD = ("playbook_release", "playbook_withdrawn", "playbook_input")


def upgrade() -> None:
    op.create_table(
        "playbook_release",
        sa.Column("playbook", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("reviewer", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("restores", sa.Integer(), nullable=True),
        sa.Column("signed_by", sa.String(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("playbook", "version"),
    )
    op.execute(
        "CREATE FUNCTION playbook_release_stands() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'a released playbook is never changed'; END $$"
    )
    op.execute(
        "CREATE TRIGGER playbook_release_stands BEFORE UPDATE OR DELETE ON playbook_release "
        "FOR EACH ROW EXECUTE FUNCTION playbook_release_stands()"
    )
    op.create_table(
        "playbook_withdrawn",
        sa.Column("playbook", sa.String(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("playbook"),
    )
    op.create_table(
        "playbook_input",
        sa.Column("playbook", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", _JSON, nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("playbook", "name"),
    )
    op.create_table(
        "playbook_draft",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("playbook", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=True),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("test", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("authors", _JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("released", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("playbook_draft_changed", "playbook_draft", ["changed_at", "id"])
    op.create_index(
        "playbook_draft_open", "playbook_draft", ["playbook"],
        postgresql_where=sa.text("status NOT IN ('released', 'discarded')"),
    )  # fmt: skip
    op.create_table(
        "playbook_remark",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("draft", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("playbook_remark_draft", "playbook_remark", ["draft", "at"])
    op.create_index("run_of_playbook", "run", ["playbook", "started_at"])
    for table in TOLD:
        _tell_others(table)


def _tell_others(table: str) -> None:
    op.execute(
        f"CREATE FUNCTION brain_news_of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN IF (SELECT count(*) FROM brain) > 1 THEN INSERT INTO brain_news (kind, key) "
        "SELECT DISTINCT 'playbook', playbook FROM changed; END IF; RETURN NULL; END $$"
    )
    for verb in ("INSERT", "UPDATE") if table != "playbook_release" else ("INSERT",):
        op.execute(
            f"CREATE TRIGGER brain_news_{verb.lower()} AFTER {verb} ON {table} "
            "REFERENCING NEW TABLE AS changed FOR EACH STATEMENT "
            f"EXECUTE FUNCTION brain_news_of_{table}()"
        )


def downgrade() -> None:
    op.drop_index("run_of_playbook", table_name="run")
    for table in ("playbook_remark", "playbook_draft", *reversed(TOLD)):
        op.drop_table(table)
    for table in TOLD:
        op.execute(f"DROP FUNCTION brain_news_of_{table}()")
    op.execute("DROP FUNCTION playbook_release_stands()")
