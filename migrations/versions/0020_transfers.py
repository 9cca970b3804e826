"""Services that move to another owner: who owned them when, and the parts that their lives are split into.

A former owner keeps a row of the service, marked as transferred, so that its usage and its names stay its own.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

SERVICES = """
ALTER TABLE services ADD COLUMN IF NOT EXISTS transferred_at timestamptz;
ALTER TABLE services DROP CONSTRAINT IF EXISTS services_service_id_key;
CREATE UNIQUE INDEX IF NOT EXISTS services_one_owner ON services (service_id) WHERE transferred_at IS NULL;
CREATE TABLE IF NOT EXISTS service_transfers (
    account_id uuid NOT NULL REFERENCES accounts,
    service_id uuid NOT NULL,
    transferred_at timestamptz NOT NULL,
    to_account_id uuid NOT NULL REFERENCES accounts,
    PRIMARY KEY (account_id, service_id, transferred_at)
);
CREATE INDEX IF NOT EXISTS service_transfers_by_service ON service_transfers (service_id, transferred_at);
"""

LIVES = """
ALTER TABLE container_runs ADD COLUMN IF NOT EXISTS run_started_ns bigint;
ALTER TABLE container_runs ADD COLUMN IF NOT EXISTS owned_until_ns bigint;
ALTER TABLE container_runs ADD COLUMN IF NOT EXISTS base_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE storage_holders ADD COLUMN IF NOT EXISTS of_holder text;
ALTER TABLE storage_holders ADD COLUMN IF NOT EXISTS owned_until_ns bigint;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for part in (SERVICES, LIVES):
        op.execute(part)
