"""A piece of the ledger is found by its id without walking the ledger: an account's question is one index look-up."""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("CREATE INDEX IF NOT EXISTS usage_records_id ON usage_records (account_id, id)")
