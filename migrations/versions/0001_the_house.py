"""Accounts, services, metering, usage, subscriptions, reports, invoices.

Every table of an account is keyed by account_id first, so that the ledger can be distributed by tenant.
Instants of the engine are nanoseconds since the epoch (…_ns); instants of the business are timestamptz (…_at).
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TYPES = """
CREATE TYPE subscription_plan AS ENUM ('FREE', 'STARTER', 'PRO', 'ENTERPRISE');
CREATE TYPE subscription_status AS ENUM ('ACTIVE', 'PAST_DUE', 'CANCELED', 'UNPAID');
CREATE TYPE usage_metric AS ENUM ('COMPUTE_HOURS', 'MEMORY_GB_HOURS', 'BANDWIDTH_GB', 'STORAGE_GB');
"""

HOUSE = """
CREATE TABLE installation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    installation_id text NOT NULL
);
CREATE TABLE leases (
    name text PRIMARY KEY,
    holder text NOT NULL,
    fencing_number bigint NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE TABLE audit_entries (
    account_id uuid,
    audit_id uuid NOT NULL,
    recorded_at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    reason text,
    detail jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (audit_id)
);
CREATE INDEX audit_entries_by_account ON audit_entries (account_id, recorded_at);
"""

ACCOUNTS = """
CREATE TABLE accounts (
    account_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('user', 'organization')),
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz
);
CREATE TABLE users (
    account_id uuid PRIMARY KEY REFERENCES accounts,
    email text NOT NULL,
    password_hash text
);
CREATE UNIQUE INDEX users_email ON users (lower(email));
CREATE TABLE memberships (
    account_id uuid NOT NULL REFERENCES accounts,
    user_id uuid NOT NULL REFERENCES users,
    role text NOT NULL CHECK (role IN ('OWNER', 'BILLING_ADMIN', 'BILLING_VIEWER', 'DEVELOPER', 'MEMBER')),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, user_id)
);
CREATE INDEX memberships_by_user ON memberships (user_id);
CREATE TABLE sessions (
    session_hash bytea PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE TABLE api_tokens (
    token_hash bytea PRIMARY KEY,
    token_id uuid NOT NULL UNIQUE,
    user_id uuid NOT NULL REFERENCES users,
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_tokens_by_user ON api_tokens (user_id);
"""

SUBSCRIPTIONS = """
CREATE SEQUENCE stripe_fetch_seq;
CREATE TABLE subscriptions (
    id uuid NOT NULL UNIQUE,
    account_id uuid PRIMARY KEY REFERENCES accounts,
    user_id uuid,
    organization_id uuid,
    stripe_customer_id text UNIQUE,
    stripe_subscription_id text UNIQUE,
    stripe_status text,
    plan subscription_plan NOT NULL,
    status subscription_status NOT NULL,
    current_period_start timestamptz NOT NULL,
    current_period_end timestamptz NOT NULL,
    started_at timestamptz NOT NULL,
    cancel_at timestamptz,
    ended_at timestamptz,
    fee_minor bigint NOT NULL DEFAULT 0,
    currency text NOT NULL DEFAULT 'usd',
    fetch_seq bigint NOT NULL DEFAULT 0,
    synced_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK (num_nonnulls(user_id, organization_id) = 1),
    CHECK (coalesce(user_id, organization_id) = account_id),
    CHECK (current_period_start < current_period_end)
);
CREATE INDEX subscriptions_user_id ON subscriptions (user_id);
CREATE INDEX subscriptions_organization_id ON subscriptions (organization_id);
CREATE INDEX subscriptions_stripe_customer_id ON subscriptions (stripe_customer_id);
CREATE INDEX subscriptions_status ON subscriptions (status);
CREATE TABLE billing_periods (
    account_id uuid NOT NULL REFERENCES accounts,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    stripe_subscription_id text NOT NULL,
    stripe_customer_id text NOT NULL,
    plan subscription_plan NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, starts_at),
    CHECK (starts_at < ends_at)
);
CREATE TABLE invoices (
    account_id uuid NOT NULL REFERENCES accounts,
    stripe_invoice_id text NOT NULL,
    stripe_subscription_id text,
    number text,
    status text NOT NULL,
    billing_reason text,
    currency text NOT NULL,
    subtotal_minor bigint NOT NULL,
    total_minor bigint NOT NULL,
    amount_due_minor bigint NOT NULL,
    amount_paid_minor bigint NOT NULL,
    amount_remaining_minor bigint NOT NULL,
    attempt_count integer NOT NULL,
    next_payment_attempt_at timestamptz,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    issued_at timestamptz NOT NULL,
    finalized_at timestamptz,
    paid_at timestamptz,
    fetch_seq bigint NOT NULL,
    PRIMARY KEY (account_id, stripe_invoice_id)
);
CREATE INDEX invoices_newest ON invoices (account_id, issued_at DESC);
CREATE TABLE invoice_lines (
    account_id uuid NOT NULL,
    stripe_invoice_id text NOT NULL,
    line_number integer NOT NULL,
    stripe_line_id text NOT NULL,
    stripe_price_id text,
    description text,
    quantity numeric(30, 12),
    unit_price_minor numeric(30, 12),
    amount_minor bigint NOT NULL,
    is_proration boolean NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    PRIMARY KEY (account_id, stripe_invoice_id, line_number),
    FOREIGN KEY (account_id, stripe_invoice_id) REFERENCES invoices ON DELETE CASCADE
);
"""

CONTAINERS = """
CREATE TABLE services (
    account_id uuid NOT NULL REFERENCES accounts,
    service_id uuid NOT NULL UNIQUE,
    name text NOT NULL,
    image text NOT NULL,
    command jsonb NOT NULL DEFAULT '[]',
    env jsonb NOT NULL DEFAULT '{}',
    memory_mb integer NOT NULL CHECK (memory_mb > 0),
    cpu_cores numeric(10, 3) NOT NULL CHECK (cpu_cores > 0),
    replicas integer NOT NULL CHECK (replicas >= 0),
    volumes jsonb NOT NULL DEFAULT '[]',
    wish text NOT NULL CHECK (wish IN ('running', 'stopped')),
    revision integer NOT NULL DEFAULT 1,
    restart_number integer NOT NULL DEFAULT 0,
    status text NOT NULL,
    status_code text,
    status_message text,
    status_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    PRIMARY KEY (account_id, service_id)
);
CREATE UNIQUE INDEX services_name ON services (account_id, name) WHERE deleted_at IS NULL;
CREATE TABLE service_revisions (
    account_id uuid NOT NULL,
    service_id uuid NOT NULL,
    revision integer NOT NULL,
    definition jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, service_id, revision),
    FOREIGN KEY (account_id, service_id) REFERENCES services
);
CREATE TABLE service_holds (
    account_id uuid NOT NULL,
    service_id uuid NOT NULL,
    cause text NOT NULL CHECK (cause IN ('payment', 'quota', 'budget', 'operator')),
    reason text NOT NULL,
    placed_by text NOT NULL,
    placed_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, service_id, cause),
    FOREIGN KEY (account_id, service_id) REFERENCES services
);
"""

METERING = """
CREATE TABLE metering_accounts (
    account_id uuid PRIMARY KEY REFERENCES accounts,
    waits_for_stripe boolean NOT NULL,
    known_until timestamptz
);
CREATE TABLE metering_cuts (
    account_id uuid NOT NULL,
    cut_at timestamptz NOT NULL,
    reason text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, cut_at)
);
CREATE TABLE container_runs (
    account_id uuid NOT NULL,
    service_id uuid NOT NULL,
    incarnation text NOT NULL,
    container_id text NOT NULL,
    node text NOT NULL,
    started_ns bigint NOT NULL,
    finished_ns bigint,
    seen_ns bigint NOT NULL,
    restart_count integer NOT NULL DEFAULT 0,
    exit_code integer,
    oom_killed boolean,
    pieces_closed_until_ns bigint,
    closed_at timestamptz,
    PRIMARY KEY (account_id, service_id, incarnation),
    CHECK (finished_ns IS NULL OR finished_ns >= started_ns)
);
CREATE INDEX container_runs_by_container ON container_runs (container_id);
CREATE INDEX container_runs_open ON container_runs (account_id) WHERE closed_at IS NULL;
CREATE TABLE container_readings (
    account_id uuid NOT NULL,
    service_id uuid NOT NULL,
    incarnation text NOT NULL,
    sampled_ns bigint NOT NULL,
    interval_ms integer NOT NULL,
    memory_bytes bigint,
    memory_peak_bytes bigint,
    cpu_ns bigint,
    transmitted_bytes bigint,
    received_bytes bigint,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, service_id, incarnation, sampled_ns)
);
CREATE TABLE storage_holders (
    account_id uuid NOT NULL,
    service_id uuid NOT NULL,
    holder text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('layer', 'volume')),
    node text NOT NULL,
    first_ns bigint NOT NULL,
    seen_ns bigint NOT NULL,
    gone_ns bigint,
    closed_at timestamptz,
    PRIMARY KEY (account_id, service_id, holder)
);
CREATE INDEX storage_holders_open ON storage_holders (account_id) WHERE closed_at IS NULL;
CREATE TABLE storage_readings (
    account_id uuid NOT NULL,
    service_id uuid NOT NULL,
    holder text NOT NULL,
    sampled_ns bigint NOT NULL,
    size_bytes bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, service_id, holder, sampled_ns)
);
CREATE TABLE metering_findings (
    account_id uuid NOT NULL,
    service_id uuid NOT NULL,
    incarnation text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('gap', 'anomaly')),
    cause text NOT NULL,
    starts_ns bigint NOT NULL,
    ends_ns bigint NOT NULL,
    detail text NOT NULL DEFAULT '',
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, service_id, incarnation, kind, cause, starts_ns)
);
CREATE TABLE usage_records (
    id uuid NOT NULL,
    account_id uuid NOT NULL REFERENCES accounts,
    service_id uuid NOT NULL,
    metric usage_metric NOT NULL,
    incarnation text NOT NULL,
    revision integer NOT NULL DEFAULT 0,
    quantity numeric(40, 0) NOT NULL,
    "timestamp" timestamptz NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    closed_at timestamptz,
    reading_count integer NOT NULL DEFAULT 0,
    first_reading_ns bigint,
    last_reading_ns bigint,
    bound text,
    reason text,
    actor text,
    PRIMARY KEY (account_id, service_id, incarnation, metric, period_start, revision),
    CHECK (period_start < period_end)
);
CREATE INDEX usage_records_service_period ON usage_records (service_id, period_start, period_end);
CREATE INDEX usage_records_timestamp ON usage_records ("timestamp");
CREATE INDEX usage_records_metric ON usage_records (metric);
CREATE INDEX usage_records_account_period ON usage_records (account_id, period_start);
CREATE INDEX usage_records_open ON usage_records (account_id, period_end) WHERE closed_at IS NULL;

