"""Forecasts as they were made, and what came: the record of how far they were off."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

FORECASTS = """
CREATE TABLE IF NOT EXISTS usage_forecasts (
    account_id uuid NOT NULL REFERENCES accounts,
    period_start timestamptz NOT NULL,
    series text NOT NULL,
    made_on date NOT NULL,
    period_end timestamptz NOT NULL,
    method text NOT NULL,
    p10 numeric(40, 0),
    p50 numeric(40, 0) NOT NULL,
    p90 numeric(40, 0),
    came numeric(40, 0),
    PRIMARY KEY (account_id, period_start, series, made_on)
);
CREATE INDEX IF NOT EXISTS usage_forecasts_open ON usage_forecasts (period_end) WHERE came IS NULL;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(FORECASTS)
