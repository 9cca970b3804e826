"""All SQL of changes: the audit record of services, and the days of which something of theirs is missing."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, timedelta
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from helvetia.costs.changes.model import ChangeKind, RecordedChange
from helvetia.database.pool import Transaction
from helvetia.kernel.clock import from_ns, to_ns
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.period import Period

_FIELDS = ("image", "replicas", "memory_mb", "cpu_cores")
_KINDS: Mapping[str, ChangeKind] = {
    "service_created": ChangeKind.CREATED,
    "service_changed": ChangeKind.DEPLOYED,
    "service_started": ChangeKind.STARTED,
    "service_stopped": ChangeKind.STOPPED,
    "service_deleted": ChangeKind.DELETED,
    "service_transferred": ChangeKind.TRANSFERRED,
    "service_held": ChangeKind.HELD,
    "service_resumed": ChangeKind.RESUMED,
    "services_held": ChangeKind.HELD,
    "services_held_for_quota": ChangeKind.HELD,
    "services_resumed": ChangeKind.RESUMED,
    "quota_hold_lifted": ChangeKind.RESUMED,
}
# One service by itself, or all of a hold, an entry a service.
_CHANGES = """
SELECT e.recorded_at, e.action, e.detail, told.service_id::uuid AS service_id FROM audit_entries e CROSS JOIN LATERAL (
    SELECT e.detail ->> 'serviceId' AS service_id WHERE e.detail ? 'serviceId'
    UNION ALL SELECT jsonb_array_elements_text(e.detail -> 'services') WHERE NOT e.detail ? 'serviceId'
) AS told
WHERE e.account_id = %(account_id)s AND e.recorded_at >= %(starts_at)s AND e.recorded_at < %(ends_at)s
  AND e.action = ANY(%(actions)s) AND (%(service_id)s::text IS NULL OR told.service_id = %(service_id)s::text)
ORDER BY e.recorded_at DESC, told.service_id LIMIT %(limit)s
"""
_GAPS = """
SELECT service_id, starts_ns, ends_ns FROM metering_findings
WHERE account_id = %(account_id)s AND kind = 'gap' AND service_id = ANY(%(services)s::uuid[])
  AND starts_ns < %(last_ns)s AND ends_ns > %(first_ns)s
LIMIT %(limit)s
"""
GAPS_MAX = 5_000


async def changes(
    tx: Transaction, account_id: AccountId, period: Period, service_id: ServiceId | None, *, limit: int
) -> list[RecordedChange]:
    """What was done to the account's services in a period, newest first."""
    values = {
        "account_id": account_id,
        "starts_at": period.starts_at,
        "ends_at": period.ends_at,
        "service_id": None if service_id is None else str(service_id),
        "actions": list(_KINDS),
        "limit": limit,
    }
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_CHANGES, values)
        return [_to_change(row) for row in await cursor.fetchall()]


async def gap_days(
    tx: Transaction, account_id: AccountId, services: Sequence[ServiceId], period: Period
) -> Mapping[ServiceId, frozenset[date]]:
    """The UTC days that gaps of these services reach into."""
    values = {
        "account_id": account_id,
        "services": list(services),
        "first_ns": to_ns(period.starts_at),
        "last_ns": to_ns(period.ends_at),
        "limit": GAPS_MAX,
    }
    found: dict[ServiceId, set[date]] = {}
    for service_id, starts_ns, ends_ns in await (await tx.execute(_GAPS, values)).fetchall():
        first, last = (from_ns(at).astimezone(UTC).date() for at in (starts_ns, max(starts_ns, ends_ns - 1)))
        days = {first + timedelta(days=number) for number in range((last - first).days + 1)}
        found.setdefault(ServiceId(service_id), set()).update(days)
    return {service_id: frozenset(days) for service_id, days in found.items()}


def _to_change(row: Mapping[str, Any]) -> RecordedChange:
    detail: Mapping[str, Any] = row["detail"]
    kind, former = _KINDS[row["action"]], detail.get("former") or {}
    now = {name: str(detail[name]) for name in _FIELDS if name in detail}
    also = tuple(str(name) for name in detail.get("also") or ())
    if kind is ChangeKind.DEPLOYED and set(now) == {"replicas"} and not also:
        kind = ChangeKind.SCALED
    return RecordedChange(
        at=row["recorded_at"],
        service_id=ServiceId(UUID(str(row["service_id"]))),
        kind=kind,
        revision=detail.get("revision"),
        former={name: str(former[name]) for name in _FIELDS if name in former},
        now=now,
        also=also,
    )