CREATE FUNCTION refuse_to_change_closed_usage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.closed_at IS NOT NULL THEN
        RAISE EXCEPTION 'usage record % is closed: write a difference with the next revision', OLD.id;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER closed_usage_never_changes BEFORE UPDATE OR DELETE ON usage_records
    FOR EACH ROW EXECUTE FUNCTION refuse_to_change_closed_usage();
"""

REPORTS = """
CREATE TABLE meter_reports (
    account_id uuid NOT NULL REFERENCES accounts,
    metric usage_metric NOT NULL,
    piece_start timestamptz NOT NULL,
    revision integer NOT NULL,
    billing_period_start timestamptz NOT NULL,
    billing_period_end timestamptz NOT NULL,
    stripe_customer_id text NOT NULL,
    event_name text NOT NULL,
    identifier text NOT NULL UNIQUE,
    value numeric(20, 6) NOT NULL,
    state text NOT NULL CHECK (state IN ('due', 'sent', 'confirmed', 'rejected', 'unknown', 'dead')),
    attempt_count integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    first_sent_at timestamptz,
    settled_at timestamptz,
    last_error text,
    PRIMARY KEY (account_id, metric, piece_start, revision)
);
CREATE INDEX meter_reports_open ON meter_reports (state, created_at) WHERE state IN ('due', 'sent', 'unknown');
CREATE INDEX meter_reports_period ON meter_reports (account_id, metric, billing_period_start);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for part in (TYPES, HOUSE, ACCOUNTS, SUBSCRIPTIONS, CONTAINERS, METERING, REPORTS):
        op.execute(part)
