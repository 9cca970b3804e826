"""Credit notes are mirrored beside invoices, and an invoice tells what was taken off it before and after it was paid.

The sums are 0 until the next read of the account's invoices. Code of before this goes on as it did.
"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

INVOICES = """
ALTER TABLE invoices ADD COLUMN IF NOT EXISTS credited_before_minor bigint NOT NULL DEFAULT 0;
ALTER TABLE invoices ADD COLUMN IF NOT EXISTS credited_after_minor bigint NOT NULL DEFAULT 0;
"""

NOTES = """
CREATE TABLE IF NOT EXISTS credit_notes (
    account_id uuid NOT NULL REFERENCES accounts,
    stripe_credit_note_id text NOT NULL,
    stripe_invoice_id text NOT NULL,
    number text NOT NULL,
    status text NOT NULL CHECK (status IN ('issued', 'void')),
    currency text NOT NULL,
    total_minor bigint NOT NULL,
    before_payment_minor bigint NOT NULL,
    after_payment_minor bigint NOT NULL,
    refunded_minor bigint NOT NULL,
    outside_minor bigint NOT NULL,
    reason text,
    memo text,
    issued_at timestamptz NOT NULL,
    voided_at timestamptz,
    fetch_seq bigint NOT NULL,
    PRIMARY KEY (account_id, stripe_credit_note_id)
);
CREATE INDEX IF NOT EXISTS credit_notes_of_invoice ON credit_notes (account_id, stripe_invoice_id);
"""

# Which read of the account's invoices was stored last: an older one stores no notes.
READS = "ALTER TABLE subscriptions ADD COLUMN IF NOT EXISTS invoices_fetch_seq bigint NOT NULL DEFAULT 0"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(INVOICES)
    op.execute(NOTES)
    op.execute(READS)
