"""Customers that an account had before theirs was deleted at Stripe: their events still belong to it."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

FORMER = """
CREATE TABLE IF NOT EXISTS former_customers (
    stripe_customer_id text PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts,
    replaced_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS former_customers_account ON former_customers (account_id);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(FORMER)
