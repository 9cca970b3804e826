"""Accounts with a ledger full of rows, written as metering writes them, without the hours it takes."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from helvetia.accounts.model import Account, AccountKind
from helvetia.accounts.store import insert_account
from helvetia.containers.model import ServiceDefinition
from helvetia.containers.store import insert_service
from helvetia.database.pool import Database
from helvetia.kernel.identity import AccountId, ServiceId, new_account_id, new_id, new_service_id
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric
from helvetia.metering.store import create_metering_account
from helvetia.subscriptions.store import insert_free

_COPY = """COPY usage_records (id, account_id, service_id, metric, incarnation, revision, quantity, "timestamp",
    period_start, period_end, closed_at, reading_count) FROM STDIN"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """A row as the test knows it."""

    account_id: AccountId
    service_id: ServiceId
    metric: UsageMetric
    quantity: int
    starts_at: datetime
    ends_at: datetime
    incarnation: str
    revision: int = 0


async def open_account(database: Database, now: datetime, services: int = 2) -> tuple[AccountId, list[ServiceId]]:
    """A user on FREE with services that never ran."""
    account_id, service_ids = new_account_id(), [new_service_id() for _ in range(services)]
    account = Account(account_id=account_id, kind=AccountKind.USER, name="a", created_at=now)
    async with database.transaction() as tx:
        await insert_account(tx, account)
        await create_metering_account(tx, account_id)
        await insert_free(tx, account, now)
        for number, service_id in enumerate(service_ids):
            definition = ServiceDefinition(name=f"web-{number}", image="demo", memory_mb=64, cpu_cores=Decimal("0.1"))
            await insert_service(tx, account_id, service_id, definition, now)
    return account_id, service_ids


def random_rows(
    luck: random.Random,
    account_id: AccountId,
    service_ids: Sequence[ServiceId],
    until: datetime,
    *,
    days: int,
    count: int,
) -> list[LedgerRow]:
    """Pieces at odd instants of the last days, some with a late difference."""
    rows = []
    for _ in range(count):
        hour = until.replace(minute=0, second=0, microsecond=0) - timedelta(hours=luck.randrange(1, days * 24))
        starts_at = hour + timedelta(seconds=luck.choice((0, 0, luck.randrange(3_600))))
        metric = luck.choice(list(UsageMetric))
        row = LedgerRow(
            account_id=account_id,
            service_id=luck.choice(service_ids),
            metric=metric,
            quantity=luck.randrange(SOLD_UNITS[metric].base_per_unit * 3),
            starts_at=starts_at,
            ends_at=hour + timedelta(hours=1),
            incarnation=uuid4().hex,
        )
        rows.append(row)
        if luck.random() < 0.2:
            late = luck.randrange(-row.quantity, 1_000_000)
            rows.append(LedgerRow(**{**_fields(row), "quantity": late, "revision": 1}))
    return rows


async def write_rows(database: Database, rows: Sequence[LedgerRow]) -> None:
    async with database.transaction() as tx, tx.cursor() as cursor, cursor.copy(_COPY) as copy:
        for row in rows:
            now = row.ends_at.astimezone(UTC)
            await copy.write_row(
                (
                    *(new_id(), row.account_id, row.service_id, row.metric.value, row.incarnation, row.revision),
                    *(row.quantity, now, row.starts_at, row.ends_at, now, 0),
                )
            )


def _fields(row: LedgerRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in LedgerRow.__slots__}
