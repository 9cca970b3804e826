"""Answers of the API by the key that their request came with."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEYS = """
CREATE TABLE IF NOT EXISTS idempotency_keys (
    account_id uuid NOT NULL REFERENCES accounts,
    route text NOT NULL,
    key_hash text NOT NULL,
    request_hash text NOT NULL,
    claim_id uuid NOT NULL,
    claimed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    status integer,
    media_type text,
    body bytea,
    PRIMARY KEY (account_id, route, key_hash)
);
CREATE INDEX IF NOT EXISTS idempotency_keys_expired ON idempotency_keys (expires_at);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(KEYS)
