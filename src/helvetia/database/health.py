"""What the database says of itself: version, schema, its clock, and who holds the worker's lease."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from helvetia.database.pool import Database

# The one statement that asks the database for the time: only to tell how far its clock is from ours.
_READ = """
SELECT current_setting('server_version') AS version,
       (SELECT version_num FROM alembic_version) AS schema_revision,
       clock_timestamp() AS database_time,
       (SELECT holder FROM leases WHERE name = 'worker') AS worker_holder,
       (SELECT nullif(expires_at, '-infinity') FROM leases WHERE name = 'worker') AS worker_lease_expires_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseHealth:
    version: str
    schema_revision: str
    database_time: datetime
    worker_holder: str | None
    worker_lease_expires_at: datetime | None


async def read_database_health(database: Database) -> DatabaseHealth:
    """Raises DatabaseUnavailable when it does not answer."""
    async with database.transaction() as tx, tx.cursor(row_factory=class_row(DatabaseHealth)) as cursor:
        await cursor.execute(_READ)
        health = await cursor.fetchone()
    if health is None:
        raise RuntimeError("a SELECT without FROM returns a row")
    return health
