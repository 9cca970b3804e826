"""`helvetia doctor`: is everything as it must be, and if not, what to do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

import aiohttp
from dishka import AsyncContainer

from helvetia.cli.run import print_json, run_in_house
from helvetia.containers.model import ContainerHost
from helvetia.database.health import read_database_health
from helvetia.database.pool import Database
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.meter_reports.invariants import FOR_THE_OPERATOR
from helvetia.meter_reports.invariants import broken_invariants as broken_reports
from helvetia.metering.find_leaks import LeakService
from helvetia.metering.invariants import broken_invariants
from helvetia.metering.nodes.service import NodeService
from helvetia.metering.readers.model import CounterReader
from helvetia.settings import Settings
from helvetia.stripe_gateway.model import StripeGateway
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder

SKEW_MAX_S = 5.0
SKEW_MAX_MS = 5_000
NODE_SILENT_MAX = timedelta(minutes=5)
STRIPE_URL = "https://api.stripe.com"
ASK_STRIPE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found, and what to do about it."""

    check: str
    state: Literal["ok", "warning", "failed"]
    found: str
    advice: str = ""


Check = Callable[[AsyncContainer], Awaitable[Finding]]


def doctor(*, json: bool = False) -> int:
    """Check configuration, database, worker, container engine, metering, Stripe, prices and clocks.

    Exit code 0 when nothing failed, 1 otherwise.

    Example: helvetia doctor --json
    """

    async def examine(house: AsyncContainer) -> int:
        findings = [await _guarded(name, check, house) for name, check in CHECKS.items()]
        if json:
            print_json(findings)
        else:
            for finding in findings:
                print(f"{_MARKS[finding.state]} {finding.check:<14} {finding.found}")
                if finding.advice and finding.state != "ok":
                    print(f"  {'':<14} → {finding.advice}")
        return int(any(finding.state == "failed" for finding in findings))

    return run_in_house(examine)


_MARKS = {"ok": "✓", "warning": "!", "failed": "✗"}


async def _guarded(name: str, check: Check, house: AsyncContainer) -> Finding:
    try:
        return await check(house)
    except HelvetiaError as error:
        return Finding(check=name, state="failed", found=error.detail, advice=_ADVICE.get(name, ""))


async def _configuration(house: AsyncContainer) -> Finding:
    settings = await house.get(Settings)
    where = "the Stripe sandbox" if settings.is_sandbox else f"Stripe, {'LIVE' if settings.is_live else 'test'} mode"
    return Finding(check="configuration", state="ok", found=f"complete; uses {where}")


async def _database(house: AsyncContainer) -> Finding:
    health = await read_database_health(await house.get(Database))
    return Finding(check="database", state="ok", found=f"PostgreSQL {health.version}, schema {health.schema_revision}")


async def _worker(house: AsyncContainer) -> Finding:
    health = await read_database_health(await house.get(Database))
    wall = (await house.get(Clock)).wall()
    if health.worker_lease_expires_at is None or health.worker_lease_expires_at < wall:
        return Finding(check="worker", state="warning", found="no worker is running", advice=_ADVICE["worker"])
    return Finding(check="worker", state="ok", found=f"{health.worker_holder} holds the lease")


async def _engine(house: AsyncContainer) -> Finding:
    host, reader = await house.get(ContainerHost), await house.get(CounterReader)
    containers = await host.list_containers()
    return Finding(
        check="engine",
        state="ok",
        found=f"{type(host).__name__} {host.node}: {len(containers)} containers of ours, read by {reader.name}",
    )


async def _metering(house: AsyncContainer) -> Finding:
    async with (await house.get(Database)).transaction() as tx:
        broken = await broken_invariants(tx)
    if broken:
        text = "; ".join(f"{name} ({len(rows)} rows)" for name, rows in broken.items())
        return Finding(
            check="metering", state="failed", found=f"invariants do not hold: {text}", advice=_ADVICE["metering"]
        )
    return Finding(check="metering", state="ok", found="every invariant of the ledger holds")


async def _reports(house: AsyncContainer) -> Finding:
    async with (await house.get(Database)).transaction() as tx:
        broken = await broken_reports(tx)
    if not broken:
        return Finding(check="reports", state="ok", found="every invariant of the outbox holds")
    text = "; ".join(f"{name} ({len(rows)} rows)" for name, rows in broken.items())
    waits = set(broken) <= FOR_THE_OPERATOR
    state: Literal["warning", "failed"] = "warning" if waits else "failed"
    return Finding(
        check="reports", state=state, found=f"does not hold: {text}", advice=_ADVICE["tasks" if waits else "metering"]
    )


async def _gaps(house: AsyncContainer) -> Finding:
    gaps = await (await house.get(LeakService)).open_gaps()
    if gaps:
        text = ", ".join(
            f"{cause.value}: {count} since {since:%Y-%m-%d %H:%M}" for cause, (count, since) in gaps.items()
        )
        return Finding(check="gaps", state="warning", found=text, advice=_ADVICE["gaps"])
    return Finding(check="gaps", state="ok", found="everything that runs is being read")


