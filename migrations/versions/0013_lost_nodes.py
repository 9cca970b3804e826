"""Which holders are only presumed gone, because their node was not heard of any more."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE storage_holders ADD COLUMN IF NOT EXISTS presumed_gone boolean NOT NULL DEFAULT false")
