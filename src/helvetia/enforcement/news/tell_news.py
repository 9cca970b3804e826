"""Invoices that became ready and plans that changed → notices, each once.

An invoice older than three days when it is first seen is no news; neither is the first plan of an account.
"""

from datetime import datetime, timedelta

from helvetia.catalogue.plans import PLANS
from helvetia.database.pool import Transaction
from helvetia.enforcement import store
from helvetia.kernel.money import Money
from helvetia.notifications import store as notifications
from helvetia.notifications.model import Notice, NoticeKind

NEWS_FOR = timedelta(days=3)
BATCH_MAX = 500


async def tell_news(tx: Transaction, now: datetime) -> int:
    """Write what is new; says how many notices."""
    notices: list[Notice] = []
    for row in await store.new_invoices(tx, finalized_after=now - NEWS_FOR, limit=BATCH_MAX):
        key = f"invoice:{row['stripe_invoice_id']}"
        amount = Money(amount_minor=row["total_minor"], currency=row["currency"]).to_decimal()
        figures = {"number": row["number"], "amount": f"{row['currency'].upper()} {amount}"}
        notices.append(
            Notice(
                account_id=row["account_id"],
                key=key,
                series=key,
                kind=NoticeKind.INVOICE_READY,
                due_at=now,
                figures=figures,
            )
        )
    for account_id, former, plan in await store.new_plans(tx, limit=BATCH_MAX):
        if former is None:
            continue
        key = f"plan:{former.value}:{plan.value}:{now.isoformat()}"
        figures = {"former": PLANS[former].title, "plan": PLANS[plan].title}
        notices.append(
            Notice(
                account_id=account_id, key=key, series=key, kind=NoticeKind.PLAN_CHANGED, due_at=now, figures=figures
            )
        )
    return sum([await notifications.queue(tx, notice, at=now) for notice in notices])