async def _leaks(house: AsyncContainer) -> Finding:
    leaks = await (await house.get(LeakService)).find_leaks()
    if leaks:
        day = sum(leak.day_minor for leak in leaks) / 100
        text = "; ".join(f"{leak.kind.value} {leak.name[:20]} ${leak.day_minor / 100:.4f} a day" for leak in leaks[:5])
        return Finding(
            check="leaks", state="warning", found=f"{len(leaks)}, ${day:.4f} a day: {text}", advice=_ADVICE["leaks"]
        )
    return Finding(check="leaks", state="ok", found="nothing runs or is held that nobody pays")


async def _nodes(house: AsyncContainer) -> Finding:
    nodes = await (await house.get(NodeService)).list_nodes()
    late_at = (await house.get(Clock)).wall() - NODE_SILENT_MAX
    bad = [one.node for one in nodes if one.revoked_at is None and (one.seen_at is None or one.seen_at < late_at)]
    bad += [f"{one.node} ({one.clock_ahead_ms} ms off)" for one in nodes if abs(one.clock_ahead_ms or 0) > SKEW_MAX_MS]
    if bad:
        return Finding(
            check="nodes", state="warning", found=f"silent or off: {', '.join(bad)}", advice=_ADVICE["nodes"]
        )
    return Finding(check="nodes", state="ok", found=f"{len(nodes)} remote nodes, all heard of")


async def _stripe(house: AsyncContainer) -> Finding:
    account = await (await house.get(StripeGateway)).retrieve_account()
    return Finding(check="stripe", state="ok", found=f"answers as account {account.account_id}")


async def _prices(house: AsyncContainer) -> Finding:
    holder = await house.get(PriceBookHolder)
    if holder.problem is not None:
        return Finding(check="prices", state="failed", found=holder.problem, advice=_ADVICE["prices"])
    return Finding(check="prices", state="ok", found="all seven are as the catalogue says")


async def _enforcement(house: AsyncContainer) -> Finding:
    enforcement = await house.get(EnforcementService)
    last = next(iter(await enforcement.last_passes()), None)
    brake = None if last is None else last["brake"]
    if brake is not None:
        found = f"the brake is on: {brake}"
        return Finding(check="enforcement", state="failed", found=found, advice=_ADVICE["enforcement"])
    mode = enforcement.mode.value
    if enforcement.mode_warning is not None:
        found = f"{mode}: {enforcement.mode_warning}"
        return Finding(check="enforcement", state="warning", found=found, advice=_ADVICE["mode"])
    return Finding(check="enforcement", state="ok", found=f"{mode}; the brake is off")


async def _clocks(house: AsyncContainer) -> Finding:
    settings, clock = await house.get(Settings), await house.get(Clock)
    health = await read_database_health(await house.get(Database))
    skews = {"the database": abs((health.database_time - clock.wall()).total_seconds())}
    stripe_time = await _stripe_time(settings.api_base or STRIPE_URL)
    if stripe_time is not None:
        skews["Stripe"] = abs((stripe_time - clock.wall()).total_seconds())
    text = ", ".join(f"{skew:.1f} s from {name}" for name, skew in skews.items())
    state: Literal["ok", "failed"] = "ok" if max(skews.values()) <= SKEW_MAX_S else "failed"
    return Finding(check="clocks", state=state, found=text, advice=_ADVICE["clocks"])


async def _stripe_time(url: str) -> datetime | None:
    """The time that Stripe's answers carry, to the second; None when it does not answer."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, timeout=aiohttp.ClientTimeout(total=ASK_STRIPE_S), allow_redirects=False) as answer,
        ):
            date = answer.headers.get("Date")
    except (aiohttp.ClientError, TimeoutError):
        return None
    return None if date is None else parsedate_to_datetime(date).astimezone(UTC)


CHECKS: dict[str, Check] = {
    "configuration": _configuration,
    "database": _database,
    "worker": _worker,
    "engine": _engine,
    "metering": _metering,
    "reports": _reports,
    "gaps": _gaps,
    "leaks": _leaks,
    "nodes": _nodes,
    "stripe": _stripe,
    "prices": _prices,
    "enforcement": _enforcement,
    "clocks": _clocks,
}
_ADVICE = {
    "database": "start PostgreSQL, or correct DATABASE_URL; unset it to use the embedded server",
    "worker": "start one with `helvetia worker`; without it nothing is metered, started or reported",
    "engine": "start the Docker Engine, or correct DOCKER_HOST; running containers are not affected",
    "metering": "see docs/operator-runbook.md; stop nothing, the readings are kept",
    "tasks": "see `helvetia usage-tasks` and `helvetia reconcile --usage`",
    "gaps": "metering is broken there, not idle: look at the engine and the worker; nothing is guessed meanwhile",
    "leaks": "remove what is nobody's by hand; what runs while held is stopped by the worker if it can be; bring a lost"
    " node back within 35 days, or let its usage go",
    "nodes": "look at `helvetia agent` there and at its clock; its readings wait on its disk",
    "stripe": "check STRIPE_SECRET_KEY and the network; metering and limits go on meanwhile",
    "prices": "run `helvetia setup-stripe`, or correct the STRIPE_PRICE_ID_… variables; nothing is reported until then",
    "enforcement": "see `helvetia holds list`; if it is right: `helvetia enforce --despite-brake --reason …`",
    "mode": "look at `helvetia holds list` for a few days, then set ENFORCEMENT_MODE=enforce",
    "clocks": "set this machine's clock by NTP: usage is stamped with it",
}
