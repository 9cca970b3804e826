"""How far each run and holder is counted for good, which finishes are only bounds, and one row per record key."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# final_until_ns replaces pieces_closed_until_ns (never written): a piece can be final and still wait to be closed.
MARKS = """
ALTER TABLE container_runs ADD COLUMN IF NOT EXISTS final_until_ns bigint;
ALTER TABLE container_runs ADD COLUMN IF NOT EXISTS vanished boolean NOT NULL DEFAULT false;
ALTER TABLE container_runs DROP COLUMN IF EXISTS pieces_closed_until_ns;
ALTER TABLE storage_holders ADD COLUMN IF NOT EXISTS final_until_ns bigint;
CREATE INDEX IF NOT EXISTS container_runs_unfinished ON container_runs (node) WHERE finished_ns IS NULL;
CREATE INDEX IF NOT EXISTS storage_holders_held ON storage_holders (node) WHERE gone_ns IS NULL;
CREATE UNIQUE INDEX IF NOT EXISTS usage_records_external ON usage_records (account_id, incarnation)
    WHERE starts_with(incarnation, 'record:');
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(MARKS)
