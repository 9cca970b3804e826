"""All SQL of clock steps: stretches of a node's wall-clock time that it jumped over, and what they were counted to."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from psycopg.rows import class_row

from helvetia.database.pool import Transaction
from helvetia.kernel.clock_steps import ClockReading, ClockStep
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
