"""What was done with each billing period, ends that wait too long, and the operator's tasks about unbilled usage."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

SETTLEMENT = """
ALTER TABLE subscriptions ADD COLUMN IF NOT EXISTS invoices_complete_at timestamptz;
ALTER TABLE cancellations ADD COLUMN IF NOT EXISTS alarmed_at timestamptz;
ALTER TABLE cancellations ADD COLUMN IF NOT EXISTS forced_at timestamptz;
ALTER TABLE cancellations ADD COLUMN IF NOT EXISTS forced_by text;
CREATE INDEX IF NOT EXISTS meter_reports_stream ON meter_reports (account_id, metric) WHERE state = 'due';
CREATE TABLE IF NOT EXISTS report_periods (
    account_id uuid NOT NULL REFERENCES accounts,
    period_start timestamptz NOT NULL,
    asked_at timestamptz,
    ahead_at timestamptz,
    closed_at timestamptz,
    attempt_count integer NOT NULL DEFAULT 0,
    last_error text,
    PRIMARY KEY (account_id, period_start)
);
CREATE TABLE IF NOT EXISTS subscription_ends (
    account_id uuid NOT NULL REFERENCES accounts,
    stripe_subscription_id text NOT NULL,
    ended_at timestamptz NOT NULL,
    through_at timestamptz,
    PRIMARY KEY (account_id, stripe_subscription_id)
);
CREATE TABLE IF NOT EXISTS usage_tasks (
    account_id uuid NOT NULL REFERENCES accounts,
    task_id uuid NOT NULL UNIQUE,
    cause text NOT NULL CHECK (cause IN ('late', 'ended', 'after_end')),
    metric usage_metric NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    stripe_subscription_id text NOT NULL,
    stripe_customer_id text NOT NULL,
    quantity numeric(20, 6) NOT NULL,
    unit_price_minor numeric(30, 12) NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    detail text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'billing', 'billed', 'waived', 'gone')),
    opened_at timestamptz NOT NULL,
    decided_by text,
    decided_at timestamptz,
    reason text,
    key_at timestamptz,
    stripe_invoice_item_id text,
    last_error text,
    PRIMARY KEY (account_id, task_id)
);
CREATE UNIQUE INDEX IF NOT EXISTS usage_tasks_open ON usage_tasks (account_id, metric, starts_at)
    WHERE state = 'open';
CREATE INDEX IF NOT EXISTS usage_tasks_undecided ON usage_tasks (opened_at) WHERE state IN ('open', 'billing');
CREATE TABLE IF NOT EXISTS usage_comparisons (
    account_id uuid PRIMARY KEY REFERENCES accounts,
    compared_at timestamptz NOT NULL,
    differences jsonb NOT NULL
);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(SETTLEMENT)
