"""Playbooks from the group: its pushes as settled here, and the inputs that it tuned.

Other brains of the site are told of tuned inputs as of those that people set.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE TABLE group_push (counter bigint PRIMARY KEY, id varchar NOT NULL UNIQUE, "
        "playbook varchar NOT NULL, kind varchar NOT NULL, status varchar NOT NULL, "
        "code varchar NOT NULL, params jsonb NOT NULL, draft varchar, version integer, "
        "before jsonb NOT NULL, payload bytea NOT NULL, received_at bigint NOT NULL, "
        "expires_at bigint NOT NULL, at bigint NOT NULL, by varchar NOT NULL)"
    )
    op.execute("CREATE INDEX group_push_of ON group_push (playbook, counter)")
    op.execute(
        "CREATE TABLE group_input (playbook varchar NOT NULL, name varchar NOT NULL, "
        "value jsonb NOT NULL, push varchar NOT NULL, at bigint NOT NULL, "
        "PRIMARY KEY (playbook, name))"
    )
    op.execute(
        "CREATE FUNCTION brain_news_of_group_input() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN IF (SELECT count(*) FROM brain) > 1 THEN INSERT INTO brain_news (kind, key) "
        "SELECT DISTINCT 'playbook', playbook FROM changed; END IF; RETURN NULL; END $$"
    )
    for verb in ("INSERT", "UPDATE"):
        op.execute(
            f"CREATE TRIGGER brain_news_{verb.lower()} AFTER {verb} ON group_input "
            "REFERENCING NEW TABLE AS changed FOR EACH STATEMENT "
            "EXECUTE FUNCTION brain_news_of_group_input()"
        )


def downgrade() -> None:
    op.execute("DROP TABLE group_input")
    op.execute("DROP TABLE group_push")
    op.execute("DROP FUNCTION brain_news_of_group_input()")
