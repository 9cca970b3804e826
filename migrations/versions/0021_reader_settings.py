"""How the pages speak to a user: language and time zone; null until they chose."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        "ALTER TABLE users ADD COLUMN IF NOT EXISTS language text CHECK (language IN ('en', 'de')),"
        " ADD COLUMN IF NOT EXISTS time_zone text"
    )
