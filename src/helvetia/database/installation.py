"""The name of this installation: made once by the first migration, worn by every container as a label."""

from helvetia.database.pool import Database


async def read_installation_id(database: Database) -> str:
    async with database.transaction() as tx:
        row = await (await tx.execute("SELECT installation_id FROM installation")).fetchone()
    if row is None:
        raise RuntimeError("the database is not migrated: run `helvetia migrate`")
    return str(row[0])
