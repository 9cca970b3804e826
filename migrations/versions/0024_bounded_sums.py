"""Sums that need not begin at the beginning: what a run had sent by its last count, and gaps in order of time."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

SUMS = """
ALTER TABLE container_runs ADD COLUMN IF NOT EXISTS counted_until timestamptz;
ALTER TABLE container_runs ADD COLUMN IF NOT EXISTS counted_bytes numeric(40, 0);
CREATE INDEX IF NOT EXISTS metering_findings_gaps ON metering_findings (account_id, starts_ns, ends_ns)
    WHERE kind = 'gap';
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(SUMS)
