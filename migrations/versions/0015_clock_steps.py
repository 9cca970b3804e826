"""Steps of the nodes' clocks: stretches of wall-clock time that nobody lived."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

STEPS = """
CREATE TABLE IF NOT EXISTS metering_clock_steps (
    node text NOT NULL,
    stepped_to_ns bigint NOT NULL,
    step_ns bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (node, stepped_to_ns, step_ns)
);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(STEPS)
