"""Events of Stripe as they arrived, how far the walk over its own list has come, and when accounts were compared."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# An event belongs to a customer of Stripe's, which may not be an account's yet; '' is an event without a customer.
EVENTS = """
CREATE TABLE IF NOT EXISTS stripe_events (
    event_id text PRIMARY KEY,
    event_type text NOT NULL,
    customer_id text NOT NULL,
    object_id text,
    api_version text,
    created_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    source text NOT NULL CHECK (source IN ('webhook', 'backfill')),
    body bytea NOT NULL,
    due_at timestamptz NOT NULL,
    attempt_count integer NOT NULL DEFAULT 0,
    parked_at timestamptz,
    handled_at timestamptz,
    outcome text,
    CHECK ((handled_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX IF NOT EXISTS stripe_events_waiting ON stripe_events (customer_id, due_at) WHERE handled_at IS NULL;
CREATE INDEX IF NOT EXISTS stripe_events_received ON stripe_events (received_at);
CREATE TABLE IF NOT EXISTS stripe_event_walk (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    complete_from_at timestamptz,
    complete_until_at timestamptz,
    newest_event_at timestamptz,
    running_since_at timestamptz,
    running_since_wall_at timestamptz,
    running_floor_at timestamptz,
    running_newest_at timestamptz,
    running_after_event text
);
INSERT INTO stripe_event_walk (only_row) VALUES (true) ON CONFLICT DO NOTHING;
ALTER TABLE subscriptions ADD COLUMN IF NOT EXISTS compared_at timestamptz;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(EVENTS)
