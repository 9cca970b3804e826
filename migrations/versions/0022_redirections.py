"""Reports that went to a customer whose usage it was not: who wanted them taken back, why, and what came of it."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

REDIRECTIONS = """
CREATE TABLE IF NOT EXISTS report_redirections (
    account_id uuid NOT NULL REFERENCES accounts,
    redirection_id uuid NOT NULL,
    identifier text NOT NULL,
    metric usage_metric NOT NULL,
    value numeric(20, 6) NOT NULL,
    wrong_customer_id text NOT NULL,
    right_customer_id text,
    state text NOT NULL CHECK (state IN ('open', 'done', 'refused')),
    requested_by text NOT NULL,
    reason text NOT NULL,
    requested_at timestamptz NOT NULL,
    key_at timestamptz NOT NULL,
    settled_at timestamptz,
    last_error text,
    PRIMARY KEY (account_id, redirection_id)
);
CREATE UNIQUE INDEX IF NOT EXISTS report_redirections_once ON report_redirections (identifier) WHERE state <> 'refused';
CREATE INDEX IF NOT EXISTS report_redirections_open ON report_redirections (requested_at) WHERE state = 'open';
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(REDIRECTIONS)
