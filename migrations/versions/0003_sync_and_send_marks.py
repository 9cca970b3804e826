"""When a subscription's sync and mirror were last tried, why its plan is in doubt, and when a report was last sent."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MARKS = """
ALTER TABLE subscriptions ADD COLUMN IF NOT EXISTS sync_attempted_at timestamptz;
ALTER TABLE subscriptions ADD COLUMN IF NOT EXISTS invoices_mirrored_at timestamptz;
ALTER TABLE subscriptions ADD COLUMN IF NOT EXISTS plan_problem text;
ALTER TABLE meter_reports ADD COLUMN IF NOT EXISTS last_sent_at timestamptz;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(MARKS)
