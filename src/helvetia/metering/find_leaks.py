"""The arrow ledger → leak: what uses the machine and is paid by nobody, with what a day of it costs at list prices.

A figure is a lower bound: of a container that is nobody's the time is priced, not its memory, which nobody records.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from helvetia.catalogue.prices import METERED_PRICES
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock, from_ns, to_ns
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.metering import store_leaks
from helvetia.metering.model import FindingCause, Leak, LeakKind

SEEN_WITHIN = timedelta(minutes=15)
PATIENCE = timedelta(minutes=2)
REPORTABLE_FOR = timedelta(days=35)
DAY_NS = 24 * NS_PER_HOUR
_CENT_HUNDREDTH = Decimal("0.0001")


class LeakService:
    """Finds leaks and open gaps; changes nothing."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def find_leaks(self) -> Sequence[Leak]:
        """Orphan containers, storage without owner, what runs though it is held or not wished, and lost nodes.

        Dearest first. A lost node is told while what it used could still be reported, or until it comes back.
        """
        now = self._clock.now()
        seen_ns = to_ns(now - SEEN_WITHIN)
        async with self._database.transaction() as tx:
            strays = await store_leaks.strays(tx, seen_ns=seen_ns)
            unwanted = await store_leaks.unwanted_runs(tx, seen_ns=seen_ns, patience=now - PATIENCE)
            lost = await store_leaks.lost_lives(tx, since_ns=to_ns(now - REPORTABLE_FOR), day_ns=DAY_NS)
        nodes = [_lost(node, list(lives)) for node, lives in groupby(lost, key=lambda life: str(life["node"]))]
        leaks = [*map(_stray, strays), *map(_unwanted, unwanted), *nodes]
        return sorted(leaks, key=lambda leak: (-leak.day_minor, leak.name))

    async def open_gaps(self) -> Mapping[FindingCause, tuple[int, datetime]]:
        """How many gaps of each cause go on (or just ended), and since when: metering is broken there, not idle."""
        since_ns = to_ns(self._clock.now() - SEEN_WITHIN)
        async with self._database.transaction() as tx:
            rows = await store_leaks.open_gaps(tx, since_ns=since_ns)
        return {FindingCause(row["cause"]): (row["count"], from_ns(row["starts_ns"])) for row in rows}


def day_minor(metric: UsageMetric, level: int) -> Decimal:
    """What a day at this level costs, in cents."""
    price = METERED_PRICES[metric]
    exact = Decimal(DAY_NS * level) / price.unit.base_per_unit * price.unit_price_minor
    return exact.quantize(_CENT_HUNDREDTH)


def _stray(row: Mapping[str, Any]) -> Leak:
    is_storage = row["cause"] == FindingCause.STORAGE_UNOWNED
    held_bytes = int(row["detail"].split(" ", 1)[0]) if is_storage else 0
    return Leak(
        kind=LeakKind.STORAGE_UNOWNED if is_storage else LeakKind.CONTAINER_UNOWNED,
        name=row["incarnation"],
        service_id=ServiceId(row["service_id"]),
        since_at=row["recorded_at"] if is_storage else from_ns(row["starts_ns"]),
        day_minor=(
            day_minor(UsageMetric.STORAGE_GB, held_bytes) if is_storage else day_minor(UsageMetric.COMPUTE_HOURS, 1)
        ),
        detail=row["detail"],
    )


def _unwanted(row: Mapping[str, Any]) -> Leak:
    is_held = row["placed_at"] is not None
    memory = day_minor(UsageMetric.MEMORY_GB_HOURS, int(row["memory_bytes"] or 0))
    return Leak(
        kind=LeakKind.RUNNING_WHILE_HELD if is_held else LeakKind.RUNNING_UNWISHED,
        name=row["container_id"],
        service_id=ServiceId(row["service_id"]),
        since_at=row["placed_at"] if is_held else row["updated_at"],
        day_minor=day_minor(UsageMetric.COMPUTE_HOURS, 1) + memory,
        detail=f"runs though held for {row['cause']}" if is_held else "runs though stopped or deleted",
    )


def _lost(node: str, lives: Sequence[Mapping[str, Any]]) -> Leak:
    runs = [life for life in lives if life["kind"] == "run"]
    priced = [(UsageMetric.COMPUTE_HOURS, len(runs))] + [
        (UsageMetric.MEMORY_GB_HOURS if life["kind"] == "run" else UsageMetric.STORAGE_GB, int(life["held_bytes"] or 0))
        for life in lives
    ]
    return Leak(
        kind=LeakKind.NODE_LOST,
        name=node,
        service_id=ServiceId(lives[0]["service_id"]),
        since_at=from_ns(min(life["starts_ns"] for life in lives)),
        day_minor=sum((day_minor(metric, level) for metric, level in priced), Decimal(0)),
        detail=f"{len(runs)} runs and {len(lives) - len(runs)} layers and volumes ended with their node unseen",
    )
