"""Accounts in the states that the pages of billing tell of, written as the parts that own the rows write them."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.containers.model import HoldCause, ServiceDefinition
from helvetia.containers.store import insert_service
from helvetia.containers.store_holds import place_holds, services_as_kept
from helvetia.database.pool import Database
from helvetia.kernel.identity import AccountId, ServiceId, new_service_id
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric
from helvetia.notifications.model import Notice, NoticeKind
from helvetia.notifications.store import queue
from support.usage_world import LedgerRow, write_rows

CUSTOMER, SUBSCRIPTION = "cus_page", "sub_page"


def former_period(now: datetime) -> Period:
    """A billing period that is over; it begins and ends in the middle of an hour, as they do."""
    ends_at = now.replace(minute=17, second=23, microsecond=0) - timedelta(days=9)
    return Period(starts_at=ends_at - timedelta(days=30), ends_at=ends_at)


async def on_plan(
    database: Database, account_id: AccountId, plan: SubscriptionPlan, starts_at: datetime, ends_at: datetime
) -> None:
    """A live, paid subscription."""
    async with database.transaction() as tx:
        await tx.execute(
            """UPDATE subscriptions SET plan = %s, stripe_customer_id = %s, stripe_subscription_id = %s,
                   stripe_status = 'active', current_period_start = %s, current_period_end = %s, fee_minor = %s,
                   started_at = %s
               WHERE account_id = %s""",
            (
                *(plan.value, f"{CUSTOMER}_{account_id}", f"{SUBSCRIPTION}_{account_id}"),
                *(starts_at, ends_at, PLANS[plan].fee_minor, starts_at, account_id),
            ),
        )


async def with_services(
    database: Database, account_id: AccountId, names: Sequence[str], now: datetime
) -> list[ServiceId]:
    """Wished services, the first the oldest."""
    ids = [new_service_id() for _ in names]
    async with database.transaction() as tx:
        for number, (service_id, name) in enumerate(zip(ids, names, strict=True)):
            definition = ServiceDefinition(name=name, image="demo", memory_mb=512, cpu_cores=Decimal("0.5"))
            await insert_service(tx, account_id, service_id, definition, now - timedelta(days=len(names) - number))
        await tx.execute("UPDATE services SET status = 'running' WHERE account_id = %s", (account_id,))
    return ids


async def held(database: Database, account_id: AccountId, cause: HoldCause, at: datetime) -> None:
    """Every service that is wished is held, as a pass of the enforcement leaves it."""
    async with database.transaction() as tx:
        wished = [one.service_id for one in await services_as_kept(tx, account_id) if one.is_wished]
        await place_holds(tx, account_id, wished, cause, reason="", placed_by="enforcement", pass_id=None, at=at)
        await tx.execute(
            "UPDATE services SET status = 'held' WHERE account_id = %s AND wish = 'running'", (account_id,)
        )


async def stopped_by_user(database: Database, account_id: AccountId, name: str) -> None:
    """A service that its owner stopped."""
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE services SET wish = 'stopped', status = 'stopped' WHERE account_id = %s AND name = %s",
            (account_id, name),
        )


async def with_usage(
    database: Database,
    account_id: AccountId,
    services: Sequence[ServiceId],
    starts_at: datetime,
    until: datetime,
    gb_by_day: Sequence[Decimal],
) -> None:
    """Every day some hours of each metric, and so many GB over all services; closed, as old days are."""
    rows: list[LedgerRow] = []
    day, number = starts_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0), 0
    while day < until:
        noon = max(day + timedelta(hours=12), starts_at)
        amounts = {
            UsageMetric.COMPUTE_HOURS: Decimal(12),
            UsageMetric.MEMORY_GB_HOURS: Decimal(10),
            UsageMetric.BANDWIDTH_GB: gb_by_day[number % len(gb_by_day)] / len(services),
            UsageMetric.STORAGE_GB: Decimal("0.2"),
        }
        if noon < until:
            rows += [
                LedgerRow(
                    account_id=account_id,
                    service_id=service_id,
                    metric=metric,
                    quantity=int(amount * share * SOLD_UNITS[metric].base_per_unit),
                    starts_at=noon.replace(minute=0, second=0, microsecond=0),
                    ends_at=noon.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1),
                    incarnation=f"{service_id}-{day:%j}",
                )
                for share, service_id in enumerate(services, start=1)
                for metric, amount in amounts.items()
            ]
        day, number = day + timedelta(days=1), number + 1
    await write_rows(database, rows)


async def with_invoice(database: Database, account_id: AccountId, number: str, issued_at: datetime, **more: Any) -> str:
    """An invoice that is paid, unless told otherwise."""
    invoice_id = f"in_{number.replace('-', '')}_{str(account_id)[-6:]}"
    total = more.get("total_minor", 11218)
    values = {
        "account_id": account_id,
        "stripe_invoice_id": invoice_id,
        "stripe_subscription_id": f"{SUBSCRIPTION}_{account_id}",
        "number": number,
        "status": "paid",
        "billing_reason": "subscription_cycle",
        "currency": "usd",
        "subtotal_minor": total,
        "total_minor": total,
        "amount_due_minor": total,
        "amount_paid_minor": total,
        "amount_remaining_minor": 0,
        "attempt_count": 1,
        "next_payment_attempt_at": None,
        "period_start": issued_at - timedelta(days=30),
        "period_end": issued_at,
        "issued_at": issued_at,
        "finalized_at": issued_at + timedelta(hours=1),
        "paid_at": issued_at + timedelta(hours=1),
        "fetch_seq": 1,
        **more,
    }
    async with database.transaction() as tx:
        names = ", ".join(values)
        places = ", ".join(f"%({name})s" for name in values)
        await tx.execute(f"INSERT INTO invoices ({names}) VALUES ({places})", values)
    return invoice_id


async def with_line(
    database: Database, account_id: AccountId, invoice_id: str, line_number: int, period: tuple[datetime, datetime],
    **more: Any,
) -> None:  # fmt: skip
    values = {
        "account_id": account_id,
        "stripe_invoice_id": invoice_id,
        "line_number": line_number,
        "stripe_line_id": f"il_{line_number}",
        "stripe_price_id": None,
        "description": "Pro plan",
        "quantity": Decimal(1),
        "unit_price_minor": Decimal(2900),
        "amount_minor": 2900,
        "is_proration": False,
        "period_start": period[0],
        "period_end": period[1],
        **more,
    }
    async with database.transaction() as tx:
        names = ", ".join(values)
        places = ", ".join(f"%({name})s" for name in values)
        await tx.execute(f"INSERT INTO invoice_lines ({names}) VALUES ({places})", values)


async def payment_failed(
    database: Database, account_id: AccountId, failed_at: datetime, *, status: str = "PAST_DUE"
) -> str:
    """An open invoice that was tried, and what was read of it."""
    invoice_id = await with_invoice(
        database,
        account_id,
        "HC-2026-0031",
        failed_at,
        total_minor=11846,
        status="open",
        amount_paid_minor=0,
        amount_remaining_minor=11846,
        attempt_count=2,
        next_payment_attempt_at=failed_at + timedelta(days=3),
        finalized_at=failed_at - timedelta(minutes=1),
        paid_at=None,
    )
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE subscriptions SET status = %s, stripe_status = %s WHERE account_id = %s",
            (status, status.lower(), account_id),
        )
        await tx.execute(
            "INSERT INTO payment_facts (account_id, stripe_subscription_id, stripe_status, failed_invoice_id,"
            " first_failed_at, ended_by_failure, read_at, fetch_seq) VALUES (%s, %s, %s, %s, %s, false, %s, 1)",
            (account_id, f"{SUBSCRIPTION}_{account_id}", status.lower(), invoice_id, failed_at, failed_at),
        )
        notice = Notice(
            account_id=account_id,
            key="payment:0",
            series="payment",
            kind=NoticeKind.PAYMENT_FAILED,
            due_at=failed_at,
            figures={"failed_at": failed_at.isoformat(), "held_at": (failed_at + timedelta(days=7)).isoformat()},
        )
        await queue(tx, notice, at=failed_at)
    return invoice_id


async def with_card(database: Database, account_id: AccountId, read_at: datetime) -> None:
    """A card, as Stripe was last read."""
    card = {
        "payment_method_id": "pm_1",
        "kind": "card",
        "label": "Visa •••• 4242",
        "expires_month": 8,
        "expires_year": 2028,
        "is_default": True,
    }
    await _reading(database, account_id, "payment_methods", [card], read_at)


async def with_declined(database: Database, account_id: AccountId, invoice_id: str, at: datetime) -> None:
    """A declined attempt on this invoice, as Stripe was last read."""
    entry = {
        "payment_id": "ch_1",
        "kind": "failed_attempt",
        "status": "failed",
        "happened_at": at.isoformat(),
        "amount_minor": 11846,
        "currency": "usd",
        "method": "Visa •••• 4242",
        "invoice_id": invoice_id,
        "invoice_number": "HC-2026-0031",
        "reason_code": "insufficient_funds",
        "reason": "There was not enough money on the account of the card.",
    }
    await _reading(database, account_id, "payments", [entry], at)


async def with_credit_note(
    database: Database, account_id: AccountId, invoice_id: str, number: str, at: datetime, **more: Any
) -> None:
    """A note that is issued; the parts are told by whoever asks for it."""
    values = {
        "account_id": account_id,
        "stripe_credit_note_id": f"cn_{number.replace('-', '')}",
        "stripe_invoice_id": invoice_id,
        "number": number,
        "status": "issued",
        "currency": "usd",
        "total_minor": 0,
        "before_payment_minor": 0,
        "after_payment_minor": 0,
        "refunded_minor": 0,
        "outside_minor": 0,
        "issued_at": at,
        "fetch_seq": 1,
        **more,
    }
    async with database.transaction() as tx:
        names = ", ".join(values)
        places = ", ".join(f"%({name})s" for name in values)
        await tx.execute(f"INSERT INTO credit_notes ({names}) VALUES ({places})", values)


async def with_payments(
    database: Database, account_id: AccountId, invoice_id: str, entries: Sequence[Mapping[str, Any]], read_at: datetime
) -> None:
    """What was paid and given back of an invoice, as Stripe was last read."""
    usual = {
        "kind": "payment",
        "status": "succeeded",
        "currency": "usd",
        "method": "Visa •••• 4242",
        "invoice_id": invoice_id,
        "invoice_number": "HC-2026-0024",
        "reason_code": None,
        "reason": None,
    }
    rows = [
        {"payment_id": f"py_{number}", **usual, **entry, "happened_at": entry["happened_at"].isoformat()}
        for number, entry in enumerate(entries)
    ]
    await _reading(database, account_id, "payments", rows, read_at)


async def _reading(
    database: Database, account_id: AccountId, kind: str, body: Sequence[dict[str, Any]], read_at: datetime
) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO stripe_readings (account_id, kind, read_at, fetch_seq, body) VALUES (%s, %s, %s, 1, %s)",
            (account_id, kind, read_at, json.dumps(body)),
        )
