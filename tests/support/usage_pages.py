"""Brings an account of the web world into a state of the usage pages: a month of use, one day, a gap, nothing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from helvetia.accounts.model import User
from helvetia.containers.model import ServiceChange, ServiceDefinition
from helvetia.containers.service import ContainerService
from helvetia.containers.store import insert_service
from helvetia.database.pool import Database
from helvetia.enforcement.admit_service import PlanAdmission
from helvetia.enforcement.model import EnforcementConfig
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import ServiceId, new_service_id
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric
from support.usage_world import LedgerRow, write_rows

SERVICES = {"api": 2, "web": 1, "worker": 3, "postgres": 1}
_WEEK_PERCENT = (100, 104, 108, 103, 95, 60, 55)
_SENT_MB = {"api": 7, "web": 130, "worker": 1, "postgres": 6}
_HELD_GB = {"api": 1, "web": 0, "worker": 2, "postgres": 14}


async def add_services(database: Database, user: User, at: datetime) -> dict[str, ServiceId]:
    """Four services, told to the ledger only: no engine starts them."""
    ids = {name: new_service_id() for name in SERVICES}
    async with database.transaction() as tx:
        for name, service_id in ids.items():
            definition = ServiceDefinition(name=name, image="demo", memory_mb=512, cpu_cores="0.25")  # type: ignore[arg-type]
            await insert_service(tx, user.account_id, service_id, definition, at)
    return ids


async def change_services(
    database: Database,
    user: User,
    services: dict[str, ServiceId],
    changes: Sequence[tuple[str, datetime, ServiceChange]],
) -> None:
    """Deploys and scalings at their instants, oldest first, by the use case itself."""
    for name, at, change in changes:
        clock = ManualClock(at)
        containers = ContainerService(database, clock, PlanAdmission(clock, EnforcementConfig()))
        await containers.change_service(user.account_id, services[name], change, actor=f"user:{user.account_id}")


async def use_hours(
    database: Database, user: User, services: dict[str, ServiceId], starts_at: datetime, ends_at: datetime
) -> None:
    """Every hour of the range is used as a week goes, none of it by luck."""
    rows, at = [], starts_at
    while at < ends_at:
        percent = _WEEK_PERCENT[at.weekday()] * (80 + at.hour) // 100
        rows += [
            LedgerRow(
                account_id=user.account_id,
                service_id=service_id,
                metric=metric,
                quantity=_hour_of(name, metric, percent),
                starts_at=at,
                ends_at=at + timedelta(hours=1),
                incarnation=f"c-{name}-{uuid4().hex[:8]}",
            )
            for name, service_id in services.items()
            for metric in UsageMetric
            if _hour_of(name, metric, percent)
        ]
        at += timedelta(hours=1)
    await write_rows(database, rows)


def _hour_of(name: str, metric: UsageMetric, percent: int) -> int:
    replicas = SERVICES[name]
    return {
        UsageMetric.COMPUTE_HOURS: replicas * SOLD_UNITS[metric].base_per_unit,
        UsageMetric.MEMORY_GB_HOURS: replicas * SOLD_UNITS[metric].base_per_unit * percent // 250,
        UsageMetric.BANDWIDTH_GB: _SENT_MB[name] * 2**20 * percent // 100,
        UsageMetric.STORAGE_GB: _HELD_GB[name] * SOLD_UNITS[metric].base_per_unit // 730,
    }[metric]
