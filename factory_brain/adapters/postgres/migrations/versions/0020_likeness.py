"""Likeness: what the group says a flood resembles; other brains of the site are told of it."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE TABLE flood_likeness (incident varchar PRIMARY KEY, number bigint NOT NULL, "
        "expires_at bigint NOT NULL, received_at bigint NOT NULL, body bytea NOT NULL)"
    )
    op.execute("CREATE INDEX flood_likeness_expires ON flood_likeness (expires_at)")
    op.execute(
        "CREATE FUNCTION brain_news_of_flood_likeness() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN IF (SELECT count(*) FROM brain) > 1 THEN INSERT INTO brain_news (kind, key) "
        "SELECT DISTINCT 'flood_likeness', incident FROM changed; END IF; RETURN NULL; END $$"
    )
    for verb in ("INSERT", "UPDATE"):
        op.execute(
            f"CREATE TRIGGER brain_news_{verb.lower()} AFTER {verb} ON flood_likeness "
            "REFERENCING NEW TABLE AS changed FOR EACH STATEMENT "
            "EXECUTE FUNCTION brain_news_of_flood_likeness()"
        )


def downgrade() -> None:
    op.execute("DROP TABLE flood_likeness")
    op.execute("DROP FUNCTION brain_news_of_flood_likeness()")
