"""Early warning: commissioning, windows sent, the models that run, what they have said.

Other brains of the site are told of warnings as of the product's own conditions.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE warning_norm (
    plant varchar PRIMARY KEY, tags jsonb NOT NULL, mean jsonb NOT NULL, sigma jsonb NOT NULL,
    days jsonb NOT NULL, made_at bigint NOT NULL
);
CREATE TABLE warning_sent (
    plant varchar NOT NULL, at bigint NOT NULL, label integer NOT NULL, fault varchar NOT NULL,
    revision bigint NOT NULL, sent_at bigint NOT NULL, PRIMARY KEY (plant, at)
);
CREATE TABLE warning_settled (
    counter bigint PRIMARY KEY, push varchar NOT NULL, plant varchar NOT NULL,
    kind varchar NOT NULL, status varchar NOT NULL, code varchar NOT NULL, params jsonb NOT NULL,
    payload bytea NOT NULL, expires_at bigint NOT NULL, at bigint NOT NULL
);
CREATE INDEX warning_settled_of ON warning_settled (plant, counter);
CREATE TABLE warning_judged (
    plant varchar NOT NULL, at bigint NOT NULL, push varchar NOT NULL, silent varchar NOT NULL,
    confidence double precision NOT NULL, threshold double precision NOT NULL,
    hit boolean NOT NULL, tags jsonb NOT NULL, outside integer NOT NULL, PRIMARY KEY (plant, at)
);
CREATE TABLE early_warning (
    occurrence varchar PRIMARY KEY, alarm varchar NOT NULL, line varchar NOT NULL,
    plant varchar NOT NULL, push varchar NOT NULL, raised_at bigint NOT NULL,
    since bigint NOT NULL, confidence double precision NOT NULL,
    threshold double precision NOT NULL, tags jsonb NOT NULL, outside integer NOT NULL,
    many integer NOT NULL, changed bigint NOT NULL, returned_at bigint, acked_by varchar,
    acked_at bigint, label varchar NOT NULL, label_by varchar NOT NULL, label_at bigint
);
CREATE UNIQUE INDEX early_warning_standing ON early_warning (alarm) WHERE returned_at IS NULL;
CREATE INDEX early_warning_raised ON early_warning (raised_at)
"""


def upgrade() -> None:
    for statement in _UP.split(";"):
        op.execute(statement)
    op.execute(
        "CREATE FUNCTION brain_news_of_early_warning() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN IF (SELECT count(*) FROM brain) > 1 THEN INSERT INTO brain_news (kind, key) "
        "SELECT DISTINCT 'early_warning', alarm FROM changed; END IF; RETURN NULL; END $$"
    )
    for verb in ("INSERT", "UPDATE"):
        op.execute(
            f"CREATE TRIGGER brain_news_{verb.lower()} AFTER {verb} ON early_warning "
            "REFERENCING NEW TABLE AS changed FOR EACH STATEMENT "
            "EXECUTE FUNCTION brain_news_of_early_warning()"
        )


def downgrade() -> None:
    for table in (
        "early_warning", "warning_judged", "warning_settled", "warning_sent", "warning_norm"
    ):  # fmt: skip
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION brain_news_of_early_warning()")
