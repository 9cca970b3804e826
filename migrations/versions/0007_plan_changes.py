"""Plan changes as previewed and done, cancellations under way, and what was last read of payments."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

CHANGES = """
CREATE TABLE IF NOT EXISTS plan_changes (
    account_id uuid NOT NULL REFERENCES accounts,
    change_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN
        ('previewed', 'applying', 'pending', 'scheduled', 'applied', 'declined', 'refused', 'undone')),
    direction text NOT NULL CHECK (direction IN ('upgrade', 'downgrade', 'end')),
    plan subscription_plan NOT NULL,
    from_plan subscription_plan NOT NULL,
    stripe_subscription_id text NOT NULL,
    item_id text NOT NULL,
    from_price_id text NOT NULL,
    price_id text,
    prorated_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    total_minor bigint NOT NULL,
    amount_due_minor bigint NOT NULL,
    currency text NOT NULL,
    stripe_invoice_id text,
    created_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    settled_at timestamptz,
    PRIMARY KEY (account_id, change_id)
);
CREATE INDEX IF NOT EXISTS plan_changes_newest ON plan_changes (account_id, confirmed_at DESC)
    WHERE confirmed_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS plan_changes_previewed ON plan_changes (created_at) WHERE state = 'previewed';
CREATE TABLE IF NOT EXISTS cancellations (
    account_id uuid NOT NULL REFERENCES accounts,
    stripe_subscription_id text NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    through_at timestamptz,
    attempt_count integer NOT NULL DEFAULT 0,
    last_error text,
    finished_at timestamptz,
    PRIMARY KEY (account_id, stripe_subscription_id)
);
CREATE INDEX IF NOT EXISTS cancellations_open ON cancellations (requested_at) WHERE finished_at IS NULL;
CREATE TABLE IF NOT EXISTS stripe_readings (
    account_id uuid NOT NULL REFERENCES accounts,
    kind text NOT NULL CHECK (kind IN ('payments', 'payment_methods')),
    read_at timestamptz NOT NULL,
    fetch_seq bigint NOT NULL,
    body jsonb NOT NULL,
    PRIMARY KEY (account_id, kind)
);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(CHANGES)
