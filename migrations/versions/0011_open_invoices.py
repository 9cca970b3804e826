"""Invoices that are to be voided before the open ones are paid, and cards that were put in since a payment failed."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

SETTLEMENT = """
CREATE TABLE IF NOT EXISTS invoice_voids (
    account_id uuid NOT NULL REFERENCES accounts,
    stripe_invoice_id text NOT NULL,
    decided_by text NOT NULL,
    decided_at timestamptz NOT NULL,
    done_at timestamptz,
    PRIMARY KEY (account_id, stripe_invoice_id)
);
CREATE TABLE IF NOT EXISTS payment_offers (
    account_id uuid PRIMARY KEY REFERENCES accounts,
    payment_method_id text NOT NULL,
    offered_at timestamptz NOT NULL
);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(SETTLEMENT)
