"""When an account's card was looked at last, so that each is looked at once a day."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE enforcement_accounts ADD COLUMN IF NOT EXISTS card_checked_at timestamptz")
