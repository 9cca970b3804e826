"""The use case of the audit record: reading an account's entries. Every package writes its own."""

from collections.abc import Sequence

from helvetia.audit.model import AuditEntry
from helvetia.audit.store import newest
from helvetia.database.pool import Database
from helvetia.kernel.identity import AccountId

ENTRIES_MAX = 200


class AuditService:
    """The record, for reading."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, account_id: AccountId, actions: Sequence[str], *, limit: int) -> Sequence[AuditEntry]:
        """The account's newest entries of these actions."""
        async with self._database.transaction() as tx:
            return await newest(tx, account_id, actions, limit=max(1, min(limit, ENTRIES_MAX)))
