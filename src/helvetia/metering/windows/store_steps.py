"""All SQL of what counts nothing: stretches of a node's wall-clock time that it jumped over, and what was counted of
them before; those in which a service was held for payment.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from psycopg.rows import class_row

from helvetia.database.pool import Transaction
from helvetia.kernel.clock_steps import ClockReading, ClockStep
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.metering.model import floor_hour_ns

# Time after an instant that the clock jumped back to is lived once more: what was skipped of it is not skipped.
_FORGET = (
    "DELETE FROM metering_clock_steps WHERE node = %(node)s AND step_ns > 0 AND stepped_to_ns - step_ns >= %(to_ns)s"
)
_TRIM = """
UPDATE metering_clock_steps SET step_ns = step_ns - (stepped_to_ns - %(to_ns)s), stepped_to_ns = %(to_ns)s
WHERE node = %(node)s AND step_ns > 0 AND stepped_to_ns > %(to_ns)s
"""
_SAVE = """
INSERT INTO metering_clock_steps (node, stepped_to_ns, step_ns, since_ns, recorded_at)
VALUES (%(node)s, %(to_ns)s, %(step_ns)s, %(since_ns)s, %(at)s) ON CONFLICT DO NOTHING
"""
_SINCE = "coalesce(since_ns, stepped_to_ns - step_ns)"
"""The earliest instant at which a clock can have stepped; rows of before it was kept know only the latest."""
_REOPEN = (
    """SELECT FROM container_runs WHERE node = %(node)s AND final_until_ns > %(hour_ns)s
       ORDER BY account_id, service_id, incarnation FOR NO KEY UPDATE""",
    """UPDATE container_runs SET final_until_ns = %(hour_ns)s, closed_at = NULL
       WHERE node = %(node)s AND final_until_ns > %(hour_ns)s""",
    """SELECT FROM storage_holders WHERE node = %(node)s AND final_until_ns > %(hour_ns)s
       ORDER BY account_id, service_id, holder FOR NO KEY UPDATE""",
    """UPDATE storage_holders SET final_until_ns = %(hour_ns)s, closed_at = NULL
       WHERE node = %(node)s AND final_until_ns > %(hour_ns)s""",
)


_LEFT_OUT = """(SELECT coalesce(sum(upper(part) - lower(part)), 0) FROM (
    SELECT unnest(range_agg(int8range(starts_ns, ends_ns))) AS part FROM (
        SELECT greatest({starts}, jump.from_ns) AS starts_ns, least({ends}, jump.from_ns + s.step_ns) AS ends_ns
        FROM metering_clock_steps s CROSS JOIN LATERAL (
            SELECT greatest({since}, least({until}, s.stepped_to_ns) - s.step_ns) AS from_ns) AS jump
        WHERE s.node = {life}.node AND s.step_ns > 0{held}
    ) AS stretch WHERE starts_ns < ends_ns
) AS merged)"""
_HELD = """
        UNION ALL
        SELECT greatest({starts}, p.starts_ns), least({ends}, p.ends_ns) FROM payment_hold_stretches p
        WHERE p.account_id = {life}.account_id AND p.service_id = {life}.service_id"""


def uncounted_ns(life: str, *, starts: str, ends: str, until: str, is_run: bool = True) -> str:
    """SQL: how much of [starts, ends) does not count, of a row `life` with its node that ends (or was seen) `until`.

    What its node's clock jumped over (a step that was seen late took away the last of the time that it can have), and
    of a run what was held for payment.
    """
    held = _HELD.format(life=life, starts=starts, ends=ends) if is_run else ""
    return _LEFT_OUT.format(life=life, starts=starts, ends=ends, until=until, since=_SINCE, held=held)


async def lock_clock_reading(tx: Transaction, node: str) -> ClockReading | None:
    """The last reading of a node's clocks; the caller holds the node's lock."""
    async with tx.cursor(row_factory=class_row(ClockReading)) as cursor:
        await cursor.execute("SELECT boot_id, wall_ns, monotonic_ns FROM metering_clocks WHERE node = %s", (node,))
        return await cursor.fetchone()


async def save_clock_reading(tx: Transaction, node: str, reading: ClockReading, recorded_at: datetime) -> None:
    """The reading that the next is compared with."""
    await tx.execute(
        """INSERT INTO metering_clocks (node, boot_id, wall_ns, monotonic_ns, recorded_at) VALUES (%s, %s, %s, %s, %s)
           ON CONFLICT (node) DO UPDATE SET boot_id = EXCLUDED.boot_id, wall_ns = EXCLUDED.wall_ns,
               monotonic_ns = EXCLUDED.monotonic_ns, recorded_at = EXCLUDED.recorded_at""",
        (node, reading.boot_id, reading.wall_ns, reading.monotonic_ns, recorded_at),
    )


async def save_clock_step(tx: Transaction, node: str, step: ClockStep, recorded_at: datetime) -> None:
    """A node's clock jumped to an instant; what was counted for good since it may have done so is counted anew."""
    stepped_to_ns, step_ns = step.stepped_to_ns, step.step_ns
    from_ns = stepped_to_ns if step_ns < 0 else step.since_ns
    values = {"node": node, "to_ns": stepped_to_ns, "step_ns": step_ns, "since_ns": step.since_ns, "at": recorded_at}
    if step_ns < 0:
        row = await (
            await tx.execute(
                f"""SELECT min({_SINCE}) FROM metering_clock_steps
                   WHERE node = %(node)s AND step_ns > 0 AND stepped_to_ns > %(to_ns)s""",
                values,
            )
        ).fetchone()
        from_ns = stepped_to_ns if row is None or row[0] is None else min(from_ns, row[0])
        await tx.execute(_FORGET, values)
        await tx.execute(_TRIM, values)
    await tx.execute(_SAVE, values)
    for statement in _REOPEN:
        await tx.execute(statement, {"node": node, "hour_ns": floor_hour_ns(from_ns)})


async def skipped_stretches(tx: Transaction) -> Mapping[str, Sequence[ClockStep]]:
    """For each node the times that its clock jumped ahead, in order."""
    cursor = await tx.execute(
        f"""SELECT node, {_SINCE}, stepped_to_ns, step_ns FROM metering_clock_steps WHERE step_ns > 0
            ORDER BY node, stepped_to_ns"""
    )
    found: dict[str, list[ClockStep]] = {}
    for node, since_ns, to_ns, step_ns in await cursor.fetchall():
        found.setdefault(node, []).append(ClockStep(since_ns=since_ns, stepped_to_ns=to_ns, step_ns=step_ns))
    return found


async def held_stretches(
    tx: Transaction, account_id: AccountId, *, since_ns: int
) -> Mapping[ServiceId, Sequence[tuple[int, int]]]:
    """For each service the stretches after an instant in which it was held for payment, in order; now's has no end."""
    cursor = await tx.execute(
        """SELECT service_id, starts_ns, coalesce(ends_ns, 9223372036854775807) FROM payment_hold_stretches
           WHERE account_id = %s AND (ends_ns IS NULL OR ends_ns > %s) ORDER BY service_id, starts_ns""",
        (account_id, since_ns),
    )
    found: dict[ServiceId, list[tuple[int, int]]] = {}
    for service_id, starts_ns, ends_ns in await cursor.fetchall():
        found.setdefault(ServiceId(service_id), []).append((starts_ns, ends_ns))
    return found
