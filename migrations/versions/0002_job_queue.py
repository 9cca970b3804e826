"""The job queue's own tables, as procrastinate ships them."""

from alembic import op
from procrastinate.schema import SchemaManager

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # Straight to the driver: the schema holds % and : that SQLAlchemy would read as parameters.
    op.get_bind().connection.cursor().execute(SchemaManager.get_schema())
