"""All SQL that takes readings in: each once, whatever is told twice, late or in another order.

What a run cannot have had before goes the short way, a COPY; the rest is compared with what is there. Which way a
reading took shows nowhere.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, repeat

from psycopg.errors import UniqueViolation

from helvetia.containers.model import Counts
from helvetia.database.array_literal import copy_text, plain_array, text_array
from helvetia.database.pool import Transaction
from helvetia.metering.model import Run

RunReadings = Sequence[tuple[Run, Sequence[Counts]]]

_COLUMNS = ", ".join(Counts._fields)
_COPY_READINGS = f"""
COPY container_readings (account_id, service_id, incarnation, interval_ms, recorded_at, {_COLUMNS}) FROM STDIN
"""
_NUMBERS = "\t".join(["%s"] * len(Counts._fields))

# Each run is sent once, however many readings of it there are.
_INSERT_READINGS = """
WITH run AS (
    SELECT * FROM unnest(%(accounts)s::uuid[], %(services)s::uuid[], %(incarnations)s::text[])
        WITH ORDINALITY AS run (account_id, service_id, incarnation, number)
), new AS (
    INSERT INTO container_readings (account_id, service_id, incarnation, sampled_ns, interval_ms, memory_bytes,
        memory_peak_bytes, cpu_ns, transmitted_bytes, received_bytes, external_bytes, recorded_at)
    SELECT run.account_id, run.service_id, run.incarnation, r.sampled_ns, %(interval_ms)s, r.memory_bytes,
        r.memory_peak_bytes, r.cpu_ns, r.transmitted_bytes, r.received_bytes, r.external_bytes, %(recorded_at)s
    FROM unnest(%(numbers)s::bigint[], %(sampled_ns)s::bigint[], %(memory_bytes)s::bigint[],
        %(memory_peak_bytes)s::bigint[], %(cpu_ns)s::bigint[], %(transmitted_bytes)s::bigint[],
        %(received_bytes)s::bigint[], %(external_bytes)s::bigint[]) AS r (number, sampled_ns, memory_bytes,
        memory_peak_bytes, cpu_ns, transmitted_bytes, received_bytes, external_bytes)
    JOIN run USING (number)
    ON CONFLICT DO NOTHING RETURNING incarnation, sampled_ns
)
SELECT incarnation, min(sampled_ns) FROM new GROUP BY incarnation
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What all readings of one intake have in common.

    `stored`: the runs as they stand in the database, locked, by incarnation. `siblings`: for a run of several owners,
    the parts of the others: a reading of one may change what another used.
    """

    interval_ms: int
    recorded_at: datetime
    stored: Mapping[str, Run]
    siblings: Mapping[str, Sequence[Run]]


async def insert_readings(tx: Transaction, readings: RunReadings, intake: Intake) -> list[Run]:
    """Store readings, each run's in order of time; returns the runs of which something must be counted anew."""
    fresh, doubtful = _part(readings, intake)
    if fresh and not await _copy(tx, fresh, intake):
        fresh, doubtful = [], [*doubtful, *fresh]
    first_ns = {run.incarnation: own[0].sampled_ns for run, own in fresh}
    for incarnation, at_ns in await _merge(tx, doubtful, intake):
        first_ns[incarnation] = min(at_ns, first_ns.get(incarnation, at_ns))
    runs = {run.incarnation: run for run, _ in readings}
    late = []
    for incarnation in sorted(first_ns):
        for part in (runs[incarnation], *intake.siblings.get(incarnation, ())):
            changed_ns = _changes_from(part, first_ns[incarnation], intake.interval_ms * 1_000_000)
            if changed_ns is not None:
                late.append(part.reopened(changed_ns))
    return late


def _part(readings: RunReadings, intake: Intake) -> tuple[RunReadings, RunReadings]:
    """Readings that cannot have been stored before, and those that may have been.

    A run that goes on was seen at each of its readings: what was taken after it was last seen is new.
    """
    fresh, doubtful = list[tuple[Run, Sequence[Counts]]](), list[tuple[Run, Sequence[Counts]]]()
    for run, own in sorted(readings, key=lambda one: one[0].incarnation):
        stored = intake.stored.get(run.incarnation)
        instants = [one[0] for one in own]
        at = 0 if stored is None else bisect_right(instants, stored.seen_ns)
        is_over = stored is not None and stored.finished_ns is not None
        if is_over or run.incarnation in intake.siblings or len(set(instants)) < len(instants):
            at = len(own)
        if at:
            doubtful.append((run, own[:at]))
        if at < len(own):
            fresh.append((run, own[at:]))
    return fresh, doubtful


async def _copy(tx: Transaction, readings: RunReadings, intake: Intake) -> bool:
    """False, and none is stored, if one was there all the same: never seen, and no reason to lose the others."""
    try:
        async with tx.transaction(), tx.cursor() as cursor, cursor.copy(_COPY_READINGS) as copy:
            await copy.write("".join(_lines(run, own, intake) for run, own in readings))
    except UniqueViolation:
        return False
    return True


def _lines(run: Run, own: Sequence[Counts], intake: Intake) -> str:
    """A line a reading; what they have in common is put before all of them at once."""
    key = f"{run.account_id}\t{run.service_id}\t{copy_text(run.incarnation)}"
    head = f"{key}\t{intake.interval_ms}\t{intake.recorded_at.isoformat()}\t"
    numbers = "\n".join([_NUMBERS % one for one in own]).replace("None", "\\N")
    return head + numbers.replace("\n", "\n" + head) + "\n"


async def _merge(tx: Transaction, readings: RunReadings, intake: Intake) -> Sequence[tuple[str, int]]:
    """The first that was new of each run that had any."""
    if not readings:
        return ()
    columns = zip(*chain.from_iterable(own for _, own in readings), strict=True)
    numbers = (repeat(number, len(own)) for number, (_, own) in enumerate(readings, 1))
    values = {
        **{name: plain_array(column) for name, column in zip(Counts._fields, columns, strict=True)},
        "accounts": plain_array(run.account_id for run, _ in readings),
        "services": plain_array(run.service_id for run, _ in readings),
        "incarnations": text_array(run.incarnation for run, _ in readings),
        "numbers": plain_array(chain.from_iterable(numbers)),
        "interval_ms": intake.interval_ms,
        "recorded_at": intake.recorded_at,
    }
    return await (await tx.execute(_INSERT_READINGS, values)).fetchall()


def _changes_from(run: Run, sampled_ns: int, interval_ns: int) -> int | None:
    """From where the first of the new readings changes what was counted: its own window, or back to a near start."""
    if run.final_until_ns is None:
        return None
    started_ns = run.started_ns if run.run_started_ns is None else run.run_started_ns
    if sampled_ns - started_ns <= interval_ns and started_ns < run.final_until_ns:
        return started_ns
    return sampled_ns - 1 if sampled_ns <= run.final_until_ns else None
