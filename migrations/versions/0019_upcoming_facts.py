"""Our copy of what Stripe will add to the next invoice of an account, and what the last check of it found."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

UPCOMING_FACTS = """
CREATE TABLE IF NOT EXISTS upcoming_facts (
    account_id uuid PRIMARY KEY REFERENCES accounts,
    attempted_at timestamptz NOT NULL,
    fetch_seq bigint NOT NULL DEFAULT 0,
    facts jsonb,
    read_at timestamptz,
    followed_sync_at timestamptz,
    checked_at timestamptz,
    differences jsonb NOT NULL DEFAULT '[]',
    CHECK ((facts IS NULL) = (read_at IS NULL))
);
CREATE INDEX IF NOT EXISTS upcoming_facts_different ON upcoming_facts (account_id) WHERE differences <> '[]';
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(UPCOMING_FACTS)
