"""Which failure and which plan an account was told of, so that a pass writes notices only when something changed."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MARKS = """
ALTER TABLE enforcement_accounts ADD COLUMN IF NOT EXISTS noticed_failure_at timestamptz;
ALTER TABLE enforcement_accounts ADD COLUMN IF NOT EXISTS noticed_hold_at timestamptz;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(MARKS)
