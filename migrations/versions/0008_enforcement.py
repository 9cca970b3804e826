"""What failed payments are known, exceptions, passes, the order of stopping, and notices with their due times."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ENFORCEMENT = """
CREATE TABLE IF NOT EXISTS payment_facts (
    account_id uuid PRIMARY KEY REFERENCES accounts,
    stripe_subscription_id text NOT NULL,
    stripe_status text NOT NULL,
    failed_invoice_id text,
    first_failed_at timestamptz,
    ended_by_failure boolean NOT NULL,
    read_at timestamptz NOT NULL,
    fetch_seq bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS enforcement_accounts (
    account_id uuid PRIMARY KEY REFERENCES accounts,
    free_chosen_at timestamptz,
    quota_checked_at timestamptz,
    noticed_plan subscription_plan
);
CREATE TABLE IF NOT EXISTS enforcement_overrides (
    account_id uuid NOT NULL REFERENCES accounts,
    override_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('extend', 'exempt')),
    until_at timestamptz NOT NULL,
    reason text NOT NULL,
    actor text NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,
    PRIMARY KEY (account_id, override_id)
);
CREATE TABLE IF NOT EXISTS enforcement_passes (
    pass_id uuid PRIMARY KEY,
    began_at timestamptz NOT NULL,
    mode text NOT NULL,
    account_count integer NOT NULL,
    would_hold_count integer NOT NULL,
    held_count integer NOT NULL,
    resumed_count integer NOT NULL,
    brake text,
    lifted_at timestamptz
);
CREATE INDEX IF NOT EXISTS enforcement_passes_newest ON enforcement_passes (began_at DESC);
ALTER TABLE service_holds ADD COLUMN IF NOT EXISTS pass_id uuid;
CREATE INDEX IF NOT EXISTS service_holds_pass ON service_holds (pass_id) WHERE pass_id IS NOT NULL;
ALTER TABLE services ADD COLUMN IF NOT EXISTS stop_rank integer;
"""

NOTIFICATIONS = """
ALTER TABLE accounts ADD COLUMN IF NOT EXISTS language text CHECK (language IN ('en', 'de'));
CREATE TABLE IF NOT EXISTS notifications (
    account_id uuid NOT NULL REFERENCES accounts,
    notification_id uuid NOT NULL,
    key text NOT NULL,
    series text NOT NULL,
    kind text NOT NULL,
    figures jsonb NOT NULL DEFAULT '{}',
    due_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('due', 'sending', 'sent', 'superseded', 'cancelled', 'failed')),
    channel text,
    recipients text[] NOT NULL DEFAULT '{}',
    subject text,
    body_text text,
    body_html text,
    attempt_count integer NOT NULL DEFAULT 0,
    next_try_at timestamptz,
    sent_at timestamptz,
    last_error text,
    read_at timestamptz,
    PRIMARY KEY (account_id, notification_id),
    UNIQUE (account_id, key)
);
CREATE INDEX IF NOT EXISTS notifications_open ON notifications (due_at) WHERE state IN ('due', 'sending');
CREATE INDEX IF NOT EXISTS notifications_newest ON notifications (account_id, due_at DESC);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(ENFORCEMENT)
    op.execute(NOTIFICATIONS)
