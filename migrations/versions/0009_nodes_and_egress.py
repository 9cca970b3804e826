"""What left the container networks, and the remote nodes that may write readings."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

EGRESS = """
ALTER TABLE container_readings ADD COLUMN IF NOT EXISTS external_bytes bigint;
ALTER TABLE container_runs ADD COLUMN IF NOT EXISTS counts_external boolean;
"""

NODES = """
CREATE TABLE IF NOT EXISTS nodes (
    node text PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,
    seen_at timestamptz,
    clock_ahead_ms bigint
);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for part in (EGRESS, NODES):
        op.execute(part)
