"""What the clocks of each node last showed, so that whoever looks next sees a step; and from when it may have been."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

CLOCKS = """
CREATE TABLE IF NOT EXISTS metering_clocks (
    node text PRIMARY KEY,
    boot_id text NOT NULL,
    wall_ns bigint NOT NULL,
    monotonic_ns bigint NOT NULL,
    recorded_at timestamptz NOT NULL
);
ALTER TABLE metering_clock_steps ADD COLUMN IF NOT EXISTS since_ns bigint;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(CLOCKS)
