"""The arrow container → run, the rules of it: what one more look at containers makes of the runs we know. Pure.

Never invents usage: a finish that nobody saw is the last instant the run was seen, and says so with a finding.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from helvetia.containers.model import ContainerRecord, ContainerState, Counts
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.quantity import NS_PER_S
from helvetia.metering.model import NOBODY, Finding, FindingCause, FindingKind, Run

_sampled_ns = itemgetter(0)

CLOCKS_APART_NS = 5 * NS_PER_S
"""So far may the engine's clock be ahead of the instant at which it had told of the finish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A container as a look showed it, or as several did that showed the same: the last of them, and all readings.

    A look begins at `looked_ns`, and a busy engine has told all of it at `told_ns`: what was seen running surely ran at
    the first, what was seen ended had ended by the second (not told: by the first).
    """

    record: ContainerRecord
    looked_ns: int
    told_ns: int = 0
    readings: Sequence[Counts] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Runs that are new or changed, all runs that were looked at (by incarnation), and what was found odd."""

    changed: Sequence[Run]
    runs: Mapping[str, Run]
    findings: Sequence[Finding]


def sight(
    record: ContainerRecord, owner: AccountId, node: str, looked_ns: int, read_ns: int = 0, *, told_ns: int = 0
) -> Run | None:
    """What a look says of the container's present run, last read at `read_ns`; None when it never started."""
    if record.started_ns is None or record.incarnation is None:
        return None
    is_over = record.state not in {ContainerState.RUNNING, ContainerState.PAUSED}
    finished_ns = None
    if is_over and record.finished_ns is not None:
        # An engine whose clock was ahead tells a finish to come: it was over when we were told, at the latest.
        finished_ns = max(record.started_ns, min(record.finished_ns, max(looked_ns, told_ns) + CLOCKS_APART_NS))
    # An engine that says "stopped" but not when has only shown that it started.
    seen_ns = record.started_ns if is_over else max(record.started_ns, looked_ns, read_ns)
    return Run(
        account_id=owner,
        service_id=record.service_id,
        incarnation=record.incarnation,
        container_id=record.container_id,
        node=node,
        started_ns=record.started_ns,
        finished_ns=finished_ns,
        seen_ns=seen_ns if finished_ns is None else finished_ns,
        restart_count=record.restart_count,
        exit_code=record.exit_code if finished_ns is not None else None,
        oom_killed=record.oom_killed if finished_ns is not None else None,
    )


def trace_runs(
    sightings: Iterable[Sighting],
    known: Sequence[Run],
    owners: Mapping[ServiceId, AccountId],
    node: str,
) -> Trace:
    """Merge what was seen, each container's in order, into the known runs of these (every one of them, oldest first).

    A container of no service of ours is a finding for the operator and nobody's usage, whatever its labels say.
    """
    before = {run.incarnation: run for run in known}
    runs = dict(before)
    findings: list[Finding] = []
    for seen in sightings:
        record, looked_ns = seen.record, seen.looked_ns
        owner = owners.get(record.service_id)
        if owner is None:
            findings.append(_leak(record, looked_ns))
            continue
        read_ns = max(map(_sampled_ns, seen.readings), default=0)
        run = sight(record, owner, node, looked_ns, read_ns, told_ns=seen.told_ns)
        if run is None:
            continue
        former = runs.get(run.incarnation)
        if former is None:
            runs[run.incarnation] = run
            findings += _replace_former(run, record.created_ns, runs)
        else:
            runs[run.incarnation] = former.merge(run)
        if record.state is ContainerState.PAUSED:
            findings.append(_finding(run, FindingCause.PAUSED, looked_ns, "paused from outside; time goes on"))
    changed = [run for run in runs.values() if before.get(run.incarnation) != run]
    return Trace(changed=changed, runs=runs, findings=findings)


def unseen_finish(run: Run, looked_ns: int, detail: str) -> Finding:
    """The gap between the last instant a run was seen and the look that missed it."""
    return _gap(run, FindingCause.FINISH_UNSEEN, run.seen_ns, max(run.seen_ns, looked_ns), detail)


def _replace_former(new: Run, created_ns: int, runs: dict[str, Run]) -> list[Finding]:
    """A new start ends the former run of the container; starts that nobody saw are told, never guessed."""
    earlier = [run for run in runs.values() if run.container_id == new.container_id and run.started_ns < new.started_ns]
    former = max(earlier, key=lambda run: run.started_ns, default=None)
    if former is None:
        return _unseen_runs(new, new.restart_count, created_ns)
    findings = _unseen_runs(new, new.restart_count - former.restart_count - 1, former.finished_ns or former.seen_ns)
    if former.finished_ns is None:
        runs[former.incarnation] = former.vanish(new.started_ns)
        detail = "started again before its finish was seen; counted until it was last seen"
        findings.append(unseen_finish(former, new.started_ns, detail))
    return findings


def _unseen_runs(new: Run, count: int, since_ns: int) -> list[Finding]:
    if count <= 0:
        return []
    since_ns = min(since_ns, new.started_ns)
    return [
        _gap(new, FindingCause.RUNS_UNSEEN, since_ns, new.started_ns, f"{count} runs before this one were not seen")
    ]


def _gap(run: Run, cause: FindingCause, starts_ns: int, ends_ns: int, detail: str) -> Finding:
    return Finding(
        account_id=run.account_id,
        service_id=run.service_id,
        incarnation=run.incarnation,
        kind=FindingKind.GAP,
        cause=cause,
        starts_ns=starts_ns,
        ends_ns=ends_ns,
        detail=detail,
    )


def _finding(run: Run, cause: FindingCause, ends_ns: int, detail: str) -> Finding:
    """An anomaly of a run: one row for the whole run, which grows while it lasts."""
    return Finding(
        account_id=run.account_id,
        service_id=run.service_id,
        incarnation=run.incarnation,
        kind=FindingKind.ANOMALY,
        cause=cause,
        starts_ns=run.started_ns,
        ends_ns=ends_ns,
        detail=detail,
    )


def _leak(record: ContainerRecord, looked_ns: int) -> Finding:
    return Finding(
        account_id=NOBODY,
        service_id=record.service_id,
        incarnation=record.incarnation or record.container_id,
        kind=FindingKind.ANOMALY,
        cause=FindingCause.OWNER_UNKNOWN,
        starts_ns=record.created_ns,
        ends_ns=looked_ns,
        detail=f"container {record.container_id} belongs to no service",
    )
